"""Patterns by name: each takes a statement's facts and returns its matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from pgaudit.statements.facts import Statement
from pgaudit.statements.patterns import predicates, rows, shapes
from pgaudit.statements.patterns.match import Match

__all__ = ["PATTERNS", "Match", "Pattern", "same_fingerprint"]

Pattern = Callable[[Statement], Iterable[Match]]


def same_fingerprint(statement: Statement) -> Iterator[Match]:
    """Find a query at all; whoever knows all statements says of how many it is one.

    >>> from pgaudit.statements.patterns.example import example
    >>> len(list(same_fingerprint(example("SELECT 1"))))
    1
    """
    if statement.fingerprint and statement.kind != "utility":
        yield Match()


PATTERNS: Mapping[str, Pattern] = {
    "aggregate": rows.aggregate,
    "arithmetic-on-column": predicates.arithmetic_on_column,
    "cartesian-join": shapes.cartesian_join,
    "cast-on-column": predicates.cast_on_column,
    "count-for-existence": rows.count_for_existence,
    "ddl": shapes.ddl,
    "deep-offset": rows.deep_offset,
    "distinct-on-join-fanout": shapes.distinct_on_join_fanout,
    "foreign-key-lookup": rows.foreign_key_lookup,
    "full-count": rows.full_count,
    "function-on-column": predicates.function_on_column,
    "hidden-pattern": predicates.hidden_pattern,
    "implicit-cast-on-column": predicates.implicit_cast_on_column,
    "key-lookup": rows.key_lookup,
    "leading-wildcard": predicates.leading_wildcard,
    "locking-select": rows.locking_select,
    "long-in-list": predicates.long_in_list,
    "many-row-select": rows.many_row_select,
    "not-in-subquery": predicates.not_in_subquery,
    "or-across-columns": predicates.or_across_columns,
    "order-by-random": rows.order_by_random,
    "row-by-row-update": shapes.row_by_row_update,
    "same-fingerprint": same_fingerprint,
    "select-star": rows.select_star,
    "single-row-insert": shapes.single_row_insert,
    "table-read": rows.table_read,
    "unbounded-select": rows.unbounded_select,
}
"""Every pattern; `pgaudit.statements.vocabulary` says what each means."""
