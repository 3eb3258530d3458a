"""The query blocks of a parse tree, one after the other: what they read, return, sort and limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from pgaudit.statements import expression
from pgaudit.statements.conditions import Clauses
from pgaudit.statements.expression import LEAVES, children, only, strings
from pgaudit.statements.facts import Block, Output, Place, Role, Sort, Table, Use, Value
from pgaudit.statements.operand import named, operand, use
from pgaudit.statements.schema import Schema
from pgaudit.statements.scope import Scope
from pgaudit.statements.tied import apart
from pgaudit.statements.tree import Node, Tree

AGGREGATES = frozenset(
    {
        "count", "sum", "avg", "min", "max", "array_agg", "string_agg", "json_agg", "jsonb_agg",
        "json_object_agg", "jsonb_object_agg", "bool_and", "bool_or", "every", "stddev",
        "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", "percentile_cont",
        "percentile_disc", "mode", "bit_and", "bit_or", "corr", "regr_slope", "any_value",
    }
)  # fmt: skip
"""PostgreSQL's own aggregates; one that an extension or a user made looks like a function."""


class Blocks:
    """Reads blocks into lists that grow; `tree` and `schema` are given, `role` is whose names they are."""

    def __init__(self, tree: Tree, schema: Schema, role: int) -> None:
        self.tree = tree
        self.schema = schema
        self.role = role
        self.tables: list[Table] = []
        self.blocks: list[Block] = []
        self.functions: dict[str, None] = {}
        self.clauses = Clauses(self, tree.shortened)

    def scope(self, place: Place, parent: Scope | None) -> Scope:
        """Begin a block inside another."""
        number = len(self.blocks)
        outer = parent.block if parent is not None else None
        self.blocks.append(Block(number, place, outer))
        return Scope(number, self.tables, parent, parent.withs if parent else frozenset())

    def select(
        self, node: Node, place: Place, parent: Scope | None, compared: Use | None = None
    ) -> int:
        """Read a SELECT, VALUES or set operation, and all that is inside it; return its number."""
        scope = self.scope(place, parent)
        self.withs(node, scope)
        if "larg" in node:
            self.select(node["larg"], "set operation", scope)
            self.select(node["rarg"], "set operation", scope)
        self.sources(node.get("fromClause", ()), scope)
        self.clauses.read(node.get("whereClause"), scope, "where")
        self.clauses.read(node.get("havingClause"), scope, "having")
        self.finish(scope, node, compared)
        return scope.block

    def finish(self, scope: Scope, node: Node, compared: Use | None = None) -> None:
        """Say what a block returns and how, once its tables and conditions are known."""
        targets = node.get("targetList", ())
        groups, distinct = node.get("groupClause", ()), node.get("distinctClause", ())
        sorts, locks = node.get("sortClause", ()), node.get("lockingClause", ())
        for part in (targets, groups, sorts, distinct, node.get("valuesLists", ())):
            self.inside(part, scope)
        self.blocks[scope.block] = dataclasses.replace(
            self.blocks[scope.block],
            output=self._output(targets, scope),
            tables=tuple(scope.places),
            conditional="whereClause" in node,
            distinct=bool(distinct),
            distinct_on=_uses((_named(d, targets) for d in distinct if d), scope),
            groups=_uses((_named(g, targets) for g in groups), scope),
            grouped=bool(groups),
            sorts=tuple(_sort(only(s)[1], targets, scope) for s in sorts),
            limit=self._limit(node.get("limitCount"), scope),
            offset=self._limit(node.get("limitOffset"), scope),
            locks=tuple(_lock(only(lock)[1]) for lock in locks),
            skips_locked=any("waitPolicy" in only(lock)[1] and
                             only(lock)[1]["waitPolicy"] == "LockWaitSkip" for lock in locks),
            values=self._values(node),
            compared=compared,
            tested=self.blocks[scope.block].tested or _tests(targets),
            apart=apart(scope.places, self.tables, self.clauses),
        )  # fmt: skip

    def test(self, block: int) -> None:
        """Note that a sub-query's result is compared with a value."""
        self.blocks[block] = dataclasses.replace(self.blocks[block], tested=True)

    def withs(self, node: Node, scope: Scope) -> None:
        """Read the WITH queries of a statement; their names hide tables from here on."""
        clause = node.get("withClause") or {}
        for wrapped in clause.get("ctes", ()):
            query = only(wrapped)[1]
            name = query.get("ctename", "")
            if clause.get("recursive"):
                scope.withs |= {name}
            kind, fields = only(query.get("ctequery"))
            if kind == "SelectStmt":
                self.select(fields, "with", Scope(scope.block, self.tables, None, scope.withs))
            elif fields:
                inner = self.scope("with", Scope(scope.block, self.tables, None, scope.withs))
                self.write(fields, inner)
            scope.withs |= {name}

    def write(self, node: Node, scope: Scope) -> None:
        """Read an INSERT, UPDATE, DELETE or MERGE into a block that was begun."""
        self.withs(node, scope)
        self.table(node.get("relation", {}), scope, "", role="target")
        self.sources(node.get("fromClause", node.get("usingClause", ())), scope, first=",")
        if "sourceRelation" in node:
            self.source(node["sourceRelation"], scope, "on")
        if "selectStmt" in node:
            self.select(only(node["selectStmt"])[1], "source", scope)
        self.clauses.read(node.get("joinCondition"), scope, "on")
        self.clauses.read(node.get("whereClause"), scope, "where")
        for part in ("onConflictClause", "mergeWhenClauses"):
            self.inside(node.get(part), scope)
        self.finish(scope, {**node, "targetList": node.get("returningList", ())})
        self.inside(node.get("targetList"), scope)

    def sources(self, nodes: Iterable[Any], scope: Scope, first: str = "") -> None:
        """Read the items of FROM."""
        for position, node in enumerate(nodes):
            self.source(node, scope, "," if position else first)

    def source(self, node: Any, scope: Scope, how: str, *, outer: bool = False) -> None:
        """Read one item of FROM: a table, a join, a sub-query, a function."""
        kind, fields = only(node)
        if kind == "RangeVar":
            self.table(fields, scope, how, outer=outer)
        elif kind == "JoinExpr":
            self._join(fields, scope, how, outer=outer)
        elif kind == "RangeSubselect":
            lateral = scope if fields.get("lateral") else Scope(
                scope.block, self.tables, scope.parent, scope.withs)  # fmt: skip
            self.select(only(fields.get("subquery"))[1], "from", lateral)
            self._made(fields, scope, "lateral" if fields.get("lateral") else how)
        elif kind == "RangeTableSample":
            self.source(fields.get("relation"), scope, how, outer=outer)
        elif kind:
            self.inside(node, scope)
            self._made(fields, scope, "lateral")

    def table(
        self, node: Node, scope: Scope, how: str, *, role: Role = "read", outer: bool = False
    ) -> None:
        """Note a table under its alias, with what the catalog says of it."""
        name: str = node.get("relname", "")
        schema: str | None = node.get("schemaname")
        made = role == "read" and schema is None and name in scope.withs
        alias: str = (node.get("alias") or {}).get("aliasname", name)
        relation = None if made else self.schema.find(name, schema, self.role)
        scope.places.append(len(self.tables))
        self.tables.append(
            Table(name, schema, alias, scope.block, relation, role, how, outer, made)
        )

    def sublink(self, fields: Node, scope: Scope, *, negated: bool) -> int:
        """Read a sub-query of an expression as a block."""
        kind = fields.get("subLinkType")
        compared = None
        if fields.get("testexpr") is not None:
            found = operand(fields["testexpr"], scope, lambda inner: self.sublink(
                inner, scope, negated=False))  # fmt: skip
            compared = found if isinstance(found, Use) else None
        place: Place = "exists" if kind == "EXISTS_SUBLINK" else "scalar"
        if kind == "ANY_SUBLINK":
            in_list: Place = "not in" if negated else "in"
            place = "any" if fields.get("operName") else in_list
        elif kind == "ALL_SUBLINK":
            place = "not in" if strings(fields.get("operName")) == ["<>"] else "any"
        return self.select(only(fields.get("subselect"))[1], place, scope, compared)

    def inside(self, node: Any, scope: Scope) -> None:
        """Note the functions and the sub-queries of an expression."""
        for kind, fields in children(node):
            if kind == "SubLink":
                self.inside(fields.get("testexpr"), scope)
                self.sublink(fields, scope, negated=False)
                continue
            if kind == "ResTarget" and "ColumnRef" in (fields.get("val") or ()):
                continue
            if kind == "FuncCall":
                self.functions[expression.function(fields)] = None
            if kind == "SelectStmt":
                self.select(fields, "from", scope)
            elif kind != "ColumnRef" and kind not in LEAVES:
                self.inside(fields, scope)

    def _join(self, fields: Node, scope: Scope, how: str, *, outer: bool) -> None:
        kind = fields.get("jointype", "")
        left_outer = outer or kind in ("JOIN_RIGHT", "JOIN_FULL")
        right_outer = outer or kind in ("JOIN_LEFT", "JOIN_FULL")
        self.source(fields.get("larg"), scope, how, outer=left_outer)
        before = list(scope.places)
        quals, using = fields.get("quals"), strings(fields.get("usingClause"))
        pairs = "natural" if fields.get("isNatural") else "using" if using else ""
        # ON true and ON $1 (which is what becomes of it) ask for all pairs as plainly as CROSS JOIN does.
        plain = quals is None or only(quals)[0] in ("A_Const", "ParamRef")
        self.source(
            fields.get("rarg"), scope, pairs or ("cross" if plain else "on"), outer=right_outer
        )
        for name in using:
            self._using(name, before, scope)
        self.clauses.read(quals, scope, "on")

    def _using(self, name: str, before: list[int], scope: Scope) -> None:
        after = [place for place in scope.places if place not in before]
        left = Scope(scope.block, self.tables, places=before).find([name])
        right = Scope(scope.block, self.tables, places=after).find([name])
        quoted = expression.identifier(name)
        self.clauses.equal(
            Use(left, name, expression=quoted, block=scope.block),
            Use(right, name, expression=quoted, block=scope.block),
        )

    def _made(self, fields: Node, scope: Scope, how: str) -> None:
        alias: str = (fields.get("alias") or {}).get("aliasname", "")
        scope.places.append(len(self.tables))
        self.tables.append(Table(alias, None, alias, scope.block, how=how, made=True))

    def _output(self, targets: Iterable[Any], scope: Scope) -> Output:
        stars: list[int] = []
        columns: list[Use] = []
        aggregates: list[str] = []
        used: set[int | None] = set()
        items = 0
        for target in targets:
            items += 1
            value = only(target)[1].get("val")
            kind, fields = only(value)
            names = strings(fields.get("fields")) if kind == "ColumnRef" else []
            if names[-1:] == ["*"]:
                stars += [p for p in scope.places
                          if len(names) == 1 or self.tables[p].alias == names[-2]]  # fmt: skip
            elif names:
                found = named(names, scope)
                columns += [found] if found else []
            else:
                aggregates += _aggregates(value)
                found = use(value, scope)
                columns += [found] if found else []
                used |= {scope.find(strings(r.get("fields"))) for r in expression.columns(value)}
        used |= {*stars, *(column.table for column in columns)}
        return Output(tuple(stars), tuple(columns), tuple(aggregates), items, frozenset(used))

    def _limit(self, node: Any, scope: Scope) -> Value | None:
        kind, fields = only(node)
        if not kind or (kind == "A_Const" and fields.get("isnull")):
            return None
        found = operand(node, scope, lambda inner: self.sublink(inner, scope, negated=False))
        return found if isinstance(found, Value) else Value("expression")

    def _values(self, node: Node) -> int:
        rows = node.get("valuesLists", ())
        if len(rows) == 1:
            for kind, fields in children(only(rows[0])[1].get("items", ())):
                if kind == "ParamRef" and fields.get("number") in self.tree.rows:
                    return self.tree.rows[fields["number"]]
        return len(rows)


_COMPARED = frozenset(("=", "<>", "<", ">", "<=", ">="))


def _tests(targets: Any) -> bool:
    """Say whether the only thing returned is a comparison of an aggregate."""
    if len(targets) != 1:
        return False
    kind, fields = only(only(targets[0])[1].get("val"))
    compared = kind == "A_Expr" and strings(fields.get("name"))[-1:]
    return bool(compared and compared[0] in _COMPARED and _aggregates(fields.get("lexpr")))


def _aggregates(node: Any) -> list[str]:
    found = []
    for kind, fields in children(node):
        if kind == "FuncCall" and "over" not in fields:
            name = expression.function(fields)
            if name in AGGREGATES or fields.get("agg_star") or fields.get("agg_distinct"):
                found.append(f"{name}(*)" if fields.get("agg_star") else name)
                continue
        if kind not in ("SubLink", "SelectStmt"):
            found += _aggregates(fields)
    return found


def _named(node: Any, targets: Any) -> Any:
    """Return what an item of ORDER BY or GROUP BY stands for: a place or a name of the output."""
    kind, fields = only(node)
    items = [only(target)[1] for target in targets]
    if kind == "A_Const" and "ival" in fields:
        place = int(fields["ival"].get("ival", 0))
        return items[place - 1].get("val") if 0 < place <= len(items) else node
    names = strings(fields.get("fields")) if kind == "ColumnRef" else []
    if len(names) == 1:
        return next((i.get("val") for i in items if i.get("name") == names[0]), node)
    return node


def _uses(nodes: Iterable[Any], scope: Scope) -> tuple[Use, ...]:
    return tuple(found for found in (use(node, scope) for node in nodes) if found)


def _sort(fields: Node, targets: Any, scope: Scope) -> Sort:
    node = _named(fields.get("node"), targets)
    kind, inner = only(node)
    descending = fields.get("sortby_dir") == "SORTBY_DESC"
    nulls = fields.get("sortby_nulls", "SORTBY_NULLS_DEFAULT")
    first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls == "SORTBY_NULLS_FIRST"
    called = expression.function(inner) if kind == "FuncCall" else ""
    return Sort(use(node, scope), descending, first, called)


def _lock(fields: Node) -> str:
    return {
        "LCS_FORUPDATE": "FOR UPDATE",
        "LCS_FORNOKEYUPDATE": "FOR NO KEY UPDATE",
        "LCS_FORSHARE": "FOR SHARE",
        "LCS_FORKEYSHARE": "FOR KEY SHARE",
    }.get(str(fields.get("strength")), "FOR UPDATE")
