"""Two samples of cumulative views → what was counted in between. Pure: no server, no clock.

A row that is new counts from zero. One that counts less than before, or whose stamp has moved, was
reset in between (or, in pg_stat_statements, evicted and entered anew): what it counts now is what it has
counted since. Nothing is ever overstated: where a reset cannot be told, the difference is a lower bound.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pgaudit import units
from pgaudit.evidence import Sample, SampledView, Window
from pgaudit.postgres import counters
from pgaudit.postgres.counters import Cumulative

Number = int | float
Values = dict[str, Number]
Entry = Mapping[str, int | float | str | None]

RESET = "reset inside the window"


@dataclass(frozen=True, slots=True)
class Moved:
    """What one view counted: by row, only what is not zero; `ages` are the seconds since a reset."""

    rows: Mapping[str, Values]
    ages: Mapping[str, float] = field(default_factory=dict)
    _texts: dict[frozenset[str], str] = field(default_factory=dict, compare=False, repr=False)

    def text(self, columns: Collection[str]) -> str:
        """Return the rows with these columns as one JSON text, made once."""
        wanted = frozenset(columns)
        if wanted not in self._texts:
            rows = [
                {
                    "row_key": key,
                    **({"row_age": self.ages[key]} if key in self.ages else {}),
                    **{name: value for name, value in values.items() if name in wanted},
                }
                for key, values in self.rows.items()
            ]
            self._texts[wanted] = json.dumps(rows, separators=(",", ":"))
        return self._texts[wanted]


@dataclass(frozen=True, slots=True)
class Difference:
    """What all sampled views counted in `seconds`; `windows` is what each view's counters cover."""

    taken_at: datetime
    seconds: float
    window: Window
    views: Mapping[str, Moved]
    windows: Mapping[str, Window]
    notes: tuple[str, ...] = ()


def difference(first: Sample, second: Sample, resets: Mapping[str, Window]) -> Difference:
    """Compare two samples of one database; `resets` is what each view's counters say they cover.

    Views that only one sample has are left out.
    """
    seconds = max((second.taken_at - first.taken_at).total_seconds(), 0.001)
    window = Window.last(first.taken_at, seconds)
    views: dict[str, Moved] = {}
    windows: dict[str, Window] = {}
    notes = [_restarted(first, second)]
    for view, after in second.views.items():
        before = first.views.get(view)
        if before is None:
            continue
        since = resets.get(view)
        known = since.start if since is not None and since.start > first.taken_at else None
        pair = _Pair(
            counters.cumulative()[view], before, after, first.taken_at, second.taken_at, known
        )
        views[view], fallen = pair.moved()
        windows[view] = window
        if 2 * fallen > len(before.rows):
            age = max(views[view].ages.values(), default=None)
            if known is not None:
                age = (second.taken_at - known).total_seconds()
            if age is not None:
                windows[view] = Window(second.taken_at - timedelta(seconds=age), RESET)
            notes.append(_reset(view, age))
        elif fallen:
            notes.append(f"{fallen:,} of {view}'s rows were reset inside the window")
    notes.append(_evicted(views))
    return Difference(second.taken_at, seconds, window, views, windows, tuple(filter(None, notes)))


@dataclass(frozen=True, slots=True)
class _Pair:
    """One view's two samples; `known` is when the view as a whole is known to have been reset."""

    kind: Cumulative
    before: SampledView
    after: SampledView
    began: datetime
    ended: datetime
    known: datetime | None

    def moved(self) -> tuple[Moved, int]:
        """Return what was counted in between, and how many rows of the first sample were reset."""
        rows: dict[str, Values] = {}
        ages: dict[str, float] = {}
        # What is at zero may not have been sampled; after a reset it is no row that is gone.
        gone = len(self.before.rows.keys() - self.after.rows.keys())
        fallen = gone if self.known is not None else 0
        for key, values in self.after.rows.items():
            old = self.before.rows.get(key)
            if old == values and self.before.columns == self.after.columns:
                continue
            entry = dict(zip(self.after.columns, values, strict=True))
            former = dict(zip(self.before.columns, old, strict=True)) if old is not None else None
            if former is not None and self._anew(former, entry):
                former = None
                fallen += 1
                age = self._age(entry)
                if age is not None:
                    ages[key] = age
            counted = self._counted(entry, former)
            happened = [counted.get(name) for name in self.kind.happened]
            if (counted or key in ages) and (any(happened) or not happened):
                rows[key] = counted
        return Moved(rows, ages), fallen

    def _counted(self, entry: Entry, former: Entry | None) -> Values:
        found = {name: _less(entry.get(name), former, name) for name in self.kind.counters}
        counted = {name: value for name, value in found.items() if value}
        return counted | _derived(entry, former, counted) if self.kind.derived else counted

    def _anew(self, former: Entry, entry: Entry) -> bool:
        """Say whether a row counts from zero again; a stamp that is new may be an extension's update."""
        stamp = entry.get(self.kind.stamp) if self.kind.stamp else None
        if stamp and stamp != former.get(self.kind.stamp or "") and _moment(stamp) > self.began:
            return True
        return any(
            _number(entry.get(name)) < _number(former.get(name)) for name in self.kind.counters
        )

    def _age(self, entry: Entry) -> float | None:
        """Return the seconds since a row was reset, None where nobody knows: no more than the window."""
        stamps = [_moment(entry[name]) for name in self.kind.starts if entry.get(name)]
        stamps = [s for s in (*stamps, self.known) if s is not None and s > self.began]
        return max((self.ended - max(stamps)).total_seconds(), 0.001) if stamps else None


def _moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def _less(value: object, former: Entry | None, name: str) -> Number:
    """Subtract; a counter that the first sample does not know (an extension's update) says nothing."""
    if former is None:
        return _number(value)
    if value is not None and former.get(name) is None:
        return 0
    return _number(value) - _number(former.get(name))


def _number(value: object) -> Number:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


_PHASES = {"plan": "plans", "exec": "calls"}
"""What pg_stat_statements has means of, and the counter of how many."""


def _derived(entry: Entry, former: Entry | None, counted: Values) -> Values:
    """Return the means, spreads and extremes of what happened in between, where they can be known."""
    found: Values = {}
    for phase, number in _PHASES.items():
        times = counted.get(number, 0)
        if not times:
            continue
        found[f"mean_{phase}_time"] = counted.get(f"total_{phase}_time", 0) / times
        spread = _spread(entry, former, phase, number, counted)
        if spread is not None:
            found[f"stddev_{phase}_time"] = spread
        for extreme in (f"min_{phase}_time", f"max_{phase}_time"):
            now = entry.get(extreme)
            before = former.get(extreme) if former is not None else None
            if now is not None and (former is None or _beyond(extreme, _number(now), before)):
                found[extreme] = _number(now)
    return found


def _beyond(extreme: str, now: Number, before: object) -> bool:
    """Say whether an extreme was reached since; one that did not move may be of long ago."""
    if not isinstance(before, int | float):
        return False
    return now > before if extreme.startswith("max") else now < before


ERROR = 1e-10
"""How exact a sum of squares of pg_stat_statements is taken to be, as a share of itself."""


def _spread(
    entry: Entry, former: Entry | None, phase: str, number: str, counted: Values
) -> float | None:
    """Return the standard deviation of the calls in between, None where rounding would drown it.

    pg_stat_statements keeps the variance of all calls, which with count and sum gives the sum of
    squares; that is a counter like any other.
    """
    if entry.get(f"stddev_{phase}_time") is None:
        return None
    squares = _squares(entry, phase, number)
    between = squares - (_squares(former, phase, number) if former is not None else 0.0)
    times = counted[number]
    mean = counted.get(f"total_{phase}_time", 0) / times
    variance = between / times - mean**2
    if times == 1:
        return 0.0
    if former is not None and squares * ERROR > 0.01 * times * abs(variance):
        return None
    return math.sqrt(max(variance, 0.0))


def _squares(entry: Entry, phase: str, number: str) -> float:
    times, total = _number(entry.get(number)), _number(entry.get(f"total_{phase}_time"))
    deviation = _number(entry.get(f"stddev_{phase}_time"))
    return times * deviation**2 + total**2 / times if times else 0.0


def _restarted(first: Sample, second: Sample) -> str:
    if first.started_at == second.started_at:
        return ""
    started = units.show("timestamp", second.started_at)
    return f"the server was restarted inside the window, at {started}"


def _reset(view: str, age: float | None) -> str:
    said = f"{view} was reset inside the window"
    return said if age is None else f"{said}, {units.show_duration(age)} before its end"


def _evicted(views: Mapping[str, Moved]) -> str:
    moved = views.get("pg_stat_statements_info")
    times = moved.rows.get("", {}).get("dealloc") if moved is not None else None
    if not times:
        return ""
    return (
        "pg_stat_statements evicted entries inside the window; "
        "statements that were evicted are missing or counted in part"
    )
