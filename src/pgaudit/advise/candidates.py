"""A statement's facts and its tables → the indexes that might help it, the simplest last.

Each is only proposed here; whether it earns what it costs is for the planner to say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pgaudit import quote
from pgaudit.advise.model import Candidate
from pgaudit.postgres.relations import Column, Table
from pgaudit.statements.facts import Condition, Statement, Use

SMALLEST_PAGES = 10
"""Tables below are read faster in whole."""

MOST_KEYS = 3
WIDEST_INCLUDED = 64
"""Bytes a row that are carried along at most, so that an index need not visit its table."""

FEW = 0.2
"""The share of the rows that a partial index may keep at most."""

BRIN_PAGES = 8192
BRIN_CORRELATION = 0.95

EQUAL = frozenset({"=", "IN", "= ANY"})
RANGE = frozenset({"<", "<=", ">", ">=", "BETWEEN"})
PATTERN = frozenset({"LIKE", "ILIKE", "~", "~*"})
CONTAINED: Mapping[str, frozenset[str]] = {
    "jsonb": frozenset({"@>", "?", "?|", "?&", "@?", "@@"}),
    "tsvector": frozenset({"@@"}),
}
ARRAY = frozenset({"@>", "<@", "&&"})
IMMUTABLE = frozenset({"lower", "upper", "btrim", "length", "md5"})
"""Functions that an index may be made of, known without asking the server."""


NOTHING: Mapping[int, frozenset[str]] = {}


@dataclass(frozen=True, slots=True)
class Key:
    """One possible key: its SQL, and the columns that it is made of."""

    sql: str
    columns: frozenset[str]
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """What one statement asks of one of its tables."""

    table: Table
    equal: tuple[Key, ...]
    ranges: tuple[Key, ...]
    joined: tuple[Key, ...]
    sorts: tuple[Key, ...]
    limited: bool
    partial: tuple[tuple[str, str], ...]
    returned: frozenset[str] | None
    assigned: frozenset[str]
    contained: tuple[Candidate, ...]


def of(
    statement: Statement,
    tables: Mapping[int, Table],
    frequency: Mapping[tuple[int, str], int],
    assigned: Mapping[int, frozenset[str]] = NOTHING,
) -> tuple[Candidate, ...]:
    """Return the candidates for every table of a statement that is large enough.

    `frequency` counts, for a table's oid and a key, the statements that compare it for equality;
    the commonest comes first, so that one index serves many statements (a tenant's number, say).
    `assigned` are the columns that the workload updates, by the table's oid: none is carried along.
    """
    found: dict[Candidate, None] = {}
    for place, named in enumerate(statement.tables):
        table = tables.get(named.relid or 0)
        if table is None or table.pages < SMALLEST_PAGES:
            continue
        asked = _asked(statement, place, table, frequency, assigned.get(table.oid, frozenset()))
        for candidate in itertools.chain(_ordered(asked), asked.contained, _ranges(asked)):
            if not exists(candidate, table):
                found.setdefault(candidate)
    return tuple(found)


def equal_keys(statement: Statement) -> Iterator[tuple[int, str]]:
    """Yield the oid and key of each comparison for equality, to be counted."""
    for condition in statement.conditions:
        relation = statement.relation(condition.left)
        if relation is None or condition.operator not in EQUAL or condition.negated:
            continue
        if condition.right.kind != "query" and not condition.group:
            key = _key(condition.left)
            if key is not None:
                yield relation.relid, key.sql


def simpler(candidate: Candidate) -> Iterator[Candidate]:
    """Yield smaller indexes that might do nearly as well, the smallest last."""
    if candidate.included:
        yield replace(
            candidate, included=(), columns=candidate.columns - _unquoted(candidate.included)
        )
    for count in range(len(candidate.keys) - 1, 0, -1):
        dropped = _unquoted((*candidate.keys[count:], *candidate.included))
        yield replace(
            candidate, keys=candidate.keys[:count], included=(), columns=candidate.columns - dropped
        )


def exists(candidate: Candidate, table: Table) -> bool:
    """Say whether an index of the table already begins with what the candidate consists of."""
    return any(
        index.method == candidate.method
        and index.plain
        and _same(index.predicate or "", candidate.predicate or "")
        and len(index.keys) >= len(candidate.keys)
        and all(map(_same, candidate.keys, index.keys))
        and {bare(c) for c in candidate.included}
        <= {bare(c) for c in (*index.included, *index.keys)}
        for index in table.indexes
    )


def resembles(candidate: Candidate, table: Table) -> bool:
    """Say whether an index of the table already begins with the candidate's first key."""
    return any(
        index.method == candidate.method
        and index.plain
        and _same(index.keys[0], candidate.keys[0])
        and _same(index.predicate or "", candidate.predicate or "")
        for index in table.indexes
    )


def _ordered(asked: Asked) -> Iterator[Candidate]:
    """Yield B-trees: what is compared for equality first, then one range or the sort."""
    leading = asked.equal[:MOST_KEYS]
    shapes: list[tuple[Key, ...]] = []
    if asked.sorts and len(leading) + len(asked.sorts) <= MOST_KEYS + 1:
        shapes.append((*leading, *asked.sorts))
    shapes += [(*leading, one) for one in asked.ranges]
    if leading:
        shapes.append(leading)
    for joined in asked.joined:
        if leading:
            shapes += [(*leading[:2], joined), (joined, *leading[:2])]
        shapes += [(joined, one) for one in asked.ranges[:1]]
        shapes.append((joined,))
    shapes += [(one,) for one in leading]
    if asked.sorts and asked.limited:
        shapes.append(asked.sorts)
    if not shapes and asked.partial:
        # Nothing but the predicate tells the rows, so any narrow key will do.
        unique = [
            i.keys[0] for i in asked.table.indexes if i.unique and i.keys[0] in asked.table.columns
        ]
        shapes += [(Key(quote.identifier(name), frozenset({name})),) for name in unique[:1]]
    # A join's column may also be compared with a parameter; a key stands once.
    for keys in dict.fromkeys(tuple(dict.fromkeys(shape)) for shape in shapes):
        made = _candidate(asked.table, keys)
        for column, predicate in asked.partial:
            rest = tuple(key for key in keys if key.sql != column)
            if rest:
                yield replace(
                    _candidate(asked.table, rest),
                    predicate=predicate,
                    columns=made.columns | {bare(column)},
                )
        covering = _covering(asked, made)
        if covering is not None:
            yield covering
        yield made


def _covering(asked: Asked, made: Candidate) -> Candidate | None:
    """Add the columns that the statement returns, if they are few and narrow."""
    if asked.returned is None or any(
        key not in map(quote.identifier, made.columns) for key in made.keys
    ):
        return None
    extra = sorted(asked.returned - made.columns)
    # An INCLUDE column counts for heap-only updates as a key does.
    if not asked.assigned.isdisjoint(extra):
        return None
    known = [asked.table.columns[name] for name in extra if name in asked.table.columns]
    if not extra or len(known) < len(extra) or len(extra) > 3:
        return None
    if sum(column.width for column in known) > WIDEST_INCLUDED:
        return None
    included = tuple(map(quote.identifier, extra))
    return replace(made, included=included, columns=made.columns | set(extra))


def _ranges(asked: Asked) -> Iterator[Candidate]:
    """Yield BRIN for a range over a column that lies in the table's order."""
    if asked.table.pages < BRIN_PAGES:
        return
    for key in asked.ranges:
        column = _plain(asked.table, key)
        if column is not None and abs(column.correlation or 0) >= BRIN_CORRELATION:
            yield Candidate(asked.table.oid, (key.sql,), key.columns, method="brin")


def _candidate(table: Table, keys: Sequence[Key]) -> Candidate:
    columns = frozenset[str]().union(*(key.columns for key in keys))
    certain = all(key.certain for key in keys)
    return Candidate(table.oid, tuple(key.sql for key in keys), columns, certain=certain)


def _asked(
    statement: Statement,
    place: int,
    table: Table,
    frequency: Mapping[tuple[int, str], int],
    assigned: frozenset[str],
) -> Asked:
    equal: dict[Key, None] = {}
    ranges: dict[Key, None] = {}
    partial: dict[tuple[str, str], None] = {}
    contained: list[Candidate] = []
    joined: dict[Key, None] = dict.fromkeys(_looked_up(statement, place, table))
    for condition in statement.of(place):
        if condition.clause == "having":
            continue
        kept = _partial(condition, table)
        if kept is not None:
            partial.setdefault(kept)
        key = _key(condition.left)
        if condition.negated or key is None:
            continue
        contained += _contained(condition, table)
        if not _sortable(table, key):
            continue
        if condition.operator in EQUAL and condition.right.kind == "query":
            joined.setdefault(key)
        elif condition.operator in EQUAL:
            equal.setdefault(key)
        elif condition.operator in RANGE:
            ranges.setdefault(key)
    for join in statement.joins:
        if join.operator != "=" or join.group or join.negated:
            continue
        for key in (_key(use) for use in (join.left, join.right) if use.table == place):
            if key is not None and _sortable(table, key):
                joined.setdefault(key)

    def first(key: Key) -> tuple[int, float, str]:
        return -frequency.get((table.oid, key.sql), 0), selectivity(table, key), key.sql

    sorts, limited = _sorts(statement, place, table)
    return Asked(
        table=table,
        equal=tuple(sorted(equal, key=first)),
        ranges=tuple(ranges),
        joined=tuple(joined),
        sorts=sorts,
        limited=limited,
        partial=tuple(partial),
        returned=_returned(statement, place),
        assigned=assigned,
        contained=tuple(contained),
    )


def _looked_up(statement: Statement, place: int, table: Table) -> Iterator[Key]:
    """Yield the columns that a sub-query under IN or = ANY returns, which are joined in effect.

    Only what must hold becomes a semi-join. NOT IN, other operators, and what stands under OR are
    looked up in the sub-query's whole result.

    Source: PostgreSQL's pull_up_sublinks and convert_ANY_sublink_to_join.
    """
    joined = {
        condition.right.block
        for condition in statement.conditions
        if condition.operator in EQUAL and not (condition.negated or condition.group)
    }
    for block in statement.blocks:
        if block.place in ("in", "any") and block.number in joined:
            for use in block.output.columns:
                key = _key(use) if use.table == place else None
                if key is not None and _sortable(table, key):
                    yield key


def _sorts(statement: Statement, place: int, table: Table) -> tuple[tuple[Key, ...], bool]:
    """Return the keys of the ORDER BY that is all on this table, and whether a LIMIT follows."""
    block = statement.blocks[statement.tables[place].block]
    uses = [sort.use for sort in block.sorts]
    keys = [_key(use) if use is not None and use.table == place else None for use in uses]
    if not keys or block.grouped or any(k is None or not _sortable(table, k) for k in keys):
        return (), False
    # An index is read backwards as well, so only a mixture of directions has to be said.
    mixed = len({sort.descending for sort in block.sorts}) > 1
    made = tuple(
        replace(key, sql=f"{key.sql} DESC") if mixed and sort.descending else key
        for key, sort in zip(keys, block.sorts, strict=True)
        if key is not None
    )
    return made, block.limit is not None


def _partial(condition: Condition, table: Table) -> tuple[str, str] | None:
    """Return a column and the predicate on it that keeps few rows, if the condition is constant."""
    use = condition.left
    column = table.columns.get(use.column)
    if column is None or use.wrap or column.nulls is None:
        return None
    if condition.negated and column.type != "bool":
        return None
    name = quote.identifier(use.column)
    share, predicate = 1.0, ""
    if condition.operator == "IS NULL":
        share, predicate = column.nulls, f"{name} IS NULL"
    elif condition.operator == "IS NOT NULL":
        share, predicate = 1 - column.nulls, f"{name} IS NOT NULL"
    elif condition.operator in ("IS TRUE", "IS FALSE", "") and column.type == "bool":
        wanted = (condition.operator != "IS FALSE") is not condition.negated
        share = column.common.get("t" if wanted else "f", 0.0)
        predicate = name if wanted else f"NOT {name}"
    elif condition.operator == "=" and condition.right.kind == "constant" and condition.right.text:
        share = column.common.get(condition.right.text, 0.0)
        predicate = f"{name} = {quote.literal(condition.right.text)}"
    return (name, predicate) if 0 < share <= FEW else None


def _contained(condition: Condition, table: Table) -> list[Candidate]:
    """Return GIN for containment, full text search, and patterns that do not begin with text."""
    use = condition.left
    key, column = _key(use), table.columns.get(use.column)
    if key is None or column is None:
        return []
    if use.wrap == "function" and use.by == "to_tsvector" and condition.operator == "@@":
        return [Candidate(table.oid, (key.sql,), key.columns, method="gin")]
    if use.wrap:
        return []
    if condition.operator in CONTAINED.get(column.type, ()):
        # jsonb_path_ops is smaller and faster, and knows the three operators that search by value.
        small = column.type == "jsonb" and condition.operator in ("@>", "@?", "@@")
        sql = f"{key.sql} jsonb_path_ops" if small else key.sql
        return [Candidate(table.oid, (sql,), key.columns, method="gin")]
    if column.type.startswith("_") and condition.operator in ARRAY:
        return [Candidate(table.oid, (key.sql,), key.columns, method="gin")]
    if column.type in ("text", "varchar") and condition.operator in PATTERN:
        sql = f"{key.sql} gin_trgm_ops"
        return [Candidate(table.oid, (sql,), key.columns, method="gin", needs="pg_trgm")]
    return []


def _returned(statement: Statement, place: int) -> frozenset[str] | None:
    """Return every column of a table that a SELECT needs, or None where that cannot be told."""
    if statement.kind != "select" or any(block.locks for block in statement.blocks):
        return None
    uses: list[Use] = []
    for block in statement.blocks:
        output = block.output
        # An item that is no plain column may hold any; `count(*)` is one item and holds none.
        counts = output.aggregates.count("count(*)")
        told = len(output.columns) + len(output.stars) + counts
        if place in output.stars or output.items != told:
            return None
        uses += [*output.columns, *block.groups, *block.distinct_on]
        uses += [sort.use for sort in block.sorts if sort.use is not None]
    uses += [condition.left for condition in statement.conditions]
    uses += [use for join in statement.joins for use in (join.left, join.right)]
    if any(use.table is None for use in uses):
        return None
    return frozenset(use.column for use in uses if use.table == place)


def _key(use: Use) -> Key | None:
    if use.table is None:
        return None
    if not use.wrap:
        return Key(quote.identifier(use.column), frozenset({use.column}))
    if use.expression is None:
        return None
    certain = use.wrap == "function" and use.by in IMMUTABLE
    return Key(f"({use.expression})", frozenset({use.column}), certain)


def _sortable(table: Table, key: Key) -> bool:
    """Say whether a B-tree of it can be made; what an expression's type is, only the server knows."""
    column = _plain(table, key)
    return column is None or (
        column.ordered and column.type != "jsonb" and not column.type.startswith("_")
    )


def _plain(table: Table, key: Key) -> Column | None:
    (name,) = key.columns if len(key.columns) == 1 else ("",)
    return table.columns.get(name) if key.sql == quote.identifier(name) else None


def selectivity(table: Table, key: Key) -> float:
    """Estimate the share of a table's rows that one value of a key has.

    Source: PostgreSQL's var_eq_non_const, without the most common values.
    """
    column = _plain(table, key)
    if column is None or column.distinct is None:
        return 0.005
    values = column.distinct if column.distinct > 0 else -column.distinct * table.rows
    return (1 - (column.nulls or 0)) / max(values, 1)


def _same(one: str, other: str) -> bool:
    """Compare two keys or predicates, whoever wrote them.

    >>> _same('(lower("email"))', "lower((email)::text)"), _same('"a"', '"A"')
    (True, False)
    """
    return bare(one) == bare(other)


def bare(sql: str) -> str:
    """Take out what PostgreSQL's deparser adds or leaves out."""
    for noise in ("::text", "::character varying", "(", ")", " ", '"'):
        sql = sql.replace(noise, "")
    return sql


def _unquoted(keys: Sequence[str]) -> frozenset[str]:
    return frozenset(map(bare, keys))
