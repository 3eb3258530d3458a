"""Patterns of what a statement does as a whole: how it joins, writes and defines."""

from __future__ import annotations

from collections.abc import Iterator

from pgaudit.statements.facts import Block, Statement
from pgaudit.statements.patterns.match import Match, key, ours, unique
from pgaudit.statements.verbs import DDL

_VERBS = frozenset(DDL.values())


def cartesian_join(statement: Statement) -> Iterator[Match]:
    """Find a table that no condition ties to the others, so that it multiplies their rows.

    CROSS JOIN and ON true say that this is wanted, and a table of one row, found by its key or by a single
    value of it, does no harm.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.other_relid for m in cartesian_join(example("SELECT 1 FROM customer, purchase WHERE note = $1"))]
    [2]
    >>> list(cartesian_join(example("SELECT 1 FROM customer c, purchase WHERE c.id = customer_id")))
    []
    >>> both = "EXISTS (SELECT FROM purchase q WHERE q.customer_id = c.id AND q.id = p.id)"
    >>> list(cartesian_join(example("SELECT 1 FROM customer c, purchase p WHERE " + both)))
    []
    >>> last = "SELECT 1 FROM customer, purchase p WHERE p.id = (SELECT max(id) FROM purchase)"
    >>> list(cartesian_join(example(last)))
    []
    """
    for block in statement.blocks:
        apart = [t for t in block.apart if _many(statement, t)]
        near = [t for t in block.tables if t not in block.apart and _many(statement, t)]
        if near and apart:
            yield Match(
                statement.tables[near[0]].relid, other_relid=statement.tables[apart[0]].relid
            )


def _many(statement: Statement, table: int) -> bool:
    return ours(statement.tables[table]) and key(statement, table) is None


def distinct_on_join_fanout(statement: Statement) -> Iterator[Match]:
    """Find DISTINCT over a join with a table that returns nothing, but has many rows for each.

    >>> from pgaudit.statements.patterns.example import example
    >>> text = "SELECT DISTINCT c.id, c.name FROM customer c JOIN purchase p ON p.customer_id = c.id"
    >>> [(m.relid, m.other_relid, m.other_column) for m in distinct_on_join_fanout(example(text))]
    [(1, 2, 'customer_id')]
    >>> list(distinct_on_join_fanout(example(text.replace("c.name", "p.note"))))
    []
    >>> list(distinct_on_join_fanout(example(text.replace("c.name", "c.name || p.note"))))
    []
    """
    for block in statement.blocks:
        if block.distinct and not block.distinct_on and not block.output.aggregates:
            yield from _fanned(statement, block)


def _fanned(statement: Statement, block: Block) -> Iterator[Match]:
    # A sub-query may show what it is joined to as well.
    shown = set(block.output.used) | {
        use.table
        for join in statement.joins
        if join.block != block.number
        for use in (join.left, join.right)
    }
    if None in shown:
        return
    for table in block.tables:
        relation = statement.tables[table].relation
        if table in shown or relation is None or not ours(statement.tables[table]):
            continue
        joined = {
            (use.column, other)
            for join in statement.joins
            if join.operator == "=" and join.group == 0
            for use, other in ((join.left, join.right), (join.right, join.left))
            if use.table == table
        }
        columns = [column for column, _ in joined]
        first = next((t for t in block.tables if t in shown), None)
        if joined and first is not None and not unique(relation, columns):
            column, other = sorted(joined, key=lambda pair: pair[0])[0]
            yield Match(
                statement.tables[first].relid, other.column, relation.relid, column
            )  # fmt: skip


def single_row_insert(statement: Statement) -> Iterator[Match]:
    """Find INSERT of one row of VALUES.

    >>> from pgaudit.statements.patterns.example import example
    >>> len(list(single_row_insert(example("INSERT INTO purchase (note) VALUES ($1) RETURNING id"))))
    1
    >>> len(list(single_row_insert(example("INSERT INTO purchase (note) VALUES ($1), ($2)"))))
    0
    """
    target = statement.target
    if statement.kind == "insert" and target is not None:
        sources = [b for b in statement.blocks if b.place == "source" and b.parent == 0]
        if len(sources) == 1 and sources[0].values == 1:
            yield Match(target.relid, number=1)


def row_by_row_update(statement: Statement) -> Iterator[Match]:
    """Find UPDATE or DELETE of one row by all columns of a unique key.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.column for m in row_by_row_update(example("UPDATE purchase SET note = $1 WHERE id = $2"))]
    ['id']
    """
    if statement.kind not in ("update", "delete"):
        return
    for place, table in enumerate(statement.tables):
        found = key(statement, place)
        if table.role == "target" and found:
            yield Match(table.relid, found[0], number=1)


def ddl(statement: Statement) -> Iterator[Match]:
    """Find a statement that defines something.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.expression for m in ddl(example("ALTER TABLE purchase ADD COLUMN x int"))]
    ['ALTER TABLE']
    """
    verb = statement.verb.replace("TEMPORARY ", "")
    if statement.kind == "utility" and (verb in _VERBS or verb.startswith("DROP ")):
        target = statement.target
        yield Match(target.relid if target else None, expression=statement.verb)
