"""What a pattern says of a statement, and what all patterns ask of its facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgaudit.statements.facts import Block, Condition, Statement, Table, Use
from pgaudit.statements.schema import Relation

SYSTEM = frozenset(("pg_catalog", "information_schema"))


@dataclass(frozen=True, slots=True)
class Match:
    """One match: a table, a column, another of each, an expression, a number, as far as they apply."""

    relid: int | None = None
    column: str | None = None
    other_relid: int | None = None
    other_column: str | None = None
    expression: str | None = None
    number: int | None = None


def ours(table: Table) -> bool:
    """Say whether a table is one of users: not made by the statement, and no catalog."""
    if table.made:
        return False
    if table.relation is not None:
        return table.relation.schema not in SYSTEM
    return table.schema not in SYSTEM and not table.name.startswith("pg_")


def tables(statement: Statement, block: Block) -> tuple[Table, ...]:
    """Return the tables of users that a block names."""
    return tuple(t for t in map(statement.tables.__getitem__, block.tables) if ours(t))


def place(statement: Statement, use: Use | None) -> Table | None:
    """Return the users' table of a column, if it is certain."""
    if use is None or use.table is None:
        return None
    table = statement.tables[use.table]
    return table if ours(table) else None


def comparisons(statement: Statement) -> Iterator[Condition]:
    """Return the conditions that choose rows: WHERE and ON, of users' tables."""
    for condition in statement.conditions:
        if condition.clause != "having" and place(statement, condition.left):
            yield condition


def pinned(statement: Statement, table: int) -> frozenset[str]:
    """Return the columns of a table that must equal one value each."""
    return frozenset(
        c.left.column
        for c in statement.of(table)
        if not c.negated
        and c.clause != "having"
        and not c.left.wrap
        and (
            (c.operator == "=" and c.right.kind in ("parameter", "constant", "expression", "query"))
            or (c.operator == "IN" and c.right.kind == "list" and c.right.count == 1)
        )
    )


def key(statement: Statement, table: int) -> tuple[str, ...] | None:
    """Return the unique key all of whose columns are pinned, so that one row at most is found."""
    relation = statement.tables[table].relation
    if relation is None or not relation.keys:
        return None
    columns = pinned(statement, table)
    return next((k for k in relation.keys if columns.issuperset(k)), None)


def first(statement: Statement, block: Block) -> Match | None:
    """Return a match of a block's first table, or None if it reads none of users."""
    found = tables(statement, block)
    return Match(found[0].relid) if found else None


def once(matches: Iterable[Match]) -> Iterator[Match]:
    """Return each match once, in order."""
    yield from dict.fromkeys(matches)


def numeric(text: str | None) -> int | None:
    """Read a constant's text as a whole number, or None."""
    try:
        return int(text or "")
    except ValueError:
        return None


def unique(relation: Relation, columns: Iterable[str]) -> bool:
    """Say whether columns hold all of some unique key."""
    held = set(columns)
    return any(held.issuperset(k) for k in relation.keys)
