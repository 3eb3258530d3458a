"""The databases of one target, visited one by one → which checks of the whole server are still open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pgaudit.model import Check, Reason

Entry = tuple[Check, Reason | None]
"""A check, and why it was not run in a database, if it was not."""


@dataclass(slots=True)
class Once:
    """Checks of a whole server are asked in the first database where they can be asked.

    An extension is there in some databases and not in others; every other reason for not running
    such a check is the same in all of them.
    """

    answered: set[str] = field(default_factory=set)

    def due(self, checks: Sequence[Check]) -> list[Check]:
        """Return the checks to ask in the next database, in their order."""
        return [c for c in checks if c.scope == "database" or c.id not in self.answered]

    def note(self, entries: Iterable[Entry]) -> None:
        """Remember which checks of the whole server need not be asked again."""
        for check, reason in entries:
            if check.scope == "cluster" and not _elsewhere(reason):
                self.answered.add(check.id)

    def redundant(self, visits: Sequence[Sequence[Entry]]) -> list[set[str]]:
        """Return, for each database visited, the checks that another database speaks for.

        A check that no database could answer is left in the first one.
        """
        said = set(self.answered)
        found: list[set[str]] = []
        for entries in visits:
            waiting = {c.id for c, reason in entries if c.scope == "cluster" and _elsewhere(reason)}
            found.append(waiting & said)
            said |= waiting
        return found


def _elsewhere(reason: Reason | None) -> bool:
    return reason is not None and reason.kind == "extension"
