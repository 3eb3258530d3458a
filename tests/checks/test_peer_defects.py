"""What was found wrong in other tools of this kind, and what shows that pgaudit does not have it.

A defect that a proof in a check file disproves is listed in KEPT: the proof is run with all others, and
this file keeps it from being renamed, emptied or deleted. The rest is shown here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import postgres
from auditing import audited, errors, said, without_window
from pgaudit import audit, judge, override, sqltext, template
from pgaudit.catalog import find, load, pages
from pgaudit.errors import UsageError
from pgaudit.model import Check, Result, Severity, SeverityRule, Status
from pgaudit.postgres import probe, scratch
from pgaudit.postgres.standin import Surroundings, question
from pgaudit.units import Value, show

ROOT = Path(__file__).parents[2]
CHECKS = {c.id: c for c in find.checks(find.sources(), proofs=True)}


@dataclass(frozen=True, slots=True)
class Kept:
    """A proof in a check file that a defect of a peer would fail: `fires` says what it expects."""

    peer: str
    defect: str
    check: str
    proof: str
    fires: bool


KEPT = (
    Kept(
        "python-pg-extras",
        "reads columns of pg_stat_statements that have another name since PostgreSQL 13",
        "slow-statement", "reports a statement that is slow each time", fires=True,
    ),
    Kept(
        "ruby-pg-extras",
        "the threshold for small indexes does not reach its query",
        "unused-index", "leaves small indexes alone", fires=True,
    ),
    Kept(
        "ruby-pg-extras",
        "sees only the statements of the role that asks",
        "slow-statement", "adds up the rows of one statement that several roles ran", fires=True,
    ),
    Kept(
        "postgresqltuner",
        "asks for 70 % of all connections before it asks for 90 %",
        "connections-near-limit", "finds the levels at their borders", fires=True,
    ),
    Kept(
        "postgresqltuner",
        "calls partitionwise joins disabled, which are off by default",
        "planner-method-disabled",
        "is silent on a server as it is, with its partitionwise joins off and what pgaudit sets for itself",
        fires=False,
    ),
    Kept(
        "pg-healthcheck",
        "reads checkpoint columns that PostgreSQL 17 moved",
        "checkpoints-forced",
        "reports checkpoints that WAL forces, and falls silent with a larger allowance", fires=True,
    ),
    Kept(
        "pg-healthcheck",
        "reads times of checkpoints where PostgreSQL 17 has them no more",
        "checkpoint-writes-slow",
        "reports a sync phase of seconds, but not a write phase that is slow on purpose", fires=True,
    ),
    Kept(
        "pg-healthcheck",
        "takes rows of more than 600 bytes for bloat",
        "bloated-table",
        "leaves full tables alone whatever their rows are like, freshly loaded or filled up again",
        fires=False,
    ),
    Kept(
        "pg-healthcheck",
        "reads a negative n_distinct, a share of the rows, as few values",
        "low-selectivity-index",
        "leaves columns alone that have rare values, values in order, or many", fires=False,
    ),
    Kept(
        "pgwatch",
        "compares whole entries of a configuration (name=value) with the bare name",
        "autovacuum-off", "is silent on a server as it is", fires=False,
    ),
    Kept(
        "pgwatch",
        "does not see that a role has a value of its own",
        "no-statement-timeout",
        "is silent about roles that do not log in, are no application's, or have a value of their own,"
        " even 0",
        fires=False,
    ),
    Kept(
        "splinter",
        "compares a ratio with 70 where a percentage was meant",
        "bloated-table",
        "judges from 100 MiB and 30 % on, with current statistics, and warns from 5 GiB on",
        fires=True,
    ),
    Kept(
        "pgdoctor",
        "never finds an index whose columns another begins with",
        "redundant-index", "reports an index whose columns another begins with", fires=True,
    ),
    Kept(
        "pg-index-health",
        "takes indexes of other operator classes and expressions for overlapping",
        "redundant-index",
        "leaves prefixes alone that differ in order, collation, class, method, predicate or expression",
        fires=False,
    ),
    Kept(
        "check_postgres",
        "lag in seconds grows while the primary is idle",
        "replication-lag",
        "is silent about much time with little WAL, much WAL in little time, and what sends no WAL",
        fires=False,
    ),
    Kept(
        "several",
        "take a column that is only included for a key",
        "redundant-index", "reads an INCLUDE column as no key", fires=False,
    ),
    Kept(
        "several",
        "take a column that is only included for one that a foreign key can use",
        "unindexed-foreign-key", "reports keys whose indexes cannot serve a look-up", fires=True,
    ),
)  # fmt: skip


@pytest.mark.parametrize("kept", KEPT, ids=lambda k: f"{k.peer}: {k.defect}")
def test_a_proof_shows_it(kept: Kept) -> None:
    assert kept.check in CHECKS, (
        f"{kept.check} is gone; what shows now that pgaudit is without: {kept.defect}?"
    )
    found = [p for p in CHECKS[kept.check].proofs if p.name == kept.proof]
    assert found, (
        f"{kept.check} has lost a proof; what shows now that pgaudit is without: {kept.defect}?"
    )
    assert bool(found[0].expect) == kept.fires


def at_once(check: Check, **parameters: Value) -> Check:
    """Take the age of the evidence out, and put parameters in force."""
    return without_window(check.having({"minimum_window": 0.0, **parameters}))


def ask(conninfo: str, *checks: Check, user: str | None = None) -> tuple[Result, ...]:
    with postgres.session(conninfo, user=user) as session:
        known = probe.probe(session, timeout=10)
        return audit.audit(session, known, checks)


def spoken(results: Sequence[Result]) -> list[str]:
    """Say every finding; a check that was not run or failed is a fault of the test."""
    assert [(r.check.id, r.reason) for r in results if r.reason is not None] == []
    return [said(f) for r in results for f in r.findings]


# python-pg-extras


STATEMENTS = [c for c in CHECKS.values() if "pg_stat_statements" in c.reads]


@pytest.mark.parametrize("version", ["1.7", "1.8", "1.9", "1.10", "1.11", "1.12"])
def test_statements_of_an_extension_that_was_never_updated(
    server: postgres.Server, database: str, version: str
) -> None:
    """Its columns follow the extension's version, which pg_upgrade leaves as it was, not the server's."""
    assert STATEMENTS
    with contextlib.closing(scratch.connect(database)) as admin:
        known = admin.execute(
            "SELECT FROM pg_available_extension_versions "
            "WHERE name = 'pg_stat_statements' AND version = %s",
            (version,),
        ).fetchone()
    if known is None:
        pytest.skip(f"PostgreSQL {server.major} has no version {version} of it")
    scratch.run(database, f"CREATE EXTENSION pg_stat_statements VERSION '{version}'")
    results = ask(database, *(at_once(c) for c in STATEMENTS), user="reader")
    assert errors(results) == []
    declared = {"extension", "version", "setting", "privilege"}
    for result in results:
        assert result.status is not Status.SKIPPED or (
            result.reason is not None and result.reason.kind in declared
        ), result.reason


# ruby-pg-extras


def test_every_parameter_is_read_by_its_check() -> None:
    """A threshold under a name that nobody reads would leave another one in force."""
    unread = [
        f"{check.id}.{name}"
        for check in CHECKS.values()
        for name in check.parameters
        if name not in used(check)
    ]
    assert unread == []


def used(check: Check) -> set[str]:
    """Name the parameters that a check's query, evidence and texts use."""
    queries = [sql for sql in check.queries.values() if sql]
    texts = [check.message, check.detail, *dataclasses.astuple(check.remedy)]
    shown = {p.name for text in texts if isinstance(text, str) for p in template.placeholders(text)}
    minimum = {check.evidence.minimum} if check.evidence and check.evidence.minimum else set()
    return shown | minimum | {name for sql in queries for name in sqltext.names(sql)}


def test_a_threshold_reaches_the_server(database: str) -> None:
    scratch.run(
        database, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a_id int REFERENCES a)"
    )
    check = CHECKS["unindexed-foreign-key"]
    assert len(spoken(ask(database, at_once(check)))) == 1
    changed = override.apply([check], [override.parse(f"{check.id}.min_size=1 GiB")])
    assert spoken(ask(database, *map(at_once, changed))) == []
    with pytest.raises(UsageError):
        override.apply([check], [override.parse(f"{check.id}.minsize=1 GiB")])


def test_statements_of_every_role(server: postgres.Server) -> None:
    check = at_once(CHECKS["slow-statement"], min_calls=1, min_total_time=0.0)
    check = dataclasses.replace(
        check, severity=SeverityRule(measure="mean_time", levels={Severity.INFO: 0.0})
    )
    with server.database(extensions=("pg_stat_statements",)) as made:
        scratch.run(made, "SET ROLE nobody; SELECT 'of somebody else' AS another_s_statement")
        results = ask(made, check, user="reader")
        texts = [str(f.row["statement"]) for r in results for f in r.findings]
    assert any("another_s_statement" in text for text in texts), texts


# postgresqltuner


@pytest.mark.parametrize(
    ("percent", "reached"),
    [(69.9, None), (70, "info"), (89.9, "warning"), (90, "critical"), (100, "critical")],
)
def test_the_worst_level_wins_in_whatever_order_they_stand(
    percent: float, reached: str | None
) -> None:
    levels = {Severity.INFO: 70, Severity.WARNING: 80, Severity.CRITICAL: 90}
    for ordered in (levels, dict(reversed(levels.items()))):
        found = judge.severity(SeverityRule(measure="used", levels=ordered), percent)
        assert (found.word if found else None) == reached


# pg-healthcheck


CHECKPOINTS = [c for c in CHECKS.values() if "pg_stat_checkpointer" in c.reads]


def test_checkpoints_are_judged_on_every_major(database: str) -> None:
    """Moved columns are read where this server has them: nothing is left out, and nothing is NULL."""
    assert {c.id for c in CHECKPOINTS} >= {"checkpoints-forced", "checkpoint-writes-slow"}
    with postgres.session(database, user="reader") as session:
        known = probe.probe(session, timeout=10)
        results = audit.audit(session, known, [at_once(c) for c in CHECKPOINTS])
        counted = question(
            "SELECT num_timed + num_requested, write_time + sync_time, stats_reset "
            "FROM   pg_stat_checkpointer",
            label="test", reads=["pg_stat_checkpointer"], parameters={},
            surroundings=Surroundings.of(known), limit=2,
        )  # fmt: skip
        rows = session.ask([counted], timeout=10)[0].rows
    assert errors(results) == []
    assert [r.check.id for r in results if r.status is Status.SKIPPED] == []
    assert len(rows) == 1
    assert None not in rows[0]


RESETS = re.compile(r"\b\w*_reset\w*\s*\(", re.IGNORECASE)


def test_no_remedy_destroys_the_evidence() -> None:
    """Statistics that are reset say nothing for weeks, to the next check and to the planner's owner."""
    printed = {
        c.id: [part for part in (c.remedy.text, c.remedy.sql, c.remedy.undo) if part]
        for c in CHECKS.values()
    }
    resetting = {i for i, parts in printed.items() if any(RESETS.search(part) for part in parts)}
    assert resetting == set()
    assert RESETS.search("SELECT pg_stat_reset();")
    assert RESETS.search("SELECT pg_stat_reset_shared('wal')")


# pgwatch


def test_columns_of_one_name_in_several_tables(database: str) -> None:
    """Statistics are of a schema's table's column, never of whatever bears its name."""
    scratch.run(
        database,
        """
        CREATE SCHEMA other;
        CREATE TABLE full_one (id int PRIMARY KEY, a int);
        CREATE TABLE empty_one (id int PRIMARY KEY, a int);
        CREATE TABLE other.empty_one (id int PRIMARY KEY, a int);
        INSERT INTO full_one SELECT g, g FROM generate_series(1, 2000) g;
        INSERT INTO empty_one SELECT g, CASE WHEN g <= 100 THEN g END FROM generate_series(1, 2000) g;
        INSERT INTO other.empty_one SELECT g, g FROM generate_series(1, 2000) g;
        CREATE INDEX full_one_a ON full_one (a);
        CREATE INDEX empty_one_a ON empty_one (a);
        CREATE INDEX empty_one_a ON other.empty_one (a);
        SET enable_seqscan = off;
        """,
    )
    uses = [
        "ANALYZE",
        *(
            f"SET enable_seqscan = off; SELECT id FROM {t} WHERE a = 7"
            for t in ("full_one", "empty_one", "other.empty_one")
        ),
    ]
    for script in uses:
        scratch.run(database, script)
    check = at_once(CHECKS["mostly-null-index"], min_size=0)
    assert named(database, check, "public.empty_one_a") == ["public.empty_one_a"]


def named(conninfo: str, check: Check, awaited: str) -> list[str]:
    """Name what a check reports; before PostgreSQL 15 statistics arrive late."""
    for _ in range(30):
        results = ask(conninfo, check)
        found = [f.object.display for r in results for f in r.findings]
        if awaited in found:
            return found
        scratch.run(conninfo, "SELECT pg_sleep(0.1)")
    return found


def test_a_check_of_functions_settings_would_need_its_own_proof() -> None:
    """An entry of proconfig is name=value; whoever compares it has to show a function that is pinned."""
    reading = [
        c
        for c in CHECKS.values()
        if any("proconfig" in sqltext.bare(sql) for sql in c.queries.values() if sql)
    ]
    for check in reading:
        pinned = [
            p for p in check.proofs
            if p.expect == () and p.setup and re.search(r"\bSET search_path\b", p.setup)
        ]  # fmt: skip
        assert pinned, f"{check.id} has no silent proof with a function whose search_path is set"


# splinter


BORDER = """\
format: 1
id: nearly-full
title: Thing that is nearly full
category: tables
since: 0.1.0
status: stable
why: It is full soon.
scope: database
reads: []
parameters:
  min_size: {type: size, default: SIZE, help: Smaller ones do not count.}
columns: {name: text, used: percent}
sql:
  14: SELECT 'a' AS name, 5.0 AS used WHERE 5 > %(min_size)s ORDER BY name
object: {kind: table, name: [name]}
severity: {measure: used, warning: LEVEL}
message: "{object} is full to {used}."
remediation: {text: Look at it.}
tests:
  - {name: fires, rows: [{name: a, used: 99 %}], expect: [{object: a, severity: warning}]}
  - {name: is silent, rows: [{name: a, used: 1 %}], expect: []}
"""


@pytest.mark.parametrize(
    ("size", "level", "good"),
    [
        ("1 MiB", "70 %", True),
        ("1 MiB", "70", False),
        ("1 MiB", "0.7", False),
        ("1 MiB", "700 %", False),
        ("1 MiB", "70 MiB", False),
        ("200", "70 %", False),
        ("20 MB", "70 %", False),
    ],
)
def test_a_number_carries_its_unit(size: str, level: str, good: bool) -> None:
    text = BORDER.replace("SIZE", size).replace("LEVEL", level)
    _, faults = load.check(text, "tables/nearly-full.yaml", proofs=True)
    assert (not faults) is good, [str(f) for f in faults]


def test_shares_are_judged_as_shares(database: str) -> None:
    """Whatever is said of this server, no share is above the whole."""
    _, results = audited(database, list(CHECKS.values()))
    shares = [
        (f.check, f.measure.value)
        for r in results
        for f in r.findings
        if f.measure is not None and f.measure.kind == "percent"
    ]
    assert [s for s in shares if not 0 <= float(str(s[1])) <= 100] == []


def test_documentation_says_the_floor_that_is_in_force() -> None:
    """The number stands once, in the check file: the page and the query get it from there."""
    for check in CHECKS.values():
        page = pages.page(check)
        for name, parameter in check.parameters.items():
            line = next((x for x in page.splitlines() if f"`{name}`" in x), "")
            assert show(parameter.type, parameter.default) in line, f"{check.id}.{name}: {line}"


# pgdoctor


@pytest.mark.ends
@pytest.mark.parametrize("form", ["json", "plain", "table"])
def test_the_exit_code_does_not_depend_on_the_format(database: str, form: str) -> None:
    scratch.run(
        database, "CREATE TABLE t (a int); CREATE INDEX one ON t (a); CREATE INDEX two ON t (a)"
    )
    assert run(database, form, "--fail-on", "warning").returncode == 1
    assert run(database, form, "--fail-on", "never").returncode == 0


def run(conninfo: str, form: str, *more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "CI"}
    got = subprocess.run(
        [sys.executable, "-m", "pgaudit", "check", conninfo, "--select", "duplicate-index",
         "--format", form, *more],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env=kept | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert got.stderr == ""
    if form == "json":
        assert json.loads(got.stdout)["summary"]["findings"]["warning"] == 1
    return got


# check_postgres


LAGS: Mapping[str, Mapping[str, Value]] = {
    "replication-lag": {"min_behind": 1},
    "replay-lag-on-standby": {"min_behind": 1},
}


def test_no_lag_on_an_idle_primary(server: postgres.Server, standby: str) -> None:
    """The last replayed commit grows old while nothing is committed; nothing waits all the same."""
    checks = [
        dataclasses.replace(
            at_once(CHECKS[name], **parameters),
            severity=SeverityRule(
                measure=CHECKS[name].severity.measure, levels={Severity.INFO: 0.5}
            ),
        )
        for name, parameters in LAGS.items()
    ]
    with contextlib.closing(scratch.connect(standby)) as admin:
        admin.execute("SELECT pg_sleep(1.5)")
    here = ask(standby, *checks, user="reader")
    there = ask(server.conninfo, *checks, user="reader")
    assert errors([*here, *there]) == []
    assert [said(f) for r in (*here, *there) for f in r.findings] == []
    ran = {r.check.id for r in (*here, *there) if r.status is Status.PASSED}
    assert ran == set(LAGS)
