"""Audit a real server from a test, with checks whose counters may be as young as that server."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import timedelta

import postgres
from pgaudit import audit, sqltext
from pgaudit.model import Check, Finding, Result, Server, Severity, Status
from pgaudit.postgres import probe
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Given, Surroundings, question


def without_window(check: Check) -> Check:
    """Take the age of the evidence out, so that the SQL runs on a server that is seconds old."""
    return dataclasses.replace(check, evidence=None)


def audited(
    conninfo: str, checks: Sequence[Check], *, user: str | None = None
) -> tuple[Server, tuple[Result, ...]]:
    """Ask every check, whatever the age of the counters."""
    with postgres.session(conninfo, user=user) as session:
        known = probe.probe(session, timeout=10)
        return known, audit.audit(session, known, [without_window(c) for c in checks])


def asked(session: Session, known: Server, check: Check, given: Given) -> Result:
    """Ask one check with canned rows, whose windows the server has; only those that it reads matter."""
    behind = sqltext.behind(check.reads)
    rows = {view: given[view] for view in (*check.reads, *behind) if view in given}
    return audit.ask(session, known, check, given=rows)


def watched(session: Session, known: Server, given: Given) -> Server:
    """Return the server with what canned counters cover in the place of its own windows."""
    windows = probe.windows(session, known, given, timeout=20)
    return dataclasses.replace(known, windows=windows)


AGE = timedelta(days=31)
"""How long aged counters have been counting: longer than any check wants to have watched."""

STAMPED = (
    "pg_stat_database", "pg_stat_bgwriter", "pg_stat_checkpointer", "pg_stat_io", "pg_stat_slru",
    "pg_stat_wal", "pg_stat_archiver",
)  # fmt: skip
"""Views whose rows say since when they count."""

COUNTED = (
    "pg_stat_user_tables", "pg_stat_all_tables", "pg_stat_user_indexes", "pg_statio_user_tables",
    "pg_statio_user_indexes",
)  # fmt: skip
"""Views with a row of counters for each relation."""

NOT_COUNTERS = {
    "datid", "relid", "indexrelid", "numbackends", "op_bytes",
    "vacuum_count", "autovacuum_count", "analyze_count", "autoanalyze_count",
}  # fmt: skip
"""Numbers in them that count nothing, or what a larger table has no more of."""

Rows = dict[str, list[dict[str, object]]]


def aged(session: Session, server: Server, *, times: int = 1) -> Rows:
    """Return the server's own counters as if they had been counting for AGE, and `times` as many.

    Given to a check as canned rows they make it judge a server that is seconds old as one that has
    run for a month.
    """
    stamp = (server.now - AGE).isoformat()
    rows: Rows = {}
    for view in (*STAMPED, *COUNTED):
        surroundings = Surroundings.of(server)
        asked = question(
            f"SELECT to_jsonb(v)::text AS row FROM {view} v", label="test", reads=[view],
            parameters={}, surroundings=surroundings, limit=100_000,
        )  # fmt: skip
        answer = session.ask([asked], timeout=20)[0]
        rows[view] = [multiplied(json.loads(row[0]), times) for row in answer.rows]
        if view in STAMPED:
            rows[view] = [{**row, "stats_reset": stamp} for row in rows[view]]
    return rows


def multiplied(row: dict[str, object], times: int) -> dict[str, object]:
    """Multiply what counts."""
    return {
        name: value * times
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name not in NOT_COUNTERS
        else value
        for name, value in row.items()
    }


def errors(results: Sequence[Result]) -> list[str]:
    """Say what could not be asked."""
    return [
        f"{r.check.id}: {r.reason.text if r.reason else ''} ({r.reason.where if r.reason else ''})"
        for r in results
        if r.status is Status.ERRORED
    ]


THROWAWAY = {
    "fsync-off", "full-page-writes-off", "synchronous-commit-off",
    "unsupported-major-version", "outdated-minor-version",
}  # fmt: skip
"""Checks that rightly warn of the tests' servers: what they hold may be lost, and some are old."""


def loud(results: Sequence[Result]) -> list[str]:
    """Say every finding at warning or above, but for what a throwaway server is."""
    return [
        said(f)
        for r in results
        for f in r.findings
        if f.severity >= Severity.WARNING and r.check.id not in THROWAWAY
    ]


def said(finding: Finding) -> str:
    """One finding, for a person who reads a failed test."""
    return f"{finding.severity.word} {finding.check}: {finding.message}"
