"""A node of an expression → its SQL, the names in it, and the columns that it uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pgaudit.statements.tree import Node

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")

# The grammar writes SQL's type names as the catalog's; format_type() writes them back.
_TYPES = {
    "int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real",
    "float8": "double precision", "bool": "boolean", "bpchar": "character",
    "varchar": "character varying", "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone", "timetz": "time with time zone",
    "time": "time without time zone", "varbit": "bit varying",
}  # fmt: skip

ARITHMETIC = frozenset(("+", "-", "*", "/", "%", "^"))


def only(node: Any) -> tuple[str, Node]:
    """Return a wrapped node's kind and fields; a missing one is of the kind "".

    >>> only({"ParamRef": {"number": 1}})
    ('ParamRef', {'number': 1})
    >>> only(None)
    ('', {})
    """
    if node and type(node) is dict:
        for kind, fields in node.items():
            return kind, fields if type(fields) is dict else {}
    return "", {}


def strings(nodes: Any) -> list[str]:
    """Return the texts of String nodes, `*` for a star."""
    return [
        str(node["String"].get("sval", "")) if "String" in node else "*" for node in nodes or ()
    ]


def type_name(node: Node) -> str:
    """Return a TypeName as format_type() writes it, without a modifier.

    >>> type_name({"names": [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "int4"}}]})
    'integer'
    """
    names = strings(node.get("names"))
    if len(names) > 1 and names[0] == "pg_catalog":
        names = names[1:]
    array = "[]" if node.get("arrayBounds") else ""
    if len(names) == 1:
        return _TYPES.get(names[0], names[0]) + array
    return ".".join(names) + array


def constant(node: Node) -> str | None:
    """Return an A_Const's text, or None for NULL; protobuf leaves out zero, false and the empty text.

    >>> constant({"ival": {"ival": 5}}), constant({"ival": {}}), constant({"isnull": True})
    ('5', '0', None)
    """
    if node.get("isnull"):
        return None
    for field, empty in (("ival", 0), ("fval", ""), ("sval", ""), ("bsval", "")):
        if field in node:
            return str(node[field].get(field, empty))
    return "true" if node.get("boolval", {}).get("boolval") else "false"


def function(node: Node) -> str:
    """Return a called function's name without its schema."""
    return (strings(node.get("funcname")) or [""])[-1]


def identifier(name: str) -> str:
    """Quote a name where PostgreSQL would fold it; keywords are left to a later quoting.

    >>> identifier("email"), identifier("e-Mail")
    ('email', '"e-Mail"')
    """
    if _PLAIN.fullmatch(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def sql(node: Any) -> str | None:
    """Write an expression of columns, constants and functions as SQL; None for anything else.

    Columns lose their table, so that the text can stand in an index of it.

    >>> sql({"ColumnRef": {"fields": [{"String": {"sval": "o"}}, {"String": {"sval": "id"}}]}})
    'id'
    """
    kind, fields = only(node)
    writer = _WRITERS.get(kind)
    return writer(fields) if writer else None


def _all(nodes: Any) -> list[str] | None:
    written = [sql(node) for node in nodes or ()]
    return None if None in written else [w for w in written if w is not None]


def _column(node: Node) -> str | None:
    name = (strings(node.get("fields")) or ["*"])[-1]
    return None if name == "*" else identifier(name)


def _literal(node: Node) -> str | None:
    text = constant(node)
    if text is None:
        return "NULL"
    if "sval" in node:
        doubled = text.replace("'", "''")
        return f"'{doubled}'"
    return text


def _call(node: Node) -> str | None:
    if any(node.get(k) for k in ("over", "agg_filter", "agg_star", "agg_distinct", "agg_order")):
        return None
    arguments = _all(node.get("args"))
    if arguments is None:
        return None
    called = strings(node.get("funcname"))
    name = ".".join(identifier(n) for n in called if n != "pg_catalog")
    return f"{name}({', '.join(arguments)})"


def _cast(node: Node) -> str | None:
    inner = sql(node.get("arg"))
    return None if inner is None else f"({inner})::{type_name(node.get('typeName', {}))}"


def _operation(node: Node) -> str | None:
    if node.get("kind") != "AEXPR_OP":
        return None
    right = sql(node.get("rexpr"))
    operator = (strings(node.get("name")) or [""])[-1]
    if "lexpr" not in node:
        return None if right is None else f"({operator} {right})"
    left = sql(node["lexpr"])
    return None if left is None or right is None else f"({left} {operator} {right})"


def _listed(word: str) -> Any:
    def write(node: Node) -> str | None:
        arguments = _all(node.get("args"))
        return None if arguments is None else f"{word}({', '.join(arguments)})"

    return write


_WRITERS: dict[str, Any] = {
    "ColumnRef": _column,
    "A_Const": _literal,
    "ParamRef": lambda node: f"${node.get('number', 0)}",
    "FuncCall": _call,
    "TypeCast": _cast,
    "A_Expr": _operation,
    "CoalesceExpr": _listed("COALESCE"),
}


def children(value: Any) -> Iterator[tuple[str, Node]]:
    """Return the nodes directly below a value, as kind and fields, in the order of the text.

    Fields that the grammar does not wrap in their kind (a RangeVar, a WithClause) are looked through.
    """
    # A stack instead of recursion: this runs for every node of every statement.
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if type(one) is list:
            waiting += reversed(one)
        elif type(one) is dict:
            held = []
            for key, inner in one.items():
                kind = type(inner)
                if kind is dict and key[0].isupper():
                    # What is wrapped in its kind is the only key there.
                    yield key, inner
                elif kind is dict or kind is list:
                    held.append(inner)
            if held:
                waiting += reversed(held)


LEAVES = frozenset(("ParamRef", "A_Const", "String", "TypeName"))
"""Nodes in which neither a column nor a call can stand."""


def columns(node: Any) -> Iterator[Node]:
    """Return every ColumnRef of an expression; sub-queries are left to their own blocks."""
    for kind, fields in children(node):
        if kind == "ColumnRef":
            yield fields
        elif kind == "SubLink":
            yield from columns(fields.get("testexpr"))
        elif kind != "SelectStmt" and kind not in LEAVES:
            yield from columns(fields)
