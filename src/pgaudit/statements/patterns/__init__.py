"""Patterns by name: each takes a statement's facts and returns its matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pgaudit.statements.facts import Statement
from pgaudit.statements.patterns import predicates, rows, shapes, writes
from pgaudit.statements.patterns.match import Match

__all__ = ["PATTERNS", "Match", "Pattern"]

Pattern = Callable[[Statement], Iterable[Match]]


PATTERNS: Mapping[str, Pattern] = {
    "aggregate": rows.aggregate,
    "arithmetic-on-column": predicates.arithmetic_on_column,
    "assigned-column": writes.assigned_column,
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
    "select-star": rows.select_star,
    "single-row-insert": shapes.single_row_insert,
    "table-read": rows.table_read,
    "unbounded-select": rows.unbounded_select,
}
"""Every pattern of one statement; `pgaudit.statements.vocabulary` says what each means.

The one that is missing here, `same-fingerprint`, is found by comparing all statements.
"""
