"""What can be known about a check's SQL without a server: placeholders, views read, shape."""

from __future__ import annotations

import re

PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_PERCENT = re.compile(r"%%|%\((\w+)\)s|%")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_VIEW = re.compile(
    r"(?<![\w.])(pg_stat_\w+|pg_statio_\w+|pg_stats|pg_locks|pg_prepared_xacts|pg_replication_slots"
    r"|user_relation|pgstattuple_approx|pgstatindex)\b(?!\s*\()"
)


def bare(sql: str) -> str:
    """Return the SQL without comments and the insides of literals.

    >>> bare("SELECT 'a -- b' -- c")
    "SELECT '' "
    """
    return _COMMENT.sub("", _LITERAL.sub("''", sql))


def views(sql: str) -> set[str]:
    """Name the statistics views that a query reads.

    >>> sorted(views("SELECT pg_stat_get_snapshot_timestamp() FROM pg_stat_activity, pg_locks l"))
    ['pg_locks', 'pg_stat_activity']
    """
    return set(_VIEW.findall(bare(sql)))


def stray_percents(sql: str) -> list[int]:
    """Return the positions of every `%` that is neither `%%` nor a placeholder.

    A driver that is given parameters reads `%` inside literals too, and some letters after it are
    silently taken for a placeholder, so the format refuses it.

    >>> stray_percents("a LIKE 'b%' AND mod(c, 2) = %(d)s AND 5 %% 2 = 1")
    [9]
    """
    return [m.start() for m in _PERCENT.finditer(sql) if m[0] == "%"]


def names(sql: str) -> set[str]:
    """Return the parameters that a query uses.

    >>> names("a > %(min_size)s")
    {'min_size'}
    """
    return set(PLACEHOLDER.findall(sql))
