"""What cumulative counters cover, and what they said at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pgaudit import units

_LAST = "in the last "


@dataclass(frozen=True, slots=True)
class Window:
    """The time that cumulative counters cover: from `start`, until the audit.

    `source` says where the start comes from: "reset stamp", "entry's own stamp", "server's start". One
    that a user asked for says all by itself: "in the last 60 s".
    """

    start: datetime
    source: str

    @property
    def words(self) -> str:
        """What the counters cover, for people.

        >>> from datetime import UTC
        >>> Window(datetime(2025, 9, 1, tzinfo=UTC), "reset stamp").words
        'since 2025-09-01 00:00 UTC (reset stamp)'
        >>> Window.last(datetime(2025, 9, 1, tzinfo=UTC), 60.02).words
        'in the last 60 s'
        """
        if self.asked:
            return self.source
        return f"since {units.show('timestamp', self.start)} ({self.source})"

    @property
    def brief(self) -> str:
        """The same in few words."""
        return self.source if self.asked else f"since {self.start:%Y-%m-%d}"

    @property
    def asked(self) -> bool:
        """Whether it is one that a user asked for, and not what a server happens to know."""
        return self.source.startswith(_LAST)

    @classmethod
    def last(cls, start: datetime, seconds: float) -> Window:
        """Make the window that a user asked for, of so many seconds."""
        shown = f"{seconds:.0f} s" if 9.5 <= seconds < 120 else units.show_duration(seconds)
        return cls(start, f"{_LAST}{shown}")


class SampledRow(tuple[int | float | str | None, ...]):
    """The values of one row; a type of its own, because a sample has a million of them to trust."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SampledView:
    """The counters of one cumulative view at one moment; rows that are all zero are left out.

    `rows` maps what identifies a row to a value for each of `columns`: numbers, and moments as text.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, SampledRow]


@dataclass(frozen=True, slots=True)
class Sample:
    """The cumulative views of one database at one moment, and what tells it from other databases.

    `system` is the cluster's system identifier, None where the role may not ask for it; `database` the
    database's OID; `started_at` when the server started.
    """

    taken_at: datetime
    system: str | None
    database: int
    started_at: datetime
    views: Mapping[str, SampledView]
