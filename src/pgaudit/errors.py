"""Every error that a user can meet, as a message and a hint, and the exit codes they end in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """What the process says to its caller; 0 and 1 are verdicts about a complete audit."""

    CLEAN = 0
    FINDINGS = 1
    USAGE = 2
    INCOMPLETE = 3
    BUG = 4
    INTERRUPTED = 130
    READER_GONE = 141


EVERY_CHECK = "pgaudit list shows every check"
"""The hint for whoever names a check that there is not, nor one like it."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint: the names that are like this one, or what to do where there are none.

    >>> did_you_mean("unused-indx", ["unused-index", "fsync-off"], EVERY_CHECK)
    'did you mean unused-index?'
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"did you mean {', '.join(near)}?" if near else otherwise


class PgauditError(Exception):
    """Something that a user can act on: what failed, what the server said, what to try."""

    exit = Exit.USAGE

    def __init__(self, message: str, *, hint: str | None = None, server: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.server = server

    def lines(self) -> tuple[str, ...]:
        """Return the error as at most three lines, ready for stderr.

        >>> UsageError("No check is called 'unused-idx'.", hint="did you mean unused-index?").lines()
        ("No check is called 'unused-idx'.", '  try: did you mean unused-index?')
        """
        server = (f"  server: {self.server}",) if self.server else ()
        hint = (f"  try: {self.hint}",) if self.hint else ()
        return (self.message, *server, *hint)


class UsageError(PgauditError):
    """Options that contradict each other, an unknown check, a file that cannot be read."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong in a file that a person wrote."""

    file: str
    line: int
    key: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """Write the fault the way editors and terminals make clickable.

        >>> str(Fault("a.yaml", 3, "severity", "is missing", "add it"))
        'a.yaml:3: severity: is missing (add it)'
        """
        hint = f" ({self.hint})" if self.hint else ""
        key = f" {self.key}:" if self.key else ""
        return f"{self.file}:{self.line}:{key} {self.what}{hint}"


class CheckError(PgauditError):
    """Faults in check files: all of them at once, in the order of files and lines."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))


class TargetError(PgauditError):
    """A target that could not be connected to; `needs_password` says that asking might help."""

    exit = Exit.INCOMPLETE

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        server: str | None = None,
        needs_password: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, server=server)
        self.needs_password = needs_password


class QueryError(PgauditError):
    """A question that the server refused; it becomes an errored result and never leaves an audit.

    `position` is the 1-based character in the check's own SQL, or None.
    `sqlstate` is PostgreSQL's five-character code, or None. `lost` says that the connection is gone.
    """

    exit = Exit.INCOMPLETE

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        position: int | None = None,
        lost: bool = False,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.position = position
        self.lost = lost
