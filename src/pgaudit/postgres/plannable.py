"""A normalised statement → the PREPARE that the server takes, although constants were taken out.

Where pg_stat_statements put `$1` for a constant, PostgreSQL's grammar does not always take a
parameter: `interval $1 day`, `date $1`, `extract($1 from d)`. Those are written otherwise here. A
LIMIT that is not known would count as a tenth of all rows, so it may be replaced by one that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_QUOTED = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | (\$[A-Za-z_]*\$).*?\1""",
    re.DOTALL | re.VERBOSE,
)
_PARAMETER = re.compile(r"(?<![\w$])\$(\d{1,5})")
_TYPED = re.compile(
    r"""\b(date|timestamptz|timetz|interval(?:\s*\(\d+\))?
          |time(?:stamp)?(?:\s*\(\d+\))?(?:\s+with(?:out)?\s+time\s+zone)?)\s+(\$\d+)
        (?:\s+(?:year|month|day|hour|minute|second)s?\b(?:\s+to\s+\w+)?(?:\s*\(\d+\))?)?""",
    re.IGNORECASE | re.VERBOSE,
)
_FIELD = re.compile(r"\bextract\s*\(\s*\$\d+\s+from\b", re.IGNORECASE)
_LIMIT = re.compile(r"\blimit\s+\$\d+", re.IGNORECASE)


def prepared(name: str, text: str, limit: int | None = None) -> tuple[str, int]:
    """Return the PREPARE of a statement, and how many parameters it has.

    A parameter that stands nowhere any more is declared, since its type cannot be inferred.

    >>> prepared("p", "SELECT '$9' FROM t WHERE d > date $1 - interval $2 day LIMIT $3", 20)[0]
    "PREPARE p (unknown, unknown, text) AS SELECT '$9' FROM t WHERE d > $1::date - $2::interval LIMIT 20"
    >>> prepared("p", "SELECT timestamp(3) with time zone $1, time $2, now() AT TIME ZONE $3")[0][38:]
    'AS SELECT $1::timestamp(3) with time zone, $2::time, now() AT TIME ZONE $3'
    >>> prepared("p", "SELECT 1")
    ('PREPARE p AS SELECT 1', 0)
    """
    count = max(_numbers(text), default=0)

    def outside(part: str) -> str:
        part = _TYPED.sub(r"\2::\1", part)
        part = _FIELD.sub("extract(epoch from", part)
        return _LIMIT.sub(f"LIMIT {limit}", part) if limit is not None else part

    written = _outside(text, outside)
    left = _numbers(written)
    if not count:
        return f"PREPARE {name} AS {written}", 0
    types = ("unknown" if number in left else "text" for number in range(1, count + 1))
    return f"PREPARE {name} ({', '.join(types)}) AS {written}", count


def _numbers(text: str) -> set[int]:
    return {int(number) for number in _PARAMETER.findall(_QUOTED.sub(" ", text))}


def _outside(text: str, change: Callable[[str], str]) -> str:
    """Change what is neither quoted nor a comment."""
    made, end = [], 0
    for quoted in _QUOTED.finditer(text):
        made += [change(text[end : quoted.start()]), quoted[0]]
        end = quoted.end()
    return "".join([*made, change(text[end:])])
