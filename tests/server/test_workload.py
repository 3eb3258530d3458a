"""What real servers ran, read back from pg_stat_statements."""

from __future__ import annotations

import contextlib
import dataclasses
import re

import psycopg
import pytest

import postgres
from pgaudit import audit, made
from pgaudit.catalog import load
from pgaudit.model import Check, Status
from pgaudit.postgres import probe, scratch, workload
from pgaudit.postgres.standin import Question, Surroundings
from pgaudit.statements import tree

EXTENSION = ("pg_stat_statements",)

CHECK = """format: 1
id: {id}
title: A check for tests
category: tests
since: 0.1.0
status: stable
why: It is needed.
scope: database
matches: {matches}
reads: [matched_statement]
requires: {{extensions: {{pg_stat_statements: any}}}}
columns: {{name: text, calls: count, statement: text}}
sql:
  14: |
    SELECT s.pattern || ' ' || coalesce(s.relid::regclass::text, '?') || ' '
             || coalesce(s.column_name, '') AS name,
           sum(s.calls)::bigint AS calls, min(s.query) AS statement
    FROM   matched_statement s
    GROUP  BY s.pattern, s.relid, s.column_name
    ORDER  BY name
object: {{kind: query, name: [name]}}
severity: warning
message: "{{object}} {{calls}}"
remediation: {{text: Nothing.}}
tests: []
"""


def check(*matches: str, name: str = "a-check") -> Check:
    text = CHECK.format(id=name, matches=list(matches))
    made_, faults = load.check(text, f"{name}.yaml", origin="tests")
    assert made_ is not None, faults
    return made_


def said(database: str, *checks: Check, user: str | None = None) -> list[list[str]]:
    with postgres.session(database, user=user) as session:
        known = probe.probe(session, timeout=10)
        results = audit.audit(session, known, checks)
    return [
        [f.message for f in r.findings] if r.reason is None else [r.reason.text] for r in results
    ]


def read(database: str, *, user: str | None = None) -> workload.Workload:
    with postgres.session(database, user=user) as session:
        known = probe.probe(session, timeout=10)
        surroundings = Surroundings.of(known)
        return workload.workload(session, surroundings, timeout=10)


SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, name text, born date);
CREATE TABLE purchase (id bigint PRIMARY KEY, customer_id int REFERENCES customer, note text,
                       UNIQUE (customer_id, note));
"""


def test_statements_are_read_once_for_all_checks_of_a_run(server: postgres.Server) -> None:
    checks = [check("key-lookup", name=f"check-{n}") for n in "abcdef"]
    checks.append(check("table-read", "select-star", name="another"))
    with server.database(extensions=EXTENSION) as database:
        scratch.run(database, SHOP + "SELECT name FROM customer WHERE id = 1;")
        found = said(database, *checks)
        assert len(found[0]) == 1
        assert "key-lookup public.customer id" in found[0][0]
        assert all(one == found[0] for one in found[:6])
        with contextlib.closing(scratch.connect(database)) as admin:
            row = admin.execute(
                "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements s "
                "JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database() "
                "WHERE s.query LIKE 'WITH /* pgaudit: statements%'"
            ).fetchone()
        assert row == (1,)


def test_each_run_reads_anew(server: postgres.Server) -> None:
    with server.database(extensions=EXTENSION) as database:
        scratch.run(database, SHOP)
        assert said(database, check("select-star")) == [[]]
        scratch.run(database, "SELECT * FROM customer;")
        assert len(said(database, check("select-star"))[0]) == 1


def test_the_catalog_says_keys_types_and_foreign_keys(server: postgres.Server) -> None:
    with server.database(extensions=EXTENSION) as database:
        scratch.run(database, SHOP + "SELECT 1 FROM customer c, purchase p WHERE c.id = p.id;")
        schema = read(database).schema
        customer, purchase = schema.find("customer"), schema.find("purchase")
        assert customer is not None
        assert purchase is not None
        assert {c.name: (c.type, c.not_null) for c in customer.columns.values()} == {
            "id": ("integer", True), "name": ("text", False), "born": ("date", False),
        }  # fmt: skip
        assert purchase.keys == (("id",), ("customer_id", "note"))
        (foreign,) = purchase.foreign_keys
        assert (foreign.columns, foreign.other, foreign.other_columns) == (
            ("customer_id",), customer.relid, ("id",),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", "public"),
        ("ALTER ROLE reader SET search_path = one", "one"),
        ("ALTER DATABASE {} SET search_path = two, public", "two"),
        ("ALTER ROLE reader SET search_path = two; ALTER ROLE reader IN DATABASE {} "
         "SET search_path = one", "one"),
        ("CREATE SCHEMA reader; CREATE TABLE reader.item (id int); "
         "GRANT USAGE ON SCHEMA reader TO reader; GRANT SELECT ON reader.item TO reader", "reader"),
        ("ALTER DATABASE {} RESET search_path; ALTER ROLE ALL SET search_path = one", "one"),
    ],
)  # fmt: skip
def test_names_are_looked_up_as_the_role_would(
    server: postgres.Server, settings: str, expected: str
) -> None:
    with server.database(extensions=EXTENSION) as database:
        name = re.search(r"dbname=(\w+)", database)
        assert name is not None
        scratch.run(
            database,
            """CREATE SCHEMA one; CREATE SCHEMA two;
               CREATE TABLE one.item (id int); CREATE TABLE two.item (id int);
               CREATE TABLE public.item (id int);
               GRANT USAGE ON SCHEMA one, two TO reader;
               GRANT SELECT ON one.item, two.item, public.item TO reader;""",
        )
        try:
            scratch.run(database, settings.format(name[1]))
            with psycopg.connect(database, user="reader", autocommit=True) as application:
                application.execute("SELECT id FROM item WHERE id = 5")
            (table,) = [
                entry.statement.tables[0]
                for entry in read(database).entries
                if "FROM item" in entry.statement.text
            ]
            assert table.relation is not None
            assert table.relation.schema == expected
        finally:
            scratch.run(
                database,
                "ALTER ROLE ALL RESET search_path; ALTER ROLE reader RESET search_path; "
                f"ALTER ROLE reader IN DATABASE {name[1]} RESET search_path;",
            )


def test_hidden_texts_are_a_figure(server: postgres.Server) -> None:
    with server.database(extensions=EXTENSION) as database:
        scratch.run(database, SHOP + "SELECT * FROM customer; SELECT name FROM customer;")
        found = read(database, user="nobody")
        assert {entry.hidden for entry in found.entries if entry.statement.kind == "unparsed"} == {
            True
        }
        with postgres.session(database, user="nobody") as session:
            known = probe.probe(session, timeout=10)
            asking = made.Asking(
                session, known, check("select-star"),
                Surroundings.of(known), 10, made.Kept(),
            )  # fmt: skip
            rows = {(r["kind"], r["reason"]): r for r in made.statement_reading(asking)}
        hidden = rows["unparsed", "insufficient privilege"]
        assert int(str(hidden["entries"])) >= 2


def test_a_check_says_that_the_parser_is_missing(
    server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "LIBRARY", "pgaudit_has_no_such_library")
    with server.database(extensions=EXTENSION) as database, postgres.session(database) as session:
        known = probe.probe(session, timeout=10)
        (result,) = audit.audit(session, known, [check("select-star")])
    assert result.status is Status.SKIPPED
    assert result.reason is not None
    assert result.reason.kind == "package"
    assert result.reason.cure == "pip install pgaudit_has_no_such_library"


def test_what_the_server_refuses_is_said_for_every_check_and_asked_once(
    server: postgres.Server,
) -> None:
    checks = [check("select-star", name=name) for name in ("one-check", "two-check")]
    with server.database(extensions=EXTENSION) as database, postgres.session(database) as session:
        known = probe.probe(session, timeout=10)
        asked: list[str] = []
        broken = dataclasses.replace(
            known, extensions={**known.extensions,
                "pg_stat_statements": dataclasses.replace(
                    known.extensions["pg_stat_statements"], schema="elsewhere")},
        )  # fmt: skip
        original = session.ask

        def counting(questions: list[Question], *, timeout: float) -> list[object]:
            asked.extend(q.text[:40] for q in questions)
            return list(original(questions, timeout=timeout))

        session.ask = counting  # type: ignore[method-assign,assignment]
        results = audit.audit(session, broken, checks)
    assert [r.status for r in results] == [Status.ERRORED, Status.ERRORED]
    assert all(r.reason is not None and "elsewhere" in r.reason.text for r in results)
    assert sum("pgaudit: statements" in text for text in asked) == 1


def test_texts_of_any_kind_come_back_as_facts(server: postgres.Server) -> None:
    script = SHOP + """
        SELECT name FROM customer WHERE id IN (""" + ", ".join(map(str, range(3000))) + """);
        DO $$BEGIN PERFORM * FROM customer WHERE name LIKE '%x'; END$$;
        SELECT '""" + "x" * 300_000 + """' AS "a/*b";
        SELECT 1 AS "\u00fc\U0001f418"; /* route='a' */ SELECT id FROM customer -- end
        ;
        PREPARE p (int) AS SELECT name FROM customer WHERE id = $1;
        EXECUTE p(1);
        BEGIN; DECLARE c CURSOR FOR SELECT id FROM customer; FETCH ALL FROM c; CLOSE c; COMMIT;
        COPY (SELECT id FROM customer) TO '/dev/null';
        EXPLAIN SELECT id FROM customer;
        SELECT date '2020-01-01', interval '1 day', extract(year FROM born) FROM customer;
        SELECT 1 FROM customer WHERE name = $$it's$$ OR name = E'\\\\x' OR name = U&'\\0041';
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM customer WHERE id = 4';
        SELECT f();
    """  # fmt: skip
    with server.database(extensions=EXTENSION) as database:
        scratch.run(database, script)
        entries = read(database).entries
        assert {e.statement.reason for e in entries if e.statement.kind == "unparsed"} == set()
        lists = [
            c.right.count
            for e in entries
            for c in e.statement.conditions
            if c.operator == "IN" and c.left.column == "id"
        ]
        assert lists == ([3000] if server.major < 18 else [1])
        assert any(e.statement.text.startswith('SELECT $1 AS "\u00fc') for e in entries)
