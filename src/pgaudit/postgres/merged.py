"""Entries of one statement → one row: sums of their counters, since when, and how much load it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pgaudit.model import Server
from pgaudit.postgres import counters, shape
from pgaudit.postgres.workload import Entry


def row(entries: Sequence[Entry], server: Server, **more: object) -> dict[str, object]:
    """Return the row of a made view for entries of one queryid, with more columns.

    Counters are summed, means are those of the sums, the smallest and the largest of all are kept,
    and standard deviations are NULL where there are several. `counted_since` is the oldest of the
    entries' own stamps, or else when the view began to count; `load` the share of one session, in
    per cent, that the statement has kept busy since.
    """
    first = entries[0].counters
    made: dict[str, Any] = entries[0].row(**more)
    if len(entries) > 1:
        for name in counters.cumulative()[shape.STATEMENTS].counters:
            values = [e.counters[name] for e in entries if e.counters[name] is not None]
            made[name] = sum(values) if values else None
    for kind, calls in (("exec", "calls"), ("plan", "plans")):
        total, number = made[f"total_{kind}_time"], made[calls]
        made[f"mean_{kind}_time"] = total / number if total is not None and number else None
        if len(entries) > 1:
            made[f"stddev_{kind}_time"] = None
            for which, choose in (("min", min), ("max", max)):
                known = [e.counters[f"{which}_{kind}_time"] for e in entries]
                known = [value for value in known if value is not None]
                made[f"{which}_{kind}_time"] = choose(known) if known else None
    starts = [e.counters["stats_since"] for e in entries if e.counters["stats_since"] is not None]
    since = min(map(datetime.fromisoformat, starts), default=server.windows[shape.STATEMENTS].start)
    seconds = max(1.0, (server.now - since).total_seconds())
    made["counted_since"] = since.isoformat()
    made["load"] = (made["total_exec_time"] or 0) / 10 / seconds
    made["stats_since"] = first["stats_since"] and since.isoformat()
    return made
