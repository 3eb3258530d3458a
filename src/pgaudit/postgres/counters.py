"""A cumulative view's name → which of its columns count, and what the others are.

`counters.json` is the table: in each view the columns that identify a row (`key`), the one whose change
says that the row counts from zero again (`stamp`), other moments at which counting began (`moments`),
what is as it is (`kept`), what can be told from counters (`derived`), and the counters. The stamp of
pg_stat_database is no `stamp`: a reset of a single table moves it too, and resets nothing else.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgaudit import quote


@dataclass(frozen=True, slots=True)
class Cumulative:
    """What the columns of one cumulative view are; `happened`: without one of these a row is no row."""

    view: str
    key: tuple[str, ...]
    counters: tuple[str, ...]
    stamp: str | None = None
    moments: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    happened: tuple[str, ...] = ()

    @property
    def starts(self) -> tuple[str, ...]:
        """Every column that holds a moment at which counting began."""
        return (*((self.stamp,) if self.stamp else ()), *self.moments)

    @property
    def sampled(self) -> tuple[str, ...]:
        """The columns that two samples are compared by."""
        return (*self.counters, *self.derived, *self.starts)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column, each once."""
        return (*self.key, *self.sampled, *self.kept)

    @property
    def sparse(self) -> bool:
        """Whether it has a row for every relation or function, of which most may count nothing."""
        return self.key in (("relid",), ("indexrelid",), ("funcid",))

    def identity(self, alias: str) -> str:
        """Return the SQL that makes one text of what identifies a row."""
        parts = ", ".join(f"{alias}.{quote.identifier(column)}" for column in self.key)
        return f"concat_ws('/', {parts})" if parts else "''"


@functools.cache
def cumulative() -> Mapping[str, Cumulative]:
    """Return every cumulative view that pgaudit knows, by name."""
    return {
        view: Cumulative(
            view,
            stamp=entry.get("stamp"),
            **{n: tuple(c) for n, c in entry.items() if n != "stamp"},
        )
        for view, entry in _known()["cumulative"].items()
    }


def momentary() -> frozenset[str]:
    """Return the views that count nothing: what they show is, or was, so."""
    return frozenset(_known()["not_cumulative"])


@functools.cache
def _known() -> dict[str, Any]:
    text = (importlib.resources.files(__package__) / "counters.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
