"""Audit a real server from a test, with checks whose counters may be as young as that server."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import postgres
from pgaudit import audit
from pgaudit.model import Check, Finding, Result, Server, Severity, Status
from pgaudit.postgres import probe


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


def errors(results: Sequence[Result]) -> list[str]:
    """Say what could not be asked."""
    return [
        f"{r.check.id}: {r.reason.text if r.reason else ''} ({r.reason.where if r.reason else ''})"
        for r in results
        if r.status is Status.ERRORED
    ]


def loud(results: Sequence[Result]) -> list[str]:
    """Say every finding at warning or above."""
    return [said(f) for r in results for f in r.findings if f.severity >= Severity.WARNING]


def said(finding: Finding) -> str:
    """One finding, for a person who reads a failed test."""
    return f"{finding.severity.word} {finding.check}: {finding.message}"
