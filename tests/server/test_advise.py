"""Index advice on real servers: what is proposed, what the planner confirms, and that nothing is made."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

import postgres
from pgaudit import cli
from pgaudit.advise import run
from pgaudit.advise.model import Advised
from pgaudit.postgres import probe, scratch
from pgaudit.postgres.planner import Planner
from pgaudit.postgres.session import LOCK_TIMEOUT

SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, tenant int, email text, deleted timestamptz, active boolean);
INSERT INTO customer SELECT n, n % 50, 'e' || n || '@x', CASE WHEN n % 100 > 0 THEN now() END, n % 200 = 0
FROM generate_series(1, 20000) n;
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int, tenant int, state text, placed timestamptz,
                     total int, doc jsonb, tags text[], note text);
INSERT INTO orders SELECT n, n % 20000, n % 200, (ARRAY['new', 'paid', 'sent'])[1 + n % 3],
       timestamptz '2026-01-01' + n * interval '1 min', n % 1000, jsonb_build_object('a', n),
       ARRAY['t' || n % 1000], md5(n::text)
FROM generate_series(1, 40000) n;
CREATE INDEX orders_state ON orders (state);
CREATE TABLE reading (sensor int, day date, value int) PARTITION BY RANGE (day);
CREATE TABLE reading_1 PARTITION OF reading FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE reading_2 PARTITION OF reading FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO reading SELECT n, date '2026-01-01' + n % 58, n FROM generate_series(1, 40000) n;
VACUUM ANALYZE;
"""


@pytest.fixture
def shop(server: postgres.Server) -> Iterator[tuple[str, bool]]:
    """A database with tables to advise for, and whether HypoPG is in it."""
    confirms = postgres.has_hypopg(server)
    extensions = ("pg_stat_statements", "hypopg") if confirms else ("pg_stat_statements",)
    with server.database(extensions=extensions) as made:
        scratch.run(made, SHOP)
        yield made, confirms


def advised(conninfo: str, *texts: str, user: str | None = None) -> Advised:
    with postgres.session(conninfo, user=user) as session:
        asked = Planner(session, probe.probe(session, timeout=10), 10)
        return run.from_texts(asked, texts)


def keys(found: Advised) -> list[str]:
    return [f"{one.table.name} {one.keys}" for one in found.advice]


def relations(conninfo: str) -> object:
    with contextlib.closing(scratch.connect(conninfo)) as admin:
        row = admin.execute("SELECT count(*) FROM pg_class").fetchone()
        return row[0] if row else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM orders WHERE customer_id = $1", "orders (customer_id)"),
        (
            "SELECT * FROM orders WHERE customer_id = $1 AND total > 5 AND state = $2",
            "orders (customer_id)",
        ),
        ("SELECT * FROM customer WHERE lower(email) = $1", "customer ((lower(email)))"),
        ("SELECT * FROM reading WHERE sensor = $1", "reading (sensor)"),
        ("DELETE FROM orders WHERE customer_id = $1", "orders (customer_id)"),
        ("SELECT * FROM orders WHERE doc @> $1", "orders USING gin (doc jsonb_path_ops)"),
        ("SELECT * FROM orders WHERE tags && $1", "orders USING gin (tags)"),
        ("SELECT * FROM orders WHERE note LIKE $1", "orders USING gin (note gin_trgm_ops)"),
    ],
)
def test_what_is_proposed_with_and_without_hypopg(
    shop: tuple[str, bool], text: str, expected: str
) -> None:
    database, confirms = shop
    before = relations(database)
    found = advised(database, text)
    assert keys(found) == [expected]
    assert found.advice[0].confirmed == (confirms and "gin" not in expected)
    assert (found.unconfirmed is None) == confirms
    assert "scan on public." in found.advice[0].evidence
    assert found.after < found.before
    assert relations(database) == before
    scratch.run(database, found.advice[0].sql.replace("gin_trgm_ops", "").replace(
        'USING gin ("note" )', '("note")'))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM orders WHERE tenant = $1 ORDER BY placed DESC LIMIT 5",
         ["orders (tenant, placed)"]),
        ("SELECT * FROM orders ORDER BY total LIMIT 5", ["orders (total)"]),
        ("SELECT total FROM orders WHERE customer_id = $1 AND placed > $2", ["orders (customer_id)"]),
        ("SELECT count(*) FROM orders WHERE total = $1", ["orders (total)"]),
        ("SELECT count(*) FROM customer WHERE deleted IS NULL AND tenant = $1",
         ["customer (tenant) WHERE deleted IS NULL"]),
        ("SELECT * FROM customer WHERE active", ["customer (id) WHERE active"]),
        ("SELECT o.id FROM customer c JOIN orders o ON o.customer_id = c.id WHERE c.id = $1",
         ["orders (customer_id)"]),
        ("SELECT * FROM customer c WHERE id = $1"
         " AND EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id)",
         ["orders (customer_id)"]),
        ("SELECT sum(total) FROM orders", []),
        ("SELECT * FROM orders WHERE id = $1", []),
        ("SELECT * FROM orders WHERE state = $1", []),
        ("SELECT * FROM customer WHERE id + $1 = $2", []),
    ],
)  # fmt: skip
def test_what_the_planner_confirms(shop: tuple[str, bool], text: str, expected: list[str]) -> None:
    database, confirms = shop
    if not confirms:
        pytest.skip("HypoPG is not to be had for this major")
    found = advised(database, text)
    assert keys(found) == expected
    assert all(one.confirmed for one in found.advice)


def test_one_index_serves_statements_that_begin_alike(shop: tuple[str, bool]) -> None:
    database, _ = shop
    found = advised(
        database,
        "SELECT * FROM orders WHERE customer_id = $1",
        "SELECT * FROM orders WHERE customer_id = $1 AND state = $2",
        "SELECT * FROM orders WHERE state = $1 AND customer_id = $2 AND total = $3",
    )
    assert keys(found) == ["orders (customer_id)"]
    assert len(found.advice[0].helped) == 3


def test_what_cannot_be_planned_is_counted(shop: tuple[str, bool]) -> None:
    database, _ = shop
    scratch.run(
        database, "CREATE FUNCTION spy() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1/0'"
    )
    found = advised(
        database,
        "SELECT * FROM orders WHERE id = spy()",
        "SELECT * FROM nowhere",
        "VACUUM",
        "SELECT * FROM",
    )
    assert (found.statements, found.planned, found.advice) == (4, 0, ())
    assert sum(found.reasons.values()) == 4
    assert "planning it could run public.spy" in found.reasons


def test_a_role_that_may_not_read_tables_gets_estimates(shop: tuple[str, bool]) -> None:
    database, _ = shop
    found = advised(database, "SELECT * FROM orders WHERE customer_id = $1", user="reader")
    assert keys(found) == ["orders (customer_id)"]
    assert not found.advice[0].confirmed
    assert "permission denied for table orders" in found.reasons
    grant = 'needs pg_read_all_data: GRANT pg_read_all_data TO "reader"'
    assert (found.unconfirmed or "").startswith(grant)


def test_who_may_not_write_is_not_told_to_read_all(shop: tuple[str, bool]) -> None:
    database, _ = shop
    found = advised(database, "DELETE FROM orders WHERE customer_id = $1", user="reader")
    assert "permission denied for table orders" in found.reasons
    assert "pg_read_all_data" not in (found.unconfirmed or "")


def test_what_is_served_already_is_left_alone(shop: tuple[str, bool]) -> None:
    """To carry a column along saves visits to the table, and that is too little here."""
    database, _ = shop
    assert advised(database, "SELECT total FROM orders WHERE id = ANY ($1)").advice == ()
    assert advised(database, "SELECT o.total FROM customer c JOIN orders o ON o.id = c.tenant"
                             " WHERE c.id = $1").advice == ()  # fmt: skip


def test_only_confirmed_advice_makes_another_index_redundant(shop: tuple[str, bool]) -> None:
    database, confirms = shop
    scratch.run(database, "CREATE INDEX shorter ON orders (total)")
    found = advised(database, "SELECT * FROM orders WHERE total = $1 AND tenant = $2")
    assert keys(found) == ["orders (total, tenant)"]
    redundant = [index.name for index in found.advice[0].redundant]
    assert redundant == (["shorter"] if confirms else [])


def test_an_updated_column_is_not_carried_along(shop: tuple[str, bool]) -> None:
    database, _ = shop
    found = advised(
        database,
        *["SELECT total FROM orders WHERE customer_id BETWEEN $1 AND $2"] * 50,
        "UPDATE orders SET total = total + 1 WHERE id = $1",
    )
    assert all(not one.candidate.included for one in found.advice)


def test_hidden_texts_are_counted(shop: tuple[str, bool]) -> None:
    database, _ = shop
    with contextlib.closing(scratch.connect(database)) as application:
        application.execute("SELECT pg_stat_statements_reset()")
        application.execute("SELECT total FROM orders WHERE customer_id = 1")
    runner = CliRunner()
    command = ["advise", database, "-U", "nobody"]
    shown = runner.invoke(cli.app, command)
    assert shown.exit_code == 3, shown.output
    assert 'hidden from this role: GRANT pg_read_all_stats TO "nobody"' in shown.stdout
    assert "earns what it costs" not in shown.stdout
    document = json.loads(runner.invoke(cli.app, [*command, "-f", "json"]).stdout)
    assert document["hidden"] == document["statements"] > 0
    script = runner.invoke(cli.app, [*command, "-f", "sql"])
    assert script.exit_code == 3
    assert all(line.startswith("--") for line in script.stdout.splitlines())
    seen = runner.invoke(cli.app, ["advise", database, "-f", "json"])
    assert (seen.exit_code, json.loads(seen.stdout)["hidden"]) == (0, 0)


@pytest.mark.parametrize(
    "lock",
    [
        "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE ONLY reading_1 IN ACCESS EXCLUSIVE MODE",
        "ALTER INDEX orders_state RENAME TO orders_by_state",
        "DROP INDEX orders_state",
    ],
)
def test_a_locked_table_is_left_alone(shop: tuple[str, bool], lock: str) -> None:
    """Nothing waits: neither for the deparser nor for the planner."""
    database, _ = shop
    with contextlib.closing(scratch.connect(database)) as other, other.transaction():
        other.execute(lock.encode())
        started = time.monotonic()
        found = advised(
            database,
            "SELECT * FROM orders WHERE customer_id = $1",
            "SELECT * FROM reading WHERE sensor = $1",
            "SELECT * FROM customer WHERE email = $1",
        )
        took = time.monotonic() - started
    free = {"customer (email)", "orders (customer_id)", "reading (sensor)"}
    if "RENAME" in lock:  # since 12 this lets statements be planned
        assert found.reasons == {}
    else:
        free.remove("reading (sensor)" if "reading" in lock else "orders (customer_id)")
        assert found.reasons == {"planning it would wait for somebody's lock": 1}
    assert set(keys(found)) == free
    assert took < LOCK_TIMEOUT


def test_the_command_reads_what_was_run_and_prints_a_script(shop: tuple[str, bool]) -> None:
    database, confirms = shop
    with contextlib.closing(scratch.connect(database)) as application:
        application.execute("SELECT pg_stat_statements_reset()")
        for number in range(30):
            application.execute(f"SELECT total FROM orders WHERE customer_id = {number}".encode())
    runner = CliRunner()
    document = json.loads(runner.invoke(cli.app, ["advise", database, "-f", "json"]).stdout)
    (one,) = document["advice"]
    assert (one["table"], one["confirmed"], one["helped"][0]["calls"]) == ("orders", confirms, 30)
    assert one["helped"][0]["cost_after"] < one["helped"][0]["cost_before"] / 5
    shown = runner.invoke(cli.app, ["advise", database, "-v"])
    assert shown.exit_code == 0
    assert "Nothing was created." in shown.stdout
    script = runner.invoke(cli.app, ["advise", database, "--format", "sql"]).stdout
    scratch.run(database, script)
    again = json.loads(runner.invoke(cli.app, ["advise", database, "-f", "json"]).stdout)
    assert again["advice"] == []


def test_a_file_of_statements(
    shop: tuple[str, bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    database, _ = shop
    file = tmp_path_factory.mktemp("advise") / "statements.sql"
    file.write_text("SELECT * FROM orders WHERE customer_id = 5; -- one\nSELECT 'a;b';\n")
    runner = CliRunner()
    shown = runner.invoke(cli.app, ["advise", database, "--statements", str(file)])
    assert shown.exit_code == 0
    assert '("customer_id")' in shown.stdout
    piped = runner.invoke(cli.app, ["advise", database, "--statements", "-"], file.read_text())
    assert (piped.exit_code, piped.stdout) == (0, shown.stdout)
    empty = runner.invoke(cli.app, ["advise", database, "--statements", "-"], "-- nothing\n")
    assert empty.exit_code == 2
    assert "There is no statement in standard input." in empty.output
    assert runner.invoke(cli.app, ["advise", database, "-f", "yaml"]).exit_code == 2
    missing = runner.invoke(cli.app, ["advise", database, "--statements", str(file) + "x"])
    assert missing.exit_code == 2
