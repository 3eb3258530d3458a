"""A real primary, two standbys and a subscriber: silent, then each fault on the right node, then cured."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
import pytest

import postgres
from pgaudit import audit
from pgaudit.catalog import find
from pgaudit.model import Check, Finding, Severity, Status
from pgaudit.postgres import embedded, probe, scratch
from pgaudit.postgres.session import Session

CHECKS = [c for c in find.checks(find.sources(), proofs=True) if c.category == "replication"]

# What takes hours elsewhere counts from the first moment on here; what is healthy is so by these as well.
PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "inactive-slot": {"grace": 0, "min_kept": 0},
    "replication-lag": {"min_behind": 1 << 20},
    "standby-conflicts": {"min_cancelled": 1},
}
LEVELS: Mapping[str, Mapping[Severity, float]] = {
    "replication-lag": {Severity.INFO: 0.1},
    "replay-lag-on-standby": {Severity.INFO: 0.0},
}

PATIENCE = 25.0
"""Seconds until a fault must show, and until it must be gone."""

PRIMARY = {
    "wal_level": "logical",
    "synchronous_commit": "on",
    "wal_sender_timeout": "10s",
}
RECEIVER = {"wal_retrieve_retry_interval": "200ms", "wal_receiver_status_interval": "1s"}

SCHEMA = """
CREATE TABLE customer (id int PRIMARY KEY, email text);
INSERT INTO customer SELECT g, g || '@example.org' FROM generate_series(1, 100) g;
"""

READING = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM customer"


def sharpened(check: Check) -> Check:
    """Let a check speak of what is seconds old and small."""
    levels = LEVELS.get(check.id, check.severity.levels)
    severity = dataclasses.replace(check.severity, levels=levels)
    changed = check.having(PARAMETERS.get(check.id, {}))
    return dataclasses.replace(changed, severity=severity, evidence=None)


@dataclass(slots=True)
class Node:
    """One server: how to connect as its superuser, and a session that audits it."""

    name: str
    conninfo: str
    session: Session

    def run(self, script: str) -> None:
        """Run a script as superuser."""
        scratch.run(self.conninfo, script)

    def findings(self, checks: list[Check]) -> dict[str, list[Finding]]:
        """Audit the node now: check to findings. An error of a check fails the test."""
        known = probe.probe(self.session, timeout=10)
        results = audit.audit(self.session, known, checks)
        assert [(r.check.id, r.reason) for r in results if r.status is Status.ERRORED] == []
        return {r.check.id: list(r.findings) for r in results if r.findings}


@dataclass(slots=True)
class Cluster:
    """The four servers, by name."""

    nodes: dict[str, Node]
    major: int
    checks: list[Check] = field(default_factory=lambda: [sharpened(c) for c in CHECKS])

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def seen(self) -> set[tuple[str, str]]:
        """Return every check that found something, with the node on which it did."""
        return {
            (name, check)
            for name, node in self.nodes.items()
            for check in node.findings(self.checks)
        }

    def silent(self) -> None:
        """Wait until no check finds anything on any node."""
        self.settles(set())

    def settles(self, expected: set[tuple[str, str]]) -> None:
        """Wait until exactly these checks find something on exactly these nodes."""
        end = time.monotonic() + PATIENCE
        while (seen := self.seen()) != expected:
            if time.monotonic() > end:
                assert seen == expected, self.said()
            time.sleep(0.1)

    def said(self) -> str:
        """Return all findings, for whoever reads a failure."""
        return "\n".join(
            f"{name}: {finding.message}"
            for name, node in self.nodes.items()
            for found in node.findings(self.checks).values()
            for finding in found
        )

    def only(self, node: str, check: str) -> Finding:
        """Return the one finding of a check on a node, as soon as it is there."""
        end = time.monotonic() + PATIENCE
        while not (found := self[node].findings(self.checks).get(check, [])):
            assert time.monotonic() < end, self.said()
            time.sleep(0.1)
        (finding,) = found
        return finding

    def fill(self, first: int, last: int) -> None:
        """Make rows that a test will delete: which tests were run before it depends on the worker."""
        self["primary"].run(
            f"INSERT INTO customer SELECT g FROM generate_series({first}, {last}) g ON CONFLICT DO NOTHING"
        )
        self.caught_up()

    def caught_up(self) -> None:
        """Wait until both standbys have replayed, and the subscriber applied, what was written."""
        with contextlib.closing(scratch.connect(self["primary"].conninfo)) as admin:
            row = admin.execute("SELECT pg_current_wal_lsn()").fetchone()
            assert row is not None
            end = time.monotonic() + PATIENCE
            while admin.execute(
                "SELECT count(*) < 3 FROM pg_stat_replication WHERE replay_lsn >= %s", row
            ).fetchone() == (True,):
                assert time.monotonic() < end, "a standby or the subscriber does not catch up"
                time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(server: postgres.Server) -> Iterator[Cluster]:
    """Build a primary with a synchronous and another standby, each with a slot, and a subscriber."""
    environ = server.beside("pg_basebackup")
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(embedded.throwaway(environ, settings=PRIMARY)).conninfo
        postgres.described(primary)  # makes the role that audits
        scratch.run(primary, SCHEMA + "CREATE PUBLICATION shop FOR TABLE customer;")
        started = {"primary": primary}
        for name in ("near", "far"):
            scratch.run(primary, f"SELECT pg_create_physical_replication_slot('{name}')")
            started[name] = stack.enter_context(
                embedded.standby(
                    environ,
                    f"{primary} application_name={name}",
                    settings={**RECEIVER, "primary_slot_name": name},
                )
            ).conninfo
        started["subscriber"] = stack.enter_context(
            embedded.throwaway(environ, settings=RECEIVER)
        ).conninfo
        postgres.described(started["subscriber"])
        failover = ", failover = true" if server.major >= 17 else ""
        scratch.run(
            started["subscriber"],
            "CREATE TABLE customer (id int PRIMARY KEY, email text);"
            f"CREATE SUBSCRIPTION shop CONNECTION '{primary}' PUBLICATION shop "
            f"WITH (slot_name = 'shop'{failover});",
        )
        scratch.run(
            primary,
            "ALTER SYSTEM SET synchronous_standby_names = 'near'; SELECT pg_reload_conf();",
        )
        nodes = {
            name: Node(
                name, conninfo, stack.enter_context(postgres.session(conninfo, user="reader"))
            )
            for name, conninfo in started.items()
        }
        yield Cluster(nodes, server.major)


def test_healthy(cluster: Cluster) -> None:
    """All four are silent while rows travel, and what does not apply to a node is said to be so."""
    cluster.silent()
    cluster["primary"].run("INSERT INTO customer SELECT g FROM generate_series(1000, 3000) g")
    cluster.caught_up()
    cluster.silent()
    for name, role in (("primary", "primary"), ("near", "standby"), ("subscriber", "primary")):
        session = cluster[name].session
        results = audit.audit(session, probe.probe(session, timeout=10), cluster.checks)
        for result in results:
            if result.check.role not in ("any", role):
                assert result.status is Status.SKIPPED
            elif result.status is Status.SKIPPED:
                assert result.reason is not None
                assert result.reason.kind in {"version", "extension"}


def test_paused_replay(cluster: Cluster) -> None:
    cluster["far"].run("SELECT pg_wal_replay_pause()")
    cluster["primary"].run("INSERT INTO customer SELECT g FROM generate_series(5000, 25000) g")
    cluster.settles({("far", "recovery-paused"), ("primary", "replication-lag")})
    assert cluster.only("primary", "replication-lag").object.display == "far slot far"
    assert "of WAL wait" in cluster.only("far", "recovery-paused").message
    cluster["far"].run("SELECT pg_wal_replay_resume()")
    cluster.silent()


def test_replay_that_waits_for_a_query(cluster: Cluster) -> None:
    far, primary = cluster["far"], cluster["primary"]
    cluster.fill(1001, 3000)
    far.run("ALTER SYSTEM SET max_standby_streaming_delay = -1; SELECT pg_reload_conf()")
    with scratch.held(far.conninfo, [READING]):
        primary.run("DELETE FROM customer WHERE id > 1000; VACUUM customer")
        for number in range(2):  # a segment that is full, and the next
            primary.run(f"INSERT INTO customer VALUES ({2000 + number}); SELECT pg_switch_wal()")
        cluster.settles({("far", "replay-lag-on-standby"), ("primary", "replication-lag")})
        waits = cluster.only("far", "replay-lag-on-standby").message
        assert "RecoveryConflictSnapshot" in waits
    cluster.silent()


def test_cancelled_query(cluster: Cluster) -> None:
    far, primary = cluster["far"], cluster["primary"]
    cluster.fill(501, 1000)
    far.run("ALTER SYSTEM SET max_standby_streaming_delay = 0; SELECT pg_reload_conf()")
    with scratch.held(far.conninfo, [READING]):
        primary.run("DELETE FROM customer WHERE id > 500; VACUUM customer")
        cluster.settles({("far", "standby-conflicts")})
    assert "1 for rows that vacuum removed" in cluster.only("far", "standby-conflicts").message
    far.run("ALTER SYSTEM RESET max_standby_streaming_delay; SELECT pg_reload_conf()")
    far.run("SELECT pg_stat_reset()")
    cluster.silent()


def test_dead_slot(cluster: Cluster) -> None:
    for name in ("primary", "far"):  # a standby keeps slots, and WAL, of its own
        cluster[name].run("SELECT pg_create_physical_replication_slot('dead', true)")
        cluster.settles({(name, "inactive-slot")})
        found = cluster.only(name, "inactive-slot")
        assert found.object.display == "dead"
        cluster[name].run(found.remedy.sql or "")
        cluster.silent()


def test_synchronous_standby_away(cluster: Cluster) -> None:
    """The standby says that it is cut off, the primary that commits wait for it."""
    near, primary = cluster["near"], cluster["primary"]
    with contextlib.closing(scratch.connect(near.conninfo)) as admin:
        row = admin.execute("SHOW primary_conninfo").fetchone()
        assert row is not None
    near.run("ALTER SYSTEM SET primary_conninfo = 'host=/nowhere'; SELECT pg_reload_conf()")
    with contextlib.closing(psycopg.connect(primary.conninfo, autocommit=True)) as application:
        away = {
            ("near", "standby-not-streaming"),
            ("primary", "inactive-slot"),
            ("primary", "synchronous-standby-missing"),
        }
        cluster.settles(away)
        application.pgconn.send_query(b"INSERT INTO customer VALUES (4000)")
        cluster.settles(away)  # the commit that waits keeps nobody from looking
        found = cluster.only("primary", "synchronous-standby-missing")
        assert found.severity is Severity.CRITICAL
        assert "asks for 1, and 0 are there" in found.message
        back = str(row[0]).replace("'", "''")
        near.run(f"ALTER SYSTEM SET primary_conninfo = '{back}'; SELECT pg_reload_conf()")
        cluster.silent()


def test_subscription_that_fails(cluster: Cluster) -> None:
    """A row that is there already stops everything behind it."""
    cluster["subscriber"].run("INSERT INTO customer VALUES (4001)")
    cluster["primary"].run("INSERT INTO customer VALUES (4001)")
    found = until(cluster, "subscriber", "subscription-errors", Severity.WARNING)
    assert "has no running worker" in found.message
    if cluster.major >= 15:
        assert "errors while applying" in found.message
    cluster["subscriber"].run("DELETE FROM customer WHERE id = 4001")
    cluster.caught_up()
    forget_errors(cluster)
    cluster.silent()


def test_disabled_subscription(cluster: Cluster) -> None:
    """The subscriber says that it is off, the publisher that its slot is not used."""
    cluster["subscriber"].run("ALTER SUBSCRIPTION shop DISABLE")
    cluster.settles({("subscriber", "subscription-disabled"), ("primary", "inactive-slot")})
    assert cluster.only("primary", "inactive-slot").object.display == "shop"
    cluster["subscriber"].run(cluster.only("subscriber", "subscription-disabled").remedy.sql or "")
    cluster.silent()


def test_table_that_is_never_copied(cluster: Cluster) -> None:
    table = "CREATE TABLE purchase (id int PRIMARY KEY); INSERT INTO purchase VALUES (1);"
    cluster["primary"].run(f"{table} ALTER PUBLICATION shop ADD TABLE purchase")
    cluster["subscriber"].run(f"{table} ALTER SUBSCRIPTION shop REFRESH PUBLICATION")
    found = until(cluster, "subscriber", "subscription-table-not-ready", Severity.WARNING)
    assert "public.purchase" in found.message
    cluster["subscriber"].run("DELETE FROM purchase")
    end = time.monotonic() + PATIENCE
    while "subscription-table-not-ready" in cluster["subscriber"].findings(cluster.checks):
        assert time.monotonic() < end, cluster.said()
        time.sleep(0.1)
    forget_errors(cluster)
    cluster.silent()


def test_published_table_without_identity(cluster: Cluster) -> None:
    cluster["primary"].run("CREATE TABLE note (text text); CREATE PUBLICATION notes FOR TABLE note")
    cluster.settles({("primary", "published-table-without-identity")})
    with pytest.raises(psycopg.Error, match="replica identity"):
        cluster["primary"].run("INSERT INTO note VALUES ('a'); UPDATE note SET text = 'b'")
    found = cluster.only("primary", "published-table-without-identity")
    cluster["primary"].run(found.remedy.sql or "")
    cluster["primary"].run("UPDATE note SET text = 'b'")
    cluster.silent()


def test_cascade(cluster: Cluster) -> None:
    """A standby that feeds another answers for it, as a primary would."""
    near, far, primary = cluster["near"], cluster["far"], cluster["primary"]
    near.run("SELECT pg_create_physical_replication_slot('far')")
    upstream = f"{near.conninfo} application_name=far"
    far.run(f"ALTER SYSTEM SET primary_conninfo = '{upstream}'; SELECT pg_reload_conf()")
    cluster.settles({("primary", "inactive-slot")})
    primary.run(cluster.only("primary", "inactive-slot").remedy.sql or "")
    cluster.silent()
    far.run("SELECT pg_wal_replay_pause()")
    primary.run("INSERT INTO customer SELECT g FROM generate_series(30000, 50000) g")
    cluster.settles({("far", "recovery-paused"), ("near", "replication-lag")})
    assert cluster.only("near", "replication-lag").object.display == "far slot far"
    far.run("SELECT pg_wal_replay_resume()")
    cluster.silent()


def until(cluster: Cluster, node: str, check: str, severity: Severity) -> Finding:
    """Wait until a check has one finding that is as bad; workers that fail are there for a moment."""
    end = time.monotonic() + PATIENCE
    while True:
        found = cluster[node].findings(cluster.checks).get(check, [])
        if len(found) == 1 and found[0].severity is severity:
            return found[0]
        assert time.monotonic() < end, cluster.said()
        time.sleep(0.05)


def forget_errors(cluster: Cluster) -> None:
    """Reset the counters of errors that are over; PostgreSQL 14 has none."""
    if cluster.major >= 15:
        cluster["subscriber"].run(
            "SELECT pg_stat_reset_subscription_stats(oid) FROM pg_subscription"
        )
