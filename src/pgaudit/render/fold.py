"""One line of SQL → lines that fit a screen, and still mean the same when they are pasted."""

from __future__ import annotations

import re

from rich.cells import cell_len

_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")
_LINE = re.compile(rf"\s*(?:{_WORD.pattern}\s*)*")
_UNSURE = re.compile(r"--|/\*|\$|\\")
"""Comments, dollar quotes, and backslashes: where a blank may be more than a blank."""


def fold(sql: str, width: int) -> list[str]:
    """Fold at blanks outside quotes; a line end inside a quoted name would name another object.

    What has no such blank, or cannot be judged without a parser, stays one line however long.

    >>> fold('DROP INDEX CONCURRENTLY "public"."Old name";', 24)
    ['DROP INDEX CONCURRENTLY', '"public"."Old name";']
    >>> fold('GRANT pg_monitor TO "a b c d e f";  -- now', 10)
    ['GRANT pg_monitor TO "a b c d e f";  -- now']
    """
    if cell_len(sql) <= width or _UNSURE.search(sql) or not _LINE.fullmatch(sql):
        return [sql]
    lines: list[str] = []
    for word in _WORD.findall(sql):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
