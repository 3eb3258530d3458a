"""What is known of a statement, as plain values; `read.statement` makes them.

A statement is made of query blocks (SELECTs and the UPDATE, DELETE or INSERT around them), numbered
from the outermost, 0. Everything names its block, and its table by the place in `Statement.tables`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pgaudit.statements.schema import Relation

Kind = Literal["select", "insert", "update", "delete", "merge", "utility", "unparsed"]
Wrap = Literal["", "function", "cast", "arithmetic", "other"]
Operand = Literal["parameter", "constant", "column", "expression", "list", "query", "nothing"]
Role = Literal["read", "target"]
Place = Literal[
    "main", "with", "from", "set operation", "exists", "in", "not in", "any", "scalar", "source"
]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that a block names; `relation` is None where the catalog does not know it.

    `role` says what the statement does with it: it is the `target` of a write, or it is `read`. `alias`
    is what columns are qualified by. `outer` says that an outer join may fill its columns with NULL.
    `how` is how it came in: a comma (`,`), `cross`, `on`, `using`, `natural`, or empty for the first.
    A sub-query, function or WITH name in FROM is a table with `made` set, and never has a relation.
    """

    name: str
    schema: str | None
    alias: str
    block: int
    relation: Relation | None = None
    role: Role = "read"
    how: str = ""
    outer: bool = False
    made: bool = False

    @property
    def relid(self) -> int | None:
        """The table's OID, if it is known."""
        return self.relation.relid if self.relation else None


@dataclass(frozen=True, slots=True)
class Use:
    """A column as an expression uses it; `table` is None where it could be of several tables.

    `wrap` says what stands between the column and the operator: nothing, a `function`, an explicit
    `cast`, `arithmetic`, or something else; `by` is its name (`lower`, `date`, `+`). `expression` is
    the whole as SQL, with column names unqualified so that an index could be made of it, or None where
    it holds a sub-query, an aggregate or the like. `block` is the block where it stands.
    """

    table: int | None
    column: str
    wrap: Wrap = ""
    by: str = ""
    expression: str | None = None
    block: int = 0

    @property
    def indexable(self) -> bool:
        """Whether the expression is known to the letter: no parameter hides one of its constants."""
        return self.expression is not None and not re.search(r"\$\d", self.expression)


@dataclass(frozen=True, slots=True)
class Value:
    """What a column is compared with.

    `text` is a constant's text, `type` the type it is explicitly cast to, as it was written. `count` is
    the number of elements of a list (whose first may be a `parameter`), `block` that of a sub-query.
    `parts` are the parts of `a || b || c` or `concat(a, b, c)` in order: a parameter's number, a constant's
    text, or None for anything else.
    """

    kind: Operand
    text: str | None = None
    type: str | None = None
    count: int = 1
    parameter: int | None = None
    parts: tuple[int | str | None, ...] = ()
    block: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A column compared with something that is no column of another table.

    `operator` is as written (`=`, `<`, `@>`, `~`), and LIKE, ILIKE, SIMILAR TO, IN, BETWEEN, IS NULL,
    IS NOT NULL, IS TRUE, `= ANY`, DISTINCT FROM in capitals. `clause` is where, on or having. `group` is 0
    where the condition must hold (ANDed), else the number of the OR that it stands under, within
    the statement; `negated` is NOT.
    """

    left: Use
    operator: str
    right: Value
    clause: Literal["where", "on", "having"] = "where"
    group: int = 0
    negated: bool = False
    block: int = 0


@dataclass(frozen=True, slots=True)
class Join:
    """Two columns of two tables compared, also between a block and one around it; `group` as above."""

    left: Use
    operator: str
    right: Use
    clause: Literal["where", "on", "having"] = "where"
    group: int = 0
    negated: bool = False
    block: int = 0


@dataclass(frozen=True, slots=True)
class Sort:
    """One item of ORDER BY; `use` is None for an expression without a column, `function` names its call."""

    use: Use | None
    descending: bool = False
    nulls_first: bool = False
    function: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """What a block returns: the tables of `*` (by place), columns, aggregates, and how many items.

    `used` are the tables that its items mention, also inside expressions; None where one is uncertain.
    """

    stars: tuple[int, ...] = ()
    columns: tuple[Use, ...] = ()
    aggregates: tuple[str, ...] = ()
    items: int = 0
    used: frozenset[int | None] = frozenset()


@dataclass(frozen=True, slots=True)
class Block:
    """One query block. `values` is the number of VALUES rows; `parent` the block around it.

    `compared` is the column on the left of IN, NOT IN or ANY (sub-query), if the block is one. `tested`
    says that its result is only compared with a value: `(SELECT count(*) …) > $1`, `SELECT count(*) > 0`.
    `apart` are the tables that no join or condition ties to the first: a Cartesian product.
    """

    number: int
    place: Place
    parent: int | None = None
    output: Output = Output()
    tables: tuple[int, ...] = ()
    conditional: bool = False
    distinct: bool = False
    distinct_on: tuple[Use, ...] = ()
    groups: tuple[Use, ...] = ()
    grouped: bool = False
    sorts: tuple[Sort, ...] = ()
    limit: Value | None = None
    offset: Value | None = None
    locks: tuple[str, ...] = ()
    skips_locked: bool = False
    values: int = 0
    compared: Use | None = None
    tested: bool = False
    apart: tuple[int, ...] = ()

    @property
    def joined(self) -> bool:
        """Whether all tables of the block hang together."""
        return not self.apart


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement's facts. One that does not parse is of the kind `unparsed`, with the `reason`.

    `verb` is what it does, in capitals (`CREATE INDEX`). `assigned` are the columns that an UPDATE, an ON
    CONFLICT or a MERGE sets; `inserted` the columns of INSERT's list (empty where it has none);
    `conflict` says that INSERT has ON CONFLICT, `returning` that a write returns rows; `functions` are all
    that are called, unqualified; `role` is the OID of the role whose names were looked up.
    """

    text: str
    kind: Kind
    verb: str = ""
    reason: str = ""
    fingerprint: str = ""
    tables: tuple[Table, ...] = ()
    blocks: tuple[Block, ...] = ()
    conditions: tuple[Condition, ...] = ()
    joins: tuple[Join, ...] = ()
    assigned: tuple[str, ...] = ()
    inserted: tuple[str, ...] = ()
    conflict: bool = False
    returning: bool = False
    functions: tuple[str, ...] = ()
    role: int = 0

    @property
    def target(self) -> Table | None:
        """The table that the statement writes, if it writes one."""
        return next((t for t in self.tables if t.role == "target"), None)

    def relation(self, use: Use | None) -> Relation | None:
        """Return the relation whose column is used, if it is known."""
        if use is None or use.table is None:
            return None
        return self.tables[use.table].relation

    def of(self, table: int, block: int | None = None) -> tuple[Condition, ...]:
        """Return the conditions on one table that must hold (in one block, if it is given)."""
        return tuple(
            c
            for c in self.conditions
            if c.left.table == table and c.group == 0 and (block is None or c.block == block)
        )
