"""A parse tree → the functions and operators that it names, whatever they are used for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgaudit.statements import tree

COMPARISONS = frozenset({"=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*", "~"})
"""Operators that the grammar writes without their names: IN, USING, BETWEEN, LIKE, SIMILAR TO."""


@dataclass(frozen=True, slots=True)
class Names:
    """Unqualified names of functions and operators."""

    functions: frozenset[str]
    operators: frozenset[str]


def named(text: str) -> Names | None:
    """Return the functions and operators of one statement, None if it does not parse.

    >>> found = named("SELECT f(a), x.g(1) FROM t WHERE b @> $1 OR -c OPERATOR(s.+%) 2 IN (3)")
    >>> sorted(found.functions), sorted(found.operators - COMPARISONS)
    (['f', 'g'], ['+%', '-', '@>'])
    """
    parsed = tree.parse(text)
    if isinstance(parsed, tree.NoTree):
        return None
    functions, operators = set[str](), set(COMPARISONS)
    for kind, node in _nodes({parsed.kind: parsed.node}):
        if kind == "FuncCall":
            functions.add(_last(node.get("funcname")))
        elif kind in ("A_Expr", "SubLink", "SortBy"):
            operators.add(_last(node.get("name") or node.get("operName") or node.get("useOp")))
    return Names(frozenset(functions - {""}), frozenset(operators - {""}))


def _nodes(value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield every node below, with the name of its kind."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            for name, below in one.items():
                if isinstance(below, Mapping):
                    yield name, below
                waiting.append(below)
        elif isinstance(one, list):
            waiting.extend(one)


def _last(parts: object) -> str:
    """Return the last part of a qualified name, which libpg_query writes as a list of strings."""
    if not isinstance(parts, list) or not parts:
        return ""
    return str(parts[-1].get("String", {}).get("sval", ""))
