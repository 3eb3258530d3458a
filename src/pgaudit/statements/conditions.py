"""A WHERE, ON or HAVING clause → conditions and joins, and which tables it ties to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from pgaudit.statements import expression
from pgaudit.statements.expression import only, strings
from pgaudit.statements.facts import Condition, Join, Table, Use, Value
from pgaudit.statements.operand import Query, operand
from pgaudit.statements.scope import Scope
from pgaudit.statements.tree import Node

Clause = Literal["where", "on", "having"]

_SIMPLE = frozenset(("SubLink", "ColumnRef", "ParamRef", "A_Const"))
_COMMUTED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "@>": "<@", "<@": "@>", "= ANY": "ANY ="}
_SYMMETRIC = frozenset(("=", "<>", "&&", "DISTINCT FROM", "NOT DISTINCT FROM"))

# Whether a kind says NOT is in the operator: LIKE is `~~`, NOT LIKE `!~~`, NOT IN `<>`.
_KINDS = {
    "AEXPR_LIKE": "LIKE", "AEXPR_ILIKE": "ILIKE", "AEXPR_SIMILAR": "SIMILAR TO", "AEXPR_IN": "IN",
    "AEXPR_BETWEEN": "BETWEEN", "AEXPR_NOT_BETWEEN": "BETWEEN", "AEXPR_BETWEEN_SYM": "BETWEEN",
    "AEXPR_NOT_BETWEEN_SYM": "BETWEEN", "AEXPR_DISTINCT": "DISTINCT FROM",
    "AEXPR_NOT_DISTINCT": "NOT DISTINCT FROM",
}  # fmt: skip
_NEGATED = frozenset(("!~~", "!~~*", "!~", "<>", "NOT BETWEEN", "NOT BETWEEN SYMMETRIC"))


@dataclass(frozen=True, slots=True)
class _Context:
    """Where a condition stands."""

    scope: Scope
    clause: Clause
    group: int = 0
    negated: bool = False


class Queries(Protocol):
    """Reads what stands inside an expression; `tables` are all tables so far."""

    tables: list[Table]

    def sublink(self, fields: Node, scope: Scope, *, negated: bool) -> int:
        """Read a sub-query as a block, and return its number."""

    def inside(self, node: Any, scope: Scope) -> None:
        """Note the functions and the sub-queries of an expression."""

    def test(self, block: int) -> None:
        """Note that a sub-query's result is compared with a value."""


@dataclass(slots=True)
class Clauses:
    """Collects the conditions of one statement.

    `queries` reads the sub-queries that stand in them; `lengths` are those of lists that were shortened, by
    their first parameter; `ties` are pairs of tables that some condition mentions together, by place.
    """

    queries: Queries
    lengths: Mapping[int, int]
    conditions: list[Condition] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    ties: set[tuple[int, int]] = field(default_factory=set)
    groups: int = 0

    def read(self, node: Any, scope: Scope, clause: Clause) -> None:
        """Read one clause; None is no clause."""
        if node is not None:
            self._read(node, _Context(scope, clause))

    def equal(self, left: Use, right: Use) -> None:
        """Note what JOIN … USING says of a column of both sides."""
        self.joins.append(Join(left, "=", right, "on", block=left.block))

    def _read(self, node: Any, at: _Context) -> None:
        kind, fields = only(node)
        if kind == "BoolExpr":
            self._boolean(fields, at)
            return
        if at.group == 0:
            self._tie(node, at.scope)
        reader = {
            "A_Expr": self._comparison,
            "NullTest": self._null,
            "BooleanTest": self._test,
            "ColumnRef": self._flag,
            "SubLink": self._sublink,
        }.get(kind)
        if reader is not None:
            reader(fields, at)
        else:
            self._rest(node, at)

    def _boolean(self, fields: Node, at: _Context) -> None:
        arguments, operator = fields.get("args", ()), fields.get("boolop")
        negated, group = at.negated, at.group
        if operator == "NOT_EXPR":
            negated = not negated
        elif (operator == "OR_EXPR") != negated and group == 0:
            # NOT (a AND b) is an OR, NOT (a OR b) is none.
            self._tie({"BoolExpr": fields}, at.scope)
            self.groups += 1
            group = self.groups
        for argument in arguments:
            self._read(argument, _Context(at.scope, at.clause, group, negated))

    def _tie(self, node: Any, scope: Scope) -> None:
        if len(self.queries.tables) < 2:
            return
        places = set()
        for reference in expression.columns(node):
            found = scope.find(strings(reference.get("fields")))
            if found is not None:
                places.add(found)
        first, *others = sorted(places) or [0]
        self.ties |= {(first, other) for other in others}

    def _comparison(self, fields: Node, at: _Context) -> None:
        written = (strings(fields.get("name")) or [""])[-1]
        kind = str(fields.get("kind"))
        operator = _KINDS.get(kind, written)
        negated = at.negated != (kind in _KINDS and written in _NEGATED)
        if kind in ("AEXPR_OP_ANY", "AEXPR_OP_ALL"):
            operator = f"{written} {kind[-3:]}"
        here = _Context(at.scope, at.clause, at.group, negated)
        left, right = only(fields.get("lexpr")), only(fields.get("rexpr"))
        if left[0] == right[0] == "RowExpr":
            self._rows(left[1], right[1], operator, here)
        else:
            self._pair(fields.get("lexpr"), fields.get("rexpr"), operator, here)

    def _rows(self, left: Node, right: Node, operator: str, at: _Context) -> None:
        """Compare rows: all columns for equality, the first alone decides for `<` where to begin."""
        pairs = list(zip(left.get("args", ()), right.get("args", ()), strict=False))
        for one, other in pairs if operator == "=" else pairs[:1]:
            self._pair(one, other, operator, at)

    def _pair(self, left: Any, right: Any, operator: str, at: _Context) -> None:
        one, other = self._operand(left, at), self._operand(right, at)
        if isinstance(one, Value) and isinstance(other, Use):
            commuted = operator if operator in _SYMMETRIC else _COMMUTED.get(operator)
            if commuted is None:
                return
            one, other, operator = other, one, commuted
        if isinstance(one, Value):
            for value in (one, other):
                if isinstance(value, Value) and value.block is not None:
                    self.queries.test(value.block)
            return
        if isinstance(other, Value):
            self._condition(one, operator, other, at)
        elif one.table is not None and one.table == other.table:
            same = Value("expression" if other.wrap else "column", text=other.column)
            self._condition(one, operator, same, at)
        else:
            joined = Join(one, operator, other, at.clause, at.group, at.negated, at.scope.block)
            self.joins.append(joined)

    def _operand(self, node: Any, at: _Context) -> Use | Value:
        found = operand(node, at.scope, self._query(at))
        if only(node)[0] not in _SIMPLE:
            self.queries.inside(node, at.scope)
        return found

    def _query(self, at: _Context) -> Query:
        return lambda fields: self.queries.sublink(fields, at.scope, negated=at.negated)

    def _condition(self, left: Use, operator: str, right: Value, at: _Context) -> None:
        if right.kind == "list" and right.parameter and right.parameter in self.lengths:
            right = replace(right, count=self.lengths[right.parameter], parameter=None)
        self.conditions.append(
            Condition(left, operator, right, at.clause, at.group, at.negated, at.scope.block)
        )

    def _null(self, fields: Node, at: _Context) -> None:
        found = self._operand(fields.get("arg"), at)
        null = fields.get("nulltesttype") != "IS_NOT_NULL"
        if isinstance(found, Use):
            self._condition(found, "IS NULL" if null else "IS NOT NULL", Value("nothing"), at)

    def _test(self, fields: Node, at: _Context) -> None:
        found = self._operand(fields.get("arg"), at)
        if isinstance(found, Use):
            self._condition(found, fields["booltesttype"].replace("_", " "), Value("nothing"), at)

    def _flag(self, fields: Node, at: _Context) -> None:
        found = self._operand({"ColumnRef": fields}, at)
        if isinstance(found, Use):
            self._condition(found, "IS TRUE", Value("nothing"), at)

    def _sublink(self, fields: Node, at: _Context) -> None:
        number = self._query(at)(fields)
        if fields.get("testexpr") is not None:
            found = self._operand(fields["testexpr"], at)
            if isinstance(found, Use):
                operator = strings(fields.get("operName"))
                word = f"{operator[-1]} ANY" if operator else "IN"
                self._condition(found, word, Value("query", block=number), at)

    def _rest(self, node: Any, at: _Context) -> None:
        self.queries.inside(node, at.scope)
