"""One database, some checks: every outcome is a result, none is an exception."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import postgres
from pgaudit import audit
from pgaudit.catalog import find, load
from pgaudit.model import Check, Status
from pgaudit.postgres import probe, scratch

TEXT = """format: 1
id: {id}
title: A check for tests
category: tests
since: 0.1.0
status: stable
why: It is needed.
scope: database
columns: {{name: text, amount: count}}
sql:
  14: |
{sql}
object: {{kind: table, name: [name]}}
severity: warning
message: "{{object}} has {{amount}}."
remediation: {{text: Nothing.}}
{more}
tests: []
"""


def made(sql: str, more: str = "", name: str = "a-check") -> Check:
    lines = "\n".join("    " + line for line in sql.splitlines())
    text = TEXT.format(sql=lines, more=more, id=name)
    check, faults = load.check(text, f"{name}.yaml", origin="tests")
    assert check is not None, faults
    return check


def ask(conninfo: str, *checks: Check, user: str | None = None, rows: int = 1000) -> list:  # type: ignore[type-arg]
    with postgres.session(conninfo, user=user) as session:
        known = probe.probe(session, timeout=5)
        return list(audit.audit(session, known, checks, audit.Limits(5, rows)))


GOOD = "SELECT 'x' AS name, 5::bigint AS amount ORDER BY name"


def test_finding(database: str) -> None:
    (result,) = ask(database, made(GOOD))
    assert result.status is Status.FAILED
    assert [f.message for f in result.findings] == ["x has 5."]
    assert result.seconds > 0


def test_errors_are_results_and_the_next_check_runs(database: str) -> None:
    broken = made("SELECT 'x' AS name,\n       nonsense AS amount\nORDER BY name", name="broken")
    first, second = ask(database, broken, made(GOOD))
    assert first.status is Status.ERRORED
    assert first.reason.sqlstate == "42703"
    assert 'column "nonsense" does not exist' in first.reason.text
    text = TEXT.format(sql="    SELECT 'x' AS name,\n           nonsense", more="", id="broken")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "nonsense" in line)
    assert first.reason.where == f"broken.yaml:{line}"
    assert second.status is Status.FAILED


def test_columns_are_a_contract(database: str) -> None:
    (result,) = ask(database, made("SELECT 'x' AS name, 5 AS other ORDER BY name"))
    assert result.status is Status.ERRORED
    assert "the check declares name, amount" in result.reason.text


def test_a_type_is_a_contract_too(database: str) -> None:
    (result,) = ask(database, made("SELECT 'x' AS name, 'many' AS amount ORDER BY name"))
    assert result.status is Status.ERRORED
    assert "declared type" in result.reason.text


def test_row_limit_is_said(database: str) -> None:
    many = made("SELECT 'x' || g AS name, g AS amount FROM generate_series(1, 50) g ORDER BY g")
    (result,) = ask(database, many, rows=10)
    assert len(result.findings) == 10
    assert result.truncated


def test_missing_right_names_its_grant(database: str) -> None:
    needs = made(GOOD, "requires: {privileges: [pg_read_all_stats]}")
    (result,) = ask(database, needs, user="nobody")
    assert result.status is Status.SKIPPED
    assert result.reason.cure == 'GRANT pg_read_all_stats TO "nobody";'
    scratch.run(database, result.reason.cure)
    try:
        (again,) = ask(database, needs, user="nobody")
        assert again.status is Status.FAILED
    finally:
        scratch.run(database, "REVOKE pg_read_all_stats FROM nobody")


def test_missing_extension_names_its_cure(database: str) -> None:
    needs = made(GOOD, "requires: {extensions: {pg_stat_statements: any}}")
    (result,) = ask(database, needs)
    assert result.reason.cure == 'CREATE EXTENSION "pg_stat_statements";'
    scratch.run(database, result.reason.cure)
    assert ask(database, needs)[0].status is Status.FAILED


def test_extension_not_to_be_had(database: str) -> None:
    (result,) = ask(database, made(GOOD, "requires: {extensions: {no_such_thing: any}}"))
    assert result.status is Status.SKIPPED
    assert result.reason.cure is None


def test_version_and_role(database: str) -> None:
    newer = dataclasses.replace(made(GOOD), queries={99: "SELECT 1"})
    gone = dataclasses.replace(made(GOOD), queries={13: "SELECT 1", 14: None})
    standby = made(GOOD, "role: standby")
    assert [r.reason.kind for r in ask(database, newer, gone, standby)] == [
        "version",
        "version",
        "role",
    ]


def test_setting(database: str) -> None:
    (result,) = ask(database, made(GOOD, 'requires: {settings: {track_counts: "off"}}'))
    assert result.reason.text == "needs track_counts = off, which is on"
    assert result.reason.cure == "ALTER SYSTEM SET \"track_counts\" = 'off';"


def test_short_evidence_is_not_run_and_long_is_stamped(database: str) -> None:
    evidence = (
        "reads: [pg_stat_user_tables]\n"
        "parameters: {{minimum_window: {{type: duration, default: {0}, help: x}}}}\n"
        "evidence: {{view: pg_stat_user_tables, minimum: minimum_window}}"
    )
    sql = "SELECT 'x' AS name, count(*) AS amount FROM pg_stat_user_tables ORDER BY name"
    short, long = ask(
        database, made(sql, evidence.format("30 days")), made(sql, evidence.format("0 s"))
    )
    assert short.status is Status.SKIPPED
    assert short.reason.kind == "window"
    assert "needs 30 days" in short.reason.text
    assert long.findings[0].window is not None


def test_a_connection_lost_once_is_reopened(database: str) -> None:
    """The check's own SQL cannot end its session, so the administrator does it between two checks."""
    with postgres.session(database) as session:
        known = probe.probe(session, timeout=5)

        def kill(done: int, _all: int, _check: Check) -> None:
            if done == 1:
                with contextlib.closing(scratch.connect(database)) as admin:
                    pid = session._connection.info.backend_pid
                    admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
                    while admin.execute(
                        "SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)
                    ).fetchone():
                        pass

        checks = [made(GOOD, name=n) for n in ("one", "two", "three")]
        results = audit.audit(session, known, checks, progress=audit.Progress(on_start=kill))
    assert [r.status for r in results] == [Status.FAILED, Status.ERRORED, Status.FAILED]
    assert results[1].reason is not None
    assert results[1].reason.kind == "lost"


def test_hostile_names_stay_names(database: str, tmp_path: Path) -> None:
    """Whatever a table is called: the finding names it, and the printed remedy is one safe statement."""
    names = [
        '"; DROP TABLE victim; --',
        "[bold]",
        "\x1b[2J",
        "💥" * 15,
        "line\nbreak",
        "it's",
        "tab\tstop",
        "%s{x}",
    ]
    scratch.run(database, "CREATE TABLE victim (id int)")
    with contextlib.closing(scratch.connect(database)) as admin:
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            admin.execute(f"CREATE TABLE {quoted} (id int)".encode())
    check = made(
        "SELECT relname AS name, 1::bigint AS amount FROM pg_class WHERE relkind = 'r'\n"
        "AND relnamespace = 'public'::regnamespace AND relname <> 'victim' ORDER BY name"
    )
    check = dataclasses.replace(
        check, remedy=dataclasses.replace(check.remedy, sql="DROP TABLE public.{name};")
    )
    (result,) = ask(database, check)
    assert {f.object.name[0] for f in result.findings} == set(names)
    for finding in result.findings:
        assert finding.remedy.sql is not None
        assert finding.remedy.sql.isprintable()
        scratch.run(database, finding.remedy.sql)
    assert ask(database, check)[0].status is Status.PASSED
    with contextlib.closing(scratch.connect(database)) as admin:
        assert admin.execute(
            "SELECT count(*) FROM pg_class WHERE relname = 'victim'"
        ).fetchone() == (1,)


def test_an_extension_whose_schema_may_not_be_used(server: postgres.Server) -> None:
    """The check is not run and says what would help; the rest of the audit is not harmed."""
    check = next(c for c in find.checks(find.sources()) if c.id == "dominant-statement")
    with server.database() as made:
        scratch.run(
            made, 'CREATE SCHEMA "Odd one"; CREATE EXTENSION pg_stat_statements SCHEMA "Odd one"'
        )
        with postgres.session(made, user="reader") as session:
            known = probe.probe(session, timeout=5)
            result = audit.ask(session, known, check)
        assert result.status is Status.SKIPPED
        assert result.reason is not None
        assert result.reason.cure == 'GRANT USAGE ON SCHEMA "Odd one" TO "reader";'
        scratch.run(made, result.reason.cure)
        with postgres.session(made, user="reader") as session:
            known = probe.probe(session, timeout=5)
            again = audit.ask(session, known, check)
        assert again.reason is None or again.reason.kind == "window"
