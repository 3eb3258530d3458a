"""A real server that archives: silent, then each fault of archiving, then cured."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

import postgres
from pgaudit import audit
from pgaudit.catalog import find
from pgaudit.model import Check, Finding, Severity, Status
from pgaudit.postgres import embedded, probe, scratch
from pgaudit.postgres.session import Session

# What takes minutes or gigabytes elsewhere counts from the first moment on here.
LEVELS: Mapping[str, Mapping[Severity, float]] = {
    "archiving-failing": {Severity.INFO: 0},
    "archiving-behind": {Severity.INFO: 0},
    "archiving-off": {},
    "archive-command-missing": {},
    "wal-directory-large": {Severity.INFO: 1},
}
CHECKS = {c.id: c for c in find.checks(find.sources()) if c.id in LEVELS}

# archive_command is no part of it: what stands on the command line cannot be changed later.
SETTINGS = {"archive_mode": "on", "max_wal_size": "32MB", "min_wal_size": "32MB"}
SEGMENTS = 6
PATIENCE = 15.0


def sharpened(check: Check) -> Check:
    levels = LEVELS[check.id] or check.severity.levels
    return dataclasses.replace(
        check, evidence=None, severity=dataclasses.replace(check.severity, levels=levels)
    )


@dataclass(slots=True)
class Archiving:
    """The server, and a session of a member of pg_monitor that audits it."""

    conninfo: str
    session: Session

    def archives_by(self, command: str) -> None:
        """Set archive_command, and give it something to do."""
        quoted = command.replace("'", "''")
        scratch.run(self.conninfo, f"ALTER SYSTEM SET archive_command = '{quoted}'")
        scratch.run(self.conninfo, "SELECT pg_reload_conf()")

    def writes(self) -> None:
        """Fill WAL files, each with next to nothing; afterwards nobody writes."""
        for number in range(SEGMENTS):
            scratch.run(
                self.conninfo, f"CREATE TABLE IF NOT EXISTS t{number} (); SELECT pg_switch_wal()"
            )
            scratch.run(self.conninfo, f"DROP TABLE t{number}")
        scratch.run(self.conninfo, "CHECKPOINT")

    def seen(self) -> dict[str, Finding]:
        """Ask each check now."""
        known = probe.probe(self.session, timeout=10)
        results = audit.audit(self.session, known, [sharpened(c) for c in CHECKS.values()])
        assert [(r.check.id, r.reason) for r in results if r.reason is not None] == []
        assert all(len(r.findings) <= 1 for r in results)
        return {r.check.id: r.findings[0] for r in results if r.status is Status.FAILED}

    def settles(self, *expected: str) -> dict[str, Finding]:
        """Wait until exactly these checks find something."""
        end = time.monotonic() + PATIENCE
        while (seen := self.seen()).keys() != set(expected) and time.monotonic() < end:
            time.sleep(0.2)
        assert seen.keys() == set(expected), [f.message for f in seen.values()]
        return seen

    def cured(self) -> None:
        """Archive all that waits, and let checkpoints remove it."""
        self.archives_by("test -n %p")
        end = time.monotonic() + PATIENCE
        while self.seen() and time.monotonic() < end:
            scratch.run(self.conninfo, "CHECKPOINT")
            time.sleep(0.2)
        self.settles()


@pytest.fixture(scope="module")
def archiving(server: postgres.Server) -> Iterator[Archiving]:
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(embedded.throwaway(server.beside(), settings=SETTINGS))
        postgres.described(started.conninfo)  # makes the role that audits
        session = stack.enter_context(postgres.session(started.conninfo, user="reader"))
        yield Archiving(started.conninfo, session)


def test_no_command(archiving: Archiving) -> None:
    archiving.settles("archive-command-missing")
    archiving.writes()
    seen = archiving.settles("archive-command-missing", "wal-directory-large")
    assert "for the archive" in seen["wal-directory-large"].message
    archiving.cured()


def test_command_that_fails(archiving: Archiving) -> None:
    archiving.archives_by("false")
    archiving.writes()
    seen = archiving.settles("archiving-failing", "wal-directory-large")
    assert "for the archive" in seen["wal-directory-large"].message
    archiving.cured()


def test_command_that_is_slow(archiving: Archiving) -> None:
    archiving.archives_by("sleep 1")
    archiving.writes()
    seen = archiving.settles("archiving-behind", "wal-directory-large")
    assert "archive_command is " in seen["archiving-behind"].message
    archiving.cured()


def test_idle(archiving: Archiving) -> None:
    """The file that is being written is not due, and nothing is behind however long nobody writes."""
    archiving.cured()
    scratch.run(archiving.conninfo, "CREATE TABLE written (); DROP TABLE written")
    time.sleep(1)
    archiving.settles()


def test_dead_slot(archiving: Archiving) -> None:
    archiving.cured()
    scratch.run(archiving.conninfo, "SELECT pg_create_physical_replication_slot('dead', true)")
    archiving.writes()
    seen = archiving.settles("wal-directory-large")
    assert "for slot dead, which nobody uses" in seen["wal-directory-large"].message
    scratch.run(archiving.conninfo, "SELECT pg_drop_replication_slot('dead')")
    archiving.cured()
