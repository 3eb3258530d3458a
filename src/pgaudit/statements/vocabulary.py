"""The names of the patterns that a check may look for, and what a match of each says."""

from __future__ import annotations

from collections.abc import Mapping

MADE_VIEWS = frozenset(("matched_statement", "statement_reading"))
"""Views that cannot be made without parsing statements."""

MEANINGS: Mapping[str, str] = {
    "aggregate": "groups or aggregates rows; one match for each table of the outermost block",
    "arithmetic-on-column": "compares a column after arithmetic, which no plain index of it serves",
    "assigned-column": "sets a column in UPDATE, ON CONFLICT or MERGE; `number` is how many it sets",
    "cartesian-join": "joins two tables by no condition; `other_relid` is not tied to `relid`",
    "cast-on-column": "compares a column after an explicit cast, `expression`, to another type",
    "count-for-existence": "counts rows only to compare the count, `(SELECT count(*) …) > $1`",
    "ddl": "defines something; `expression` is what, such as CREATE TEMPORARY TABLE",
    "deep-offset": "skips rows with OFFSET; `number` is how many, NULL for a parameter",
    "distinct-on-join-fanout": "takes back with DISTINCT what a join to `other_relid` multiplied",
    "foreign-key-lookup": "reads the rows of `relid` that refer to one row of `other_relid`",
    "full-count": "counts all rows of one table, without a condition",
    "function-on-column": "compares a function of a column, `expression`, instead of the column",
    "hidden-pattern": "matches a text with LIKE or a regular expression whose pattern is not known",
    "implicit-cast-on-column": "compares with a type that the column is cast to, `expression`",
    "key-lookup": "reads one row by all columns of a unique key; `column_name` is its first",
    "leading-wildcard": "matches a text with LIKE and a pattern that begins with a wildcard",
    "locking-select": "locks rows without LIMIT or a whole key; `expression` is the lock",
    "long-in-list": "compares with a list of ten or more; `number` is its length",
    "many-row-select": "reads tables by less than a key; one match for each table of the outermost block",
    "not-in-subquery": "uses NOT IN (SELECT `other_column` …), which is no anti-join",
    "or-across-columns": "alternatives on `number` columns; one match for each with the first",
    "order-by-random": "sorts all rows by a random number",
    "row-by-row-update": "updates or deletes one row by all columns of a unique key",
    "same-fingerprint": "is one of `number` on the same tables that differ only in constants, lists",
    "select-star": "returns all columns of the table",
    "single-row-insert": "inserts one row of VALUES",
    "table-read": "reads the table in a SELECT without writes and locks; `expression` is what it calls",
    "unbounded-select": "returns rows to the client without LIMIT, aggregate or a whole key",
}
