"""Patterns of which rows are read: by a key, by less, all of them, counted, skipped, locked."""

from __future__ import annotations

from collections.abc import Iterator

from pgaudit.statements.facts import Block, Statement
from pgaudit.statements.patterns.match import Match, first, key, numeric, ours, pinned, tables

_RANDOM = frozenset(("random", "gen_random_uuid", "uuid_generate_v4", "uuidv4"))


def _main(statement: Statement) -> Block | None:
    return statement.blocks[0] if statement.kind == "select" and statement.blocks else None


def _alone(statement: Statement) -> int | None:
    """Return the only table of a SELECT of one block that returns rows of it as they are."""
    block = _main(statement)
    if block is None or len(statement.blocks) > 1 or len(block.tables) != 1:
        return None
    if block.grouped or block.output.aggregates or not ours(statement.tables[block.tables[0]]):
        return None
    return block.tables[0]


def key_lookup(statement: Statement) -> Iterator[Match]:
    """Find the look-up of one row of one table by all columns of a unique key.

    >>> from pgaudit.statements.patterns.example import example
    >>> list(key_lookup(example("SELECT name FROM customer WHERE id = $1 AND name <> $2")))
    [Match(relid=1, column='id', other_relid=None, other_column=None, expression=None, number=None)]
    >>> list(key_lookup(example("SELECT name FROM customer WHERE id > $1")))
    []
    """
    table = _alone(statement)
    found = key(statement, table) if table is not None else None
    if table is not None and found:
        yield Match(statement.tables[table].relid, found[0])


def foreign_key_lookup(statement: Statement) -> Iterator[Match]:
    """Find the look-up of the rows that refer to one row of another table.

    >>> from pgaudit.statements.patterns.example import example
    >>> next(foreign_key_lookup(example("SELECT * FROM purchase WHERE customer_id = $1"))).other_relid
    1
    """
    table = _alone(statement)
    relation = statement.tables[table].relation if table is not None else None
    if table is None or relation is None or key(statement, table):
        return
    columns = pinned(statement, table)
    for foreign in relation.foreign_keys:
        if columns.issuperset(foreign.columns):
            yield Match(relation.relid, foreign.columns[0], foreign.other, foreign.other_columns[0])


def many_row_select(statement: Statement) -> Iterator[Match]:
    """Find a SELECT that returns rows of tables of which it pins no whole key.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.number for m in many_row_select(example("SELECT * FROM customer ORDER BY id LIMIT 20"))]
    [20]
    """
    block = _main(statement)
    if block is None or (block.output.aggregates and not block.grouped):
        return
    limit = numeric(block.limit.text) if block.limit else None
    for table in block.tables:
        if ours(statement.tables[table]) and not key(statement, table):
            yield Match(statement.tables[table].relid, number=limit)


def unbounded_select(statement: Statement) -> Iterator[Match]:
    """Find a SELECT without LIMIT, aggregate or a whole key; how many rows it returns is counted.

    >>> from pgaudit.statements.patterns.example import example
    >>> len(list(unbounded_select(example("SELECT * FROM purchase WHERE customer_id = $1"))))
    1
    >>> list(unbounded_select(example("SELECT count(*) FROM purchase")))
    []
    """
    block = _main(statement)
    if block is None or block.limit or (block.output.aggregates and not block.grouped):
        return
    found = first(statement, block)
    if found and not any(key(statement, table) for table in block.tables):
        yield found


def locking_select(statement: Statement) -> Iterator[Match]:
    """Find row locks that neither LIMIT nor a whole key bounds.

    >>> from pgaudit.statements.patterns.example import example
    >>> next(locking_select(example("SELECT * FROM purchase WHERE note = $1 FOR UPDATE"))).expression
    'FOR UPDATE'
    """
    for block in statement.blocks:
        bounded = block.limit is not None or any(key(statement, table) for table in block.tables)
        found = first(statement, block)
        if statement.kind == "select" and block.locks and not bounded and found:
            yield Match(found.relid, expression=block.locks[0])


def select_star(statement: Statement) -> Iterator[Match]:
    """Find all columns of a table returned to the client.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.relid for m in select_star(example("SELECT c.*, p.id FROM customer c, purchase p"))]
    [1]
    """
    for block in statement.blocks:
        if statement.kind == "select" and block.place in ("main", "set operation"):
            for table in block.output.stars:
                if ours(statement.tables[table]):
                    yield Match(statement.tables[table].relid)


def deep_offset(statement: Statement) -> Iterator[Match]:
    """Find OFFSET; the rows that it skips are read all the same.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.number for m in deep_offset(example("SELECT id FROM purchase LIMIT 10 OFFSET 5000"))]
    [5000]
    """
    for block in statement.blocks:
        found = first(statement, block)
        if block.offset is None or found is None:
            continue
        number = numeric(block.offset.text)
        if number != 0:
            yield Match(found.relid, number=number)


def full_count(statement: Statement) -> Iterator[Match]:
    """Find count(*) of one table without a condition; OFFSET, LIMIT or DISTINCT change nothing.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.relid for m in full_count(example("SELECT count(*) AS total FROM purchase"))]
    [2]
    >>> list(full_count(example("SELECT count(*) FROM purchase WHERE note = $1")))
    []
    """
    for block in statement.blocks:
        counts = block.output.aggregates and set(block.output.aggregates) <= {"count(*)", "count"}
        if counts and block.output.items == 1 and not block.conditional and not block.grouped:
            found = tables(statement, block)
            if len(block.tables) == len(found) == 1:
                yield Match(found[0].relid)


def count_for_existence(statement: Statement) -> Iterator[Match]:
    """Find a count whose only use is to be compared; EXISTS would stop at the first row.

    That an application compares the number itself, no statement can tell.

    >>> from pgaudit.statements.patterns.example import example
    >>> len(list(count_for_existence(example("SELECT count(*) > 0 FROM purchase WHERE note = $1"))))
    1
    >>> inner = "(SELECT count(*) FROM purchase p WHERE p.customer_id = c.id) > $1"
    >>> [m.relid for m in count_for_existence(example("SELECT id FROM customer c WHERE " + inner))]
    [2]
    """
    for block in statement.blocks:
        found = first(statement, block)
        counted = set(block.output.aggregates) in ({"count(*)"}, {"count"})
        if found and counted and block.tested and not block.grouped:
            yield found


def order_by_random(statement: Statement) -> Iterator[Match]:
    """Find ORDER BY random(): every row is read and sorted, for however few.

    >>> from pgaudit.statements.patterns.example import example
    >>> len(list(order_by_random(example("SELECT id FROM purchase ORDER BY random() LIMIT 1"))))
    1
    """
    for block in statement.blocks:
        found = first(statement, block)
        if found and block.sorts and block.sorts[0].function in _RANDOM:
            yield found


def aggregate(statement: Statement) -> Iterator[Match]:
    """Find a SELECT that aggregates, for each table of its outermost block.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.relid for m in aggregate(example("SELECT note, sum(id) FROM purchase GROUP BY 1"))]
    [2]
    """
    block = _main(statement)
    if block is not None and (block.grouped or block.output.aggregates):
        for table in tables(statement, block):
            yield Match(table.relid)


def table_read(statement: Statement) -> Iterator[Match]:
    """Find every table that a SELECT reads, once each, with the functions that it calls.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.relid for m in table_read(example("SELECT * FROM customer a, customer b"))]
    [1]
    >>> [m.expression for m in table_read(example("SELECT lower(name), random() FROM customer"))]
    ['lower, random']
    >>> list(table_read(example("WITH x AS (DELETE FROM customer RETURNING id) SELECT * FROM x")))
    []
    """
    locked = any(block.locks for block in statement.blocks)
    if statement.kind == "select" and statement.target is None and not locked:
        reads = [t.relid for t in statement.tables if ours(t)]
        for relid in dict.fromkeys(reads):
            called = ", ".join(sorted(statement.functions))
            yield Match(relid, expression=called or None, number=len(reads))
