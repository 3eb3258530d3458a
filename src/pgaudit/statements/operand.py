"""A side of a comparison → the column that it uses, or the value that it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgaudit.statements import expression
from pgaudit.statements.expression import ARITHMETIC, LEAVES, only, strings
from pgaudit.statements.facts import Use, Value, Wrap
from pgaudit.statements.scope import Scope
from pgaudit.statements.tree import Node

Query = Callable[[Node], int]
"""Reads a SubLink in the current block and returns the number of its block."""


def operand(node: Any, scope: Scope, query: Query) -> Use | Value:
    """Classify one side of a comparison.

    A side that uses columns of one table is a use of its first; one with columns of several is a value
    of the kind `expression`, since no index of one table serves it.
    """
    kind, fields = only(node)
    if kind == "SubLink":
        return Value("query", block=query(fields))
    if kind in LEAVES:
        return _value(kind, fields)
    if kind == "ColumnRef":
        return column(fields, scope) or Value("expression")
    used = list(expression.columns({kind: fields}))
    if used:
        return _use(node, used, scope)
    return _value(kind, fields)


def column(node: Node, scope: Scope) -> Use | None:
    """Return the use of a bare ColumnRef; None for a star."""
    return named(strings(node.get("fields")), scope)


def named(names: list[str], scope: Scope) -> Use | None:
    """Return the use of a column by its name, qualified or not; None for a star."""
    if not names or names[-1] == "*":
        return None
    last = names[-1]
    return Use(scope.find(names), last, "", "", expression.identifier(last), scope.block)


def use(node: Any, scope: Scope) -> Use | None:
    """Return what an expression uses, for ORDER BY, GROUP BY and output; None without a column."""
    used = list(expression.columns(node))
    found = _use(node, used, scope) if used else None
    return found if isinstance(found, Use) else None


def _use(node: Any, used: list[Node], scope: Scope) -> Use | Value:
    if len(used) == 1 and "ColumnRef" in node:
        return column(used[0], scope) or Value("expression")
    uses = [u for u in (column(ref, scope) for ref in used) if u is not None]
    if not uses or len({u.table for u in uses}) > 1:
        return Value("expression")
    wrap, by = _wrap(node)
    return Use(uses[0].table, uses[0].column, wrap, by, expression.sql(node), scope.block)


def _wrap(node: Any) -> tuple[Wrap, str]:
    kind, fields = only(node)
    if kind == "ColumnRef":
        return "", ""
    if kind == "FuncCall":
        return "function", expression.function(fields)
    if kind == "CoalesceExpr":
        return "function", "coalesce"
    if kind == "TypeCast":
        inner, by = _wrap(fields.get("arg"))
        if inner in ("", "cast"):
            return "cast", expression.type_name(fields.get("typeName", {}))
        return inner, by
    if kind == "A_Expr":
        operator = (strings(fields.get("name")) or [""])[-1]
        return ("arithmetic", operator) if operator in ARITHMETIC else ("other", operator)
    return "other", kind


def _value(kind: str, fields: Node) -> Value:
    if kind == "ParamRef":
        return Value("parameter", parameter=fields.get("number", 0))
    if kind == "A_Const":
        return Value("constant", text=expression.constant(fields))
    if kind == "TypeCast":
        return _typed(fields)
    if kind == "A_ArrayExpr":
        return Value("list", count=len(fields.get("elements", ())))
    if kind in ("List", "RowExpr"):
        items = fields.get("items", fields.get("args", ()))
        first = only(items[0])[1].get("number") if items else None
        return Value("list", count=len(items), parameter=first)
    if kind == "":
        return Value("nothing")
    return Value("expression", text=_name(kind, fields), parts=_parts(kind, fields))


def _typed(fields: Node) -> Value:
    inner = _value(*only(fields.get("arg")))
    named = expression.type_name(fields.get("typeName", {}))
    return Value(inner.kind, inner.text, named, inner.count, inner.parameter, inner.parts)


def _name(kind: str, fields: Node) -> str | None:
    if kind == "SQLValueFunction":
        return str(fields.get("op", "")).removeprefix("SVFOP_").lower()
    return expression.function(fields) if kind == "FuncCall" else None


def _parts(kind: str, fields: Node) -> tuple[int | str | None, ...]:
    """Return the parts of a concatenation, in order; none of anything else."""
    if kind == "FuncCall" and expression.function(fields) == "concat":
        return tuple(_part(node) for node in fields.get("args", ()))
    if kind == "A_Expr" and strings(fields.get("name")) == ["||"]:
        left, right = only(fields.get("lexpr")), only(fields.get("rexpr"))
        before = _parts(*left) or (_part(fields.get("lexpr")),)
        return (*before, *(_parts(*right) or (_part(fields.get("rexpr")),)))
    return ()


def _part(node: Any) -> int | str | None:
    kind, fields = only(node)
    if kind == "TypeCast":
        return _part(fields.get("arg"))
    if kind == "ParamRef":
        return int(fields.get("number", 0))
    return expression.constant(fields) if kind == "A_Const" else None
