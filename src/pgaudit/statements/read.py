"""The text of a statement and what the catalogs say → its facts; no text is an error."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

from pgaudit.statements import tree, verbs
from pgaudit.statements.blocks import Blocks
from pgaudit.statements.expression import children, only
from pgaudit.statements.facts import Kind, Statement, Table
from pgaudit.statements.schema import NOTHING, Schema
from pgaudit.statements.tree import Node, NoTree, Tree

_KINDS: dict[str, Kind] = {
    "SelectStmt": "select",
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "MergeStmt": "merge",
}


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage while thousands of statements are read.

    None of what is made refers to itself, and to walk it all again for every few hundred more would
    take a quarter of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def statement(text: str, schema: Schema = NOTHING, role: int = 0) -> Statement:
    """Read a statement as one role would mean it.

    >>> found = statement("SELECT id FROM orders o WHERE lower(o.note) = $1 LIMIT 5")
    >>> found.kind, found.tables[0].name, found.conditions[0].left.expression
    ('select', 'orders', 'lower(note)')
    >>> statement("SELECT * FROM orders WHERE").reason
    'syntax error at end of input'
    """
    parsed = tree.parse(text)
    if isinstance(parsed, NoTree):
        return Statement(text, "unparsed", verbs.first_word(text), parsed.reason, role=role)
    try:
        return _read(text, parsed, schema, role)
    except RecursionError:
        word = verbs.first_word(text)
        return Statement(text, "unparsed", word, "nested too deeply", parsed.fingerprint, role=role)


def _read(text: str, parsed: Tree, schema: Schema, role: int) -> Statement:
    kind = _KINDS.get(parsed.kind, "utility")
    # SELECT … INTO makes a table, as CREATE TABLE AS does.
    if parsed.kind == "SelectStmt" and "intoClause" in parsed.node:
        kind = "utility"
    verb = verbs.verb(parsed.kind, parsed.node, text)
    if kind == "utility":
        tables = tuple(_named(parsed.node, schema, role))
        return Statement(text, kind, verb, fingerprint=parsed.fingerprint, tables=tables, role=role)
    blocks = Blocks(parsed, schema, role)
    if kind == "select":
        blocks.select(parsed.node, "main", None)
    else:
        blocks.write(parsed.node, blocks.scope("main", None))
    made = Statement(
        text=text,
        kind=kind,
        verb=verb,
        fingerprint=parsed.fingerprint,
        tables=tuple(blocks.tables),
        blocks=tuple(blocks.blocks),
        conditions=tuple(blocks.clauses.conditions),
        joins=tuple(blocks.clauses.joins),
        assigned=tuple(_assigned(kind, parsed.node)),
        inserted=tuple(only(c)[1].get("name", "") for c in parsed.node.get("cols", ())),
        conflict="onConflictClause" in parsed.node,
        returning="returningList" in parsed.node or "returningClause" in parsed.node,
        functions=tuple(blocks.functions),
        role=role,
    )
    # They refer to each other; untied, they and the tree go at once instead of waiting to be collected.
    del blocks.clauses
    return made


def _named(node: Node, schema: Schema, role: int) -> Iterator[Table]:
    """Return the tables that a utility statement names, as its targets."""
    relation: Node = node.get("relation") or {}
    alone = [relation] if "relname" in relation else []
    listed = [fields for kind, fields in children(node.get("relations")) if kind == "RangeVar"]
    for fields in (*alone, *listed):
        name, place = fields.get("relname", ""), fields.get("schemaname")
        yield Table(name, place, name, 0, schema.find(name, place, role), "target")


def _assigned(kind: Kind, node: Node) -> Iterator[str]:
    lists: list[Any] = [node.get("targetList")] if kind == "update" else []
    lists.append((node.get("onConflictClause") or {}).get("targetList"))
    for _, clause in children(node.get("mergeWhenClauses")):
        if clause.get("commandType") == "CMD_UPDATE":
            lists.append(clause.get("targetList"))
    for targets in lists:
        for kind_of, fields in children(targets):
            if kind_of == "ResTarget" and "name" in fields:
                yield fields["name"]
