"""Windows on real servers: what was counted before is not judged, what is counted inside is."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

import auditing
import postgres
from pgaudit import audit, override, window
from pgaudit.catalog import find
from pgaudit.errors import TargetError
from pgaudit.evidence import Sample
from pgaudit.model import Check, Finding, Result, Server, Status
from pgaudit.postgres import counters, probe, sample, scratch
from pgaudit.postgres.session import Session

CHECKS = {check.id: check for check in find.checks(find.sources())}


def checks(*settings: str) -> list[Check]:
    """Return the checks that settings name, with those settings in force."""
    changed = override.apply(list(CHECKS.values()), [override.parse(text) for text in settings])
    named = {text.partition(".")[0] for text in settings}
    return [check for check in changed if check.id in named]


SLOW = ("slow-statement.min_total_time=0 s", "slow-statement.min_calls=1")
DOMINANT = ("dominant-statement.min_load=0 %",)
SINCE_EVER = ("slow-statement.minimum_window=0 s", "dominant-statement.minimum_window=0 s")


def sampled(session: Session, selected: list[Check]) -> tuple[Server, Sample]:
    server = probe.probe(session, timeout=20)
    return server, sample.sample(session, server, window.views(selected), timeout=20)


def judged(session: Session, first: Sample, selected: list[Check]) -> tuple[Result, ...]:
    server, second = sampled(session, selected)
    found = window.between(first, second, server, session.place)
    return audit.audit(session, server, selected, difference=found)


def findings(results: tuple[Result, ...]) -> dict[str, list[Finding]]:
    assert auditing.errors(results) == []
    assert [r.check.id for r in results if r.status is Status.SKIPPED] == []
    return {r.check.id: list(r.findings) for r in results}


@pytest.fixture
def shop(server: postgres.Server) -> Iterator[str]:
    with server.database(extensions=("pg_stat_statements",)) as made:
        yield made


@pytest.fixture
def working(shop: str) -> Iterator[psycopg.Connection]:
    with contextlib.closing(scratch.connect(shop)) as connection:
        yield connection


def slow(connection: psycopg.Connection, mark: str, times: int, seconds: float) -> None:
    # A name makes no other statement of it; another number of columns does.
    more = ", 1" * len(mark)
    for _ in range(times):
        connection.execute(f"SELECT pg_sleep({seconds}){more} AS {mark}".encode())


def statements(found: list[Finding]) -> list[str]:
    return [str(f.row["statement"]).rpartition(" ")[2] for f in found]


def test_what_was_slow_before_is_reported_without_a_window_and_not_with_one(
    shop: str,
    working: psycopg.Connection,
) -> None:
    slow(working, "then", 6, 0.5)
    selected = checks(*SLOW, *DOMINANT, *SINCE_EVER)
    with postgres.session(shop) as session:
        server, first = sampled(session, selected)
        slow(working, "now", 3, 0.4)
        ever = findings(audit.audit(session, server, selected))
        inside = findings(judged(session, first, selected))
    assert statements(ever["slow-statement"]) == ["then", "now"]
    assert statements(ever["dominant-statement"]) == ["then"]
    assert statements(inside["slow-statement"]) == ["now"]
    # What became slow just now dominates only what was counted just now.
    assert statements(inside["dominant-statement"]) == ["now"]
    (finding,) = inside["slow-statement"]
    assert finding.row["calls"] == 3
    assert 0.4 <= float(str(finding.row["mean_time"])) < 0.5
    assert finding.window is not None
    assert finding.window.words.startswith("in the last ")
    assert finding.row["slowest_time"] is not None


def test_one_that_is_called_on_is_judged_by_its_new_calls(
    shop: str,
    working: psycopg.Connection,
) -> None:
    slow(working, "same", 3, 0.4)
    selected = checks(*SLOW)
    with postgres.session(shop) as session:
        _, first = sampled(session, selected)
        slow(working, "same", 5, 0.06)
        time.sleep(1)
        (finding,) = findings(judged(session, first, selected))["slow-statement"]
    assert finding.row["calls"] == 5
    assert float(str(finding.row["mean_time"])) < 0.1
    # The slowest call of all was before; the slowest inside is not known.
    assert finding.row["slowest_time"] is None


def test_rates_are_those_of_the_window_however_late_the_check_is_asked(
    shop: str,
    working: psycopg.Connection,
) -> None:
    selected = checks(*DOMINANT)
    with postgres.session(shop) as session:
        _, first = sampled(session, selected)
        slow(working, "busy", 4, 0.5)
        server, second = sampled(session, selected)
        found = window.between(first, second, server, session.place)
        time.sleep(2)
        (result,) = audit.audit(session, server, selected, difference=found)
    (finding,) = result.findings
    load = float(str(finding.row["load"]))
    assert abs(load - 100 * 2.0 / found.seconds) < 8, (load, found.seconds)


def reset_all(connection: psycopg.Connection) -> None:
    for schema in connection.execute(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'pg_stat_statements'"
    ).fetchall():
        connection.execute(f"SELECT {schema[0]}.pg_stat_statements_reset()".encode())


def test_a_reset_in_between_is_noticed_and_said(
    shop: str,
    working: psycopg.Connection,
) -> None:
    slow(working, "same", 4, 0.1)
    selected = checks(*SLOW)
    with postgres.session(shop) as session:
        _, first = sampled(session, selected)
        time.sleep(0.5)
        reset_all(working)
        slow(working, "same", 2, 0.1)
        time.sleep(1)
        server, second = sampled(session, selected)
        found = window.between(first, second, server, session.place)
        (result,) = audit.audit(session, server, selected, difference=found)
    assert [f.row["calls"] for f in result.findings] == [2]
    said = [note for note in found.notes if "was reset inside the window" in note]
    assert said, found.notes


def test_a_reset_of_the_database_s_counters(
    shop: str,
    working: psycopg.Connection,
) -> None:
    working.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) g")
    views = ("pg_stat_user_tables", "pg_stat_database")

    def inserted(expected: int) -> Sample:
        end = time.monotonic() + 15
        with postgres.session(shop) as session:
            server = probe.probe(session, timeout=20)
            while True:
                working.execute("SELECT 1")  # before PostgreSQL 15 an idle session keeps its counts
                made = sample.sample(session, server, views, timeout=20)
                seen = made.views["pg_stat_user_tables"]
                place = seen.columns.index("n_tup_ins")
                if sum(int(row[place] or 0) for row in seen.rows.values()) == expected:
                    return made
                assert time.monotonic() < end, "the counters never arrived"
                time.sleep(0.1)

    first = inserted(1000)
    working.execute("SELECT pg_stat_reset()")
    time.sleep(1)
    working.execute("INSERT INTO t SELECT g FROM generate_series(1, 10) g")
    second = inserted(10)
    with postgres.session(shop) as session:
        server = probe.probe(session, timeout=20)
        found = window.between(first, second, server, session.place)
    (row,) = found.views["pg_stat_user_tables"].rows.values()
    assert row["n_tup_ins"] == 10
    assert any(note.startswith("pg_stat_user_tables was reset") for note in found.notes)
    assert found.windows["pg_stat_user_tables"].start > first.taken_at


def test_every_check_can_be_asked_over_a_window(shop: str) -> None:
    """No check fails over a window, and one of forty days is long enough for all."""
    selected = list(CHECKS.values())
    with postgres.session(shop) as session:
        _, first = sampled(session, selected)
        first = dataclasses.replace(first, taken_at=first.taken_at - timedelta(days=40))
        results = judged(session, first, selected)
    assert auditing.errors(results) == []
    waiting = [
        r.check.id
        for r in results
        if r.reason is not None and r.reason.kind == "window" and window.applies(r.check)
    ]
    assert waiting == []
    assert auditing.loud(results) == []


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)
def test_a_check_of_statements_is_judged_over_a_minute(check: Check) -> None:
    """It says so with `evidence: {window: 1 s}`, or another shortest window in which it means the same."""
    if check.evidence is not None and check.evidence.view == "pg_stat_statements":
        assert check.evidence.window is not None
        assert check.evidence.window <= 60


def test_an_idle_server_is_quiet_inside_a_window(shop: str) -> None:
    selected = [check for check in CHECKS.values() if window.applies(check)]
    with postgres.session(shop) as session:
        _, first = sampled(session, selected)
        results = judged(session, first, selected)
    assert [auditing.said(f) for r in results for f in r.findings] == []


def test_what_needs_a_month_is_not_judged_after_a_moment(shop: str) -> None:
    selected = [CHECKS["unused-index"], CHECKS["dead-tuples"]]
    with postgres.session(shop) as session:
        _, first = sampled(session, selected)
        unused, dead = judged(session, first, selected)
    assert unused.reason is not None
    assert unused.reason.text.startswith(
        "would judge what pg_stat_user_indexes counted in the last "
    )
    # What is now is judged as ever, by counters that count as long as they do.
    assert dead.reason is not None
    assert "since the" in dead.reason.text


def test_samples_of_others_are_refused(shop: str, server: postgres.Server) -> None:
    selected = checks(*SLOW)
    with postgres.session(shop) as session:
        known, first = sampled(session, selected)
        _, second = sampled(session, selected)
        for other in (
            dataclasses.replace(first, system="0"),
            dataclasses.replace(first, database=1),
            dataclasses.replace(first, taken_at=second.taken_at + timedelta(hours=1)),
        ):
            with pytest.raises(TargetError):
                window.between(other, second, known, session.place)
    assert first.system is not None


@pytest.mark.parametrize("user", ["reader", "nobody"])
def test_whoever_may_look_can_sample(shop: str, user: str) -> None:
    selected = list(CHECKS.values())
    with postgres.session(shop, user=user) as session:
        _, made = sampled(session, selected)
    assert set(made.views) == set(window.views(selected))
    assert made.system is not None


def test_every_cumulative_column_of_this_major_is_classified(
    server: postgres.Server, shop: str
) -> None:
    with postgres.session(shop) as session:
        known = probe.probe(session, timeout=20)
    for view, columns in known.shapes.items():
        if view not in counters.momentary() and columns:
            assert set(columns) <= set(counters.cumulative()[view].columns), view


def test_a_crash_in_between(server: postgres.Server) -> None:
    """It discards all counters and does not move the server's start; nothing is overstated, it is said."""
    if server.binaries is None:
        pytest.skip("no server of ours")
    selected = [*checks(*SLOW), CHECKS["low-cache-hit-ratio"]]
    name = server.binaries.parent.name
    with postgres.serve(name) as own, own.database(extensions=("pg_stat_statements",)) as database:
        with contextlib.closing(scratch.connect(database)) as working:
            slow(working, "before", 3, 0.1)
            working.execute("CHECKPOINT")  # these servers promise nothing after a crash
        with postgres.session(database) as session:
            _, first = sampled(session, selected)
        crash(database)
        with contextlib.closing(scratch.connect(database)) as working:
            slow(working, "after", 2, 0.6)
        with postgres.session(database) as session:
            known, second = sampled(session, selected)
            found = window.between(first, second, known, session.place)
            result, *_ = audit.audit(session, known, selected, difference=found)
    assert statements(list(result.findings)) == ["after"], result.reason
    assert [f.row["calls"] for f in result.findings] == [2]
    assert any(note.startswith("pg_stat_statements was reset inside") for note in found.notes)
    assert found.windows["pg_stat_statements"].start > first.taken_at


def crash(conninfo: str) -> None:
    """Kill a server process; the server starts anew by itself."""
    end = time.monotonic() + 20
    with contextlib.ExitStack() as stack:
        victim, witness = (
            stack.enter_context(contextlib.closing(scratch.connect(conninfo))) for _ in range(2)
        )
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        with contextlib.suppress(psycopg.Error):  # the server ends all others before it recovers
            while time.monotonic() < end:
                witness.execute("SELECT 1")
    while time.monotonic() < end:
        with contextlib.suppress(psycopg.Error), contextlib.closing(scratch.connect(conninfo)):
            return
        time.sleep(0.1)
