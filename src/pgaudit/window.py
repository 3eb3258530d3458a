"""Two samples and a check → how the check is asked over the window between them.

A window replaces what counters say since their start by what they have counted between two samples. A
check that judges rates or means says with `evidence.window` how short a window may be; any other one is
judged only if the window is as long as its `evidence.minimum`; and one that judges what is now
(`window: never`) does not look at the window at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import timedelta

from pgaudit import sqltext, whynot
from pgaudit.errors import TargetError
from pgaudit.evidence import Sample, Window
from pgaudit.model import Check, Reason, Server
from pgaudit.postgres import counters, shape
from pgaudit.postgres.difference import Difference, difference

TOLERANCE = 0.99
"""A window of this share of what a check wants is long enough: clocks differ."""


def applies(check: Check) -> bool:
    """Say whether a window bears on a check at all."""
    return check.evidence is not None and check.evidence.windowed


def views(checks: Iterable[Check]) -> tuple[str, ...]:
    """Return the cumulative views that have to be sampled for checks."""
    wanted = dict.fromkeys(view for check in checks if applies(check) for view in _counted(check))
    if shape.STATEMENTS in wanted:
        wanted["pg_stat_statements_info"] = None  # it says that entries were evicted
    return tuple(wanted)


def _counted(check: Check) -> list[str]:
    """Return the cumulative views that a check reads, or that stand behind those that it reads."""
    read = (*check.reads, check.evidence_view, *sorted(sqltext.behind(check.reads)))
    return [view for view in read if view in counters.cumulative()]


def between(first: Sample, second: Sample, server: Server, place: str) -> Difference:
    """Compare two samples; raises TargetError if they are of two servers or databases."""
    if first.system and second.system and first.system != second.system:
        raise TargetError(
            f"The earlier sample of {place} was taken of another server.",
            hint="compare with a report on this server; a copy or a new cluster has counters of its own",
        )
    if first.database != second.database:
        raise TargetError(
            f"The earlier sample of {place} was taken of another database of that name.",
            hint="it was dropped and made anew since; take a new sample with --with-samples",
        )
    if first.taken_at >= second.taken_at:
        raise TargetError(f"The earlier sample of {place} was taken later than this one.")
    return difference(first, second, server.windows)


def expected(server: Server, seconds: float) -> Difference:
    """Return what a window of so many seconds will be like, before anything is counted."""
    window = Window.last(server.now - timedelta(seconds=seconds), seconds)
    return Difference(server.now, seconds, window, {}, dict.fromkeys(counters.cumulative(), window))


def why_not(check: Check, server: Server, sampled: Difference | None) -> Reason | None:
    """Return why a check is not run, over a window if there is one and it bears on the check."""
    if sampled is None or not applies(check):
        return whynot.why_not(check, server)
    missing = [view for view in dict.fromkeys(_counted(check)) if view not in sampled.windows]
    reason = whynot.why_not(*seen(check, server, sampled))
    if reason is None and missing:
        return Reason("window", f"the earlier sample does not have {', '.join(missing)}")
    return reason


def seen(check: Check, server: Server, sampled: Difference) -> tuple[Check, Server]:
    """Return a check and a server as they are inside a window: the time that counters cover is its."""
    evidence = check.evidence
    if evidence is None:
        return check, server
    # Each row's counters cover the window, whatever its own stamp says of the time before.
    changed = dataclasses.replace(check, evidence=dataclasses.replace(evidence, since=None))
    if evidence.minimum is not None:
        needed = float(str(check.parameters[evidence.minimum].default))
        least = needed if evidence.window is None else min(needed, evidence.window)
        if least * TOLERANCE <= sampled.seconds < least:
            least = sampled.seconds
        changed = changed.having({evidence.minimum: least})
    return changed, dataclasses.replace(server, windows=sampled.windows, now=sampled.taken_at)
