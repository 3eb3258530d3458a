"""The text of a statement → PostgreSQL's own parse tree of it, or the reason why there is none.

The only door to libpg_query, which is PostgreSQL's grammar as a library. It is imported with the first
text. Of the bindings, pgparse was taken: BSD licence, one file without dependencies, 13 µs a statement
and 17 ms to import (postgast, BSD: 20 µs, 66 ms, and protobuf; sqlglot, MIT: no `$1` without a space
after it, and a grammar of its own; pglast is GPL).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Node = Mapping[str, Any]
"""A node's fields, as libpg_query writes them: https://github.com/pganalyze/libpg_query."""

LIBRARY = "pgparse"

LONGEST = 60_000
"""Characters of a text that are given to the grammar, after long lists were shortened.

libpg_query has no limit of its own to the depth of what it returns: 65,000 links of `1+1+1…`, 130,000
characters, overflow a stack of 8 MB and end the process.
"""

# Two characters a link at least, so half of LONGEST is far below the depth that overflows.
_LONG_LIST = re.compile(r"\$(\d+)(?:\s*,\s*\$\d+)+")
_LONG_ROWS = re.compile(r"(\(\s*\$(\d+)\s*\))(?:\s*,\s*\(\s*\$\d+\s*\))+")


@dataclass(frozen=True, slots=True)
class Tree:
    """A statement's parse tree: `kind` is the node's name, such as SelectStmt.

    `shortened` maps the number of the first parameter of a list that was cut to how many stood there,
    and `rows` the same for rows of VALUES.
    """

    kind: str
    node: Node
    fingerprint: str
    shortened: Mapping[int, int] = field(default_factory=dict)
    rows: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoTree:
    """Why a text has no tree, in PostgreSQL's words where it has some."""

    reason: str


def missing() -> str | None:
    """Say why texts cannot be parsed here at all, or None if they can."""
    try:
        importlib.import_module(LIBRARY)
    except ImportError as error:
        return f"needs the Python package {LIBRARY}, which cannot be imported: {error}"
    return None


def parse(text: str) -> Tree | NoTree:
    r"""Parse one statement; whatever the text is, this returns.

    >>> parse("SELECT $1").kind
    'SelectStmt'
    >>> parse("SELECT * FROM orders WHERE note = '")
    NoTree(reason='unterminated quoted string at or near "\'"')
    >>> parse("SELECT 1; SELECT 2")
    NoTree(reason='2 statements in one text')
    """
    lists: dict[int, int] = {}
    rows: dict[int, int] = {}
    if "\0" in text:
        return NoTree("a NUL character")
    if len(text) > LONGEST:
        text = _shorter(text, lists, rows)
    if len(text) > LONGEST:
        return NoTree(f"longer than {LONGEST:,} characters")
    try:
        library = importlib.import_module(LIBRARY)
    except ImportError as error:
        return NoTree(str(error))
    try:
        found = library.parse(text)
        if len(found) != 1:
            return NoTree(f"{len(found)} statements in one text")
        (kind, node), *_ = found[0]["stmt"].items()
        return Tree(kind, node, library.fingerprint(text), lists, rows)
    except library.PGQueryError as error:
        return NoTree(str(error).rpartition(" at position ")[0] or str(error))
    except RecursionError:
        return NoTree("nested too deeply")
    except (UnicodeError, ValueError, KeyError) as error:
        return NoTree(f"unreadable: {error}")


def _shorter(text: str, lists: dict[int, int], rows: dict[int, int]) -> str:
    """Leave only the first of many parameters in a row, and of many rows of them.

    >>> lists, rows = {}, {}
    >>> _shorter("IN (" + ", ".join(f"${n}" for n in range(1, 31)) + ")", lists, rows), lists
    ('IN ($1)', {1: 30})
    """

    def one(found: re.Match[str]) -> str:
        lists[int(found[1])] = found[0].count("$")
        return f"${found[1]}"

    def row(found: re.Match[str]) -> str:
        rows[int(found[2])] = found[0].count("$")
        return found[1]

    return _LONG_ROWS.sub(row, _LONG_LIST.sub(one, text))
