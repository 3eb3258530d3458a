"""The proofs that check files carry → outcomes, on a throwaway server."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
from psycopg import conninfo as libpq

from pgaudit import audit, judge, units
from pgaudit.errors import PgauditError
from pgaudit.model import Check, Finding, Proof, Result, Server, Severity, Status, Target
from pgaudit.postgres import probe, scratch, shape
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Given

READER = "pgaudit_reader"
"""The role that proofs ask as: a bare member of pg_monitor."""

DATA_READER = "pgaudit_data_reader"
"""The role that proofs ask as where a check needs pg_read_all_data: a member of that as well."""

READERS = {READER: "pg_monitor", DATA_READER: "pg_monitor, pg_read_all_data"}

SETTINGS = {"pg_stat_statements.max": "50000"}
"""What a server for many proofs is started with: it must not evict statements meanwhile."""

PATIENCE = 8.0
"""Seconds to wait for statistics to arrive; before PostgreSQL 15 a collector process brings them late."""

TIMEOUT = 30.0

COMMENTS = "the remedy is nothing but comments"

ANY = "*"
"""What a proof expects of an object whose name it cannot know, such as a statement's number."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one proof: `faults` is empty if it holds; `skipped` says why it was not tried."""

    check: str
    proof: Proof
    faults: tuple[str, ...] = ()
    skipped: str | None = None


@dataclass(slots=True)
class Bench:
    """A throwaway server on which proofs run: `conninfo` is its superuser's.

    A proof that stages something gets a database of its own, and what roles it makes go with that; those
    that only give canned rows share one, because making a database is most of what a proof costs.
    """

    conninfo: str
    major: int
    numbers: Iterator[int] = field(default_factory=itertools.count)
    shared: dict[tuple[str, ...], str] = field(default_factory=dict)
    kept: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @classmethod
    @contextlib.contextmanager
    def on(cls, conninfo: str) -> Iterator[Bench]:
        """Prepare a server: the role that asks. Shared databases are dropped at the end."""
        with contextlib.closing(scratch.connect(conninfo)) as admin:
            for reader, roles in READERS.items():
                exists = admin.execute(
                    "SELECT 1 FROM pg_roles WHERE rolname = %s", (reader,)
                ).fetchone()
                if not exists:
                    scratch.run(conninfo, f"CREATE ROLE {reader} LOGIN IN ROLE {roles}")
            bench = cls(conninfo, admin.info.server_version // 10000)
        with bench.kept:
            yield bench

    def prove_all(self, checks: Iterable[Check]) -> Iterator[tuple[Check, Outcome]]:
        """Run every proof of every check, one after the other."""
        for check in checks:
            for proof in check.proofs:
                yield check, self.prove(check, proof)

    def prove(self, check: Check, proof: Proof) -> Outcome:
        """Run one proof; a server's refusal is a fault of the proof, never an exception."""
        if proof.rows is not None:
            return judged(check, proof)
        changed = adjusted(check, proof)
        reason = self._not_here(check, proof)
        if reason is not None:
            return Outcome(check.id, proof, skipped=reason)
        try:
            with self._database(check, proof) as database:
                return Outcome(check.id, proof, _Case(database, changed, proof).faults())
        except psycopg.Error as error:
            return Outcome(check.id, proof, (f"the case itself failed: {error}",))
        except PgauditError as error:
            return Outcome(check.id, proof, tuple(error.lines()))

    def _not_here(self, check: Check, proof: Proof) -> str | None:
        first = max(proof.since, min(check.queries))
        if self.major < first and proof.expect is not None:
            return f"needs PostgreSQL {first}"
        return None

    def _database(self, check: Check, proof: Proof) -> contextlib.AbstractContextManager[str]:
        extensions = tuple(check.requirements.extensions)
        if proof.setup or proof.sessions or proof.teardown:
            return self._fresh(extensions, proof.teardown or "")
        if extensions not in self.shared:
            self.shared[extensions] = self.kept.enter_context(self._fresh(extensions))
        return contextlib.nullcontext(self.shared[extensions])

    def _fresh(
        self, extensions: tuple[str, ...], teardown: str | None = None
    ) -> contextlib.AbstractContextManager[str]:
        name = f"proof_{next(self.numbers)}"
        return scratch.database(self.conninfo, name, extensions=extensions, teardown=teardown)


def judged(check: Check, proof: Proof) -> Outcome:
    """Judge the rows that a proof gives itself; no server is needed."""
    findings = judge.judge(adjusted(check, proof), proof.rows or ())
    return Outcome(check.id, proof, _differences(proof, findings))


def adjusted(check: Check, proof: Proof) -> Check:
    """Return the check with the proof's parameters and severity in force."""
    changed = check.having(proof.parameters)
    return dataclasses.replace(changed, severity=proof.severity or check.severity)


@dataclass(slots=True)
class _Case:
    """One proof in one database."""

    database: str
    check: Check
    proof: Proof

    def faults(self) -> tuple[str, ...]:
        if self.proof.setup:
            scratch.run(self.database, self.proof.setup)
        with scratch.held(self.database, self.proof.sessions):
            first = self._until(lambda result: not self._wrong(result))
            wrong = self._wrong(first)
            if wrong or not self.proof.remedied:
                return wrong
            return self._remedied(first)

    def _remedied(self, before: Result) -> tuple[str, ...]:
        if not any(scratch.statements(finding.remedy.sql or "") for finding in before.findings):
            return (COMMENTS,)
        for finding in before.findings:
            scratch.run(self.database, finding.remedy.sql or "")
        after = self._until(lambda result: result.status is Status.PASSED)
        if after.status is not Status.PASSED:
            return ("after the remedy it still says:", *_shown(after))
        if not any(finding.remedy.undo for finding in before.findings):
            return ()
        for finding in reversed(before.findings):
            scratch.run(self.database, finding.remedy.undo or "")
        again = self._until(lambda result: _names(result) == _names(before))
        if _names(again) != _names(before):
            return ("after the undo it should say the same again, but says:", *_shown(again))
        return ()

    def _until(self, satisfied: Callable[[Result], bool]) -> Result:
        """Ask until satisfied or out of patience: statistics may arrive late."""
        end = time.monotonic() + PATIENCE
        while True:
            result = self._ask()
            if satisfied(result) or time.monotonic() > end:
                return result
            time.sleep(0.1)

    def _ask(self) -> Result:
        target = Target("proof", libpq.make_conninfo(self.database, **_asking(self.check)))
        with Session(target) as session:
            server = probe.probe(session, timeout=TIMEOUT)
            given = resolved(self.proof.given, self.database, server)
            if given:
                windows = probe.windows(session, server, given, timeout=TIMEOUT)
                server = dataclasses.replace(server, windows=windows)
            return audit.ask(
                session, server, self.check, audit.Limits(TIMEOUT, audit.ROW_LIMIT), given=given
            )

    def _wrong(self, result: Result) -> tuple[str, ...]:
        if result.status is Status.ERRORED and result.reason is not None:
            return (f"the check failed: {result.reason.text} ({result.reason.where})",)
        if self.proof.expect is None:
            return () if result.status is Status.SKIPPED else ("it was run:", *_shown(result))
        if result.status is Status.SKIPPED and result.reason is not None:
            return (f"it was not run: {result.reason.text}",)
        return _differences(self.proof, result.findings)


def _asking(check: Check) -> dict[str, str]:
    """Choose the role with the fewest rights that the check declares to need."""
    needed = set(check.requirements.privileges)
    if "superuser" in needed:
        return {}
    return {"user": DATA_READER if "pg_read_all_data" in needed else READER}


def _differences(proof: Proof, findings: Sequence[Finding]) -> tuple[str, ...]:
    expected = proof.expect or ()
    same = len(expected) == len(findings) and all(
        e.object in (ANY, f.object.display)
        and e.severity is f.severity
        and (e.message is None or e.message == f.message)
        for e, f in zip(expected, findings, strict=True)
    )
    if same:
        return ()
    wanted = [_line(e.severity, e.object, e.message or "") for e in expected] or ["    nothing"]
    found = [_line(f.severity, f.object.display, f.message) for f in findings] or ["    nothing"]
    return ("expected:", *wanted, "found:", *found)


def _line(severity: Severity, name: str, message: str) -> str:
    return f"    {severity.word} {name}  {message}".rstrip()


def _shown(result: Result) -> tuple[str, ...]:
    reason = (f"    {result.status}: {result.reason.text}",) if result.reason else ()
    found = (_line(f.severity, f.object.display, f.message) for f in result.findings)
    return (*reason, *found) or ("    nothing",)


def _names(result: Result) -> list[tuple[str, Severity]]:
    return sorted((f.object.display, f.severity) for f in result.findings)


def resolved(given: Given, database: str, server: Server) -> dict[str, list[dict[str, object]]]:
    """Replace what a case cannot know beforehand: moments before now, and the server's numbers."""
    if not given:
        return {}
    with contextlib.closing(scratch.connect(database)) as admin:
        return {
            view: [
                {
                    column: _value(value, shape.newest(view).get(column, ""), admin, server)
                    for column, value in row.items()
                }
                for row in rows
            ]
            for view, rows in given.items()
        }


def _value(value: object, kind: str, admin: scratch.Connection, server: Server) -> object:
    if isinstance(value, Mapping) and set(value) == {"ago"}:
        return _moment(server.now, value["ago"]).isoformat()
    if isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _COUNTERS:
        ((counter, ago),) = value.items()
        return _one(admin, _COUNTERS[counter], str(ago))
    if value == "@database":
        return server.database
    if value == "@user":
        return server.user
    sql = {
        "@database_oid": "SELECT oid::bigint FROM pg_database WHERE datname = %s",
        "@user_oid": "SELECT oid::bigint FROM pg_roles WHERE rolname = %s",
    }.get(str(value))
    if sql is not None:
        name = server.database if value == "@database_oid" else server.user
        return _one(admin, sql, name)
    if kind == "oid" and isinstance(value, str) and not value.isdigit():
        return _one(admin, "SELECT %s::regclass::oid::bigint", value)
    return value


_COUNTERS = {
    # Both counters go round at 2^32, and the numbers below 3 are not given to anybody.
    "transactions_ago": """
        SELECT greatest(mod(pg_snapshot_xmax(pg_current_snapshot())::text::numeric
                            - %s::numeric + 4294967296, 4294967296), 3)::bigint""",
    "multixacts_ago": """
        SELECT greatest(mod(mxid_age('1') + 1 - %s::numeric + 4294967296, 4294967296), 1)::bigint""",
}
"""The number that a transaction or a multixact had so many ago, for columns of type xid."""


def _moment(now: datetime, ago: object) -> datetime:
    return now - timedelta(seconds=units.read_duration(ago))


def _one(admin: scratch.Connection, sql: str, parameter: str) -> object:
    row = admin.execute(sql.encode(), (parameter,)).fetchone()
    return row[0] if row else None
