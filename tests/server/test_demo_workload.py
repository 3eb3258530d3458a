"""The unwell database on a real server: it builds, it is busy, it gets stuck, it lets go."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow

from pgaudit import demo
from pgaudit.demo.workload import held, workload
from pgaudit.postgres import scratch
from pgaudit.postgres.embedded import Throwaway, throwaway

CHECKS = (
    "slow-statement", "dominant-statement", "statement-temp-spill", "statement-low-cache-hit",
    "statement-time-unstable", "statements-evicted", "unused-index", "duplicate-index",
    "redundant-index", "invalid-index", "unindexed-foreign-key", "seq-scan-heavy-table",
    "dead-tuples", "stale-statistics", "never-vacuumed-table", "low-cache-hit-ratio",
    "table-low-cache-hit", "index-low-cache-hit", "idle-in-transaction",
    "long-running-statement", "long-transaction", "blocked-session", "connections-near-limit",
    "idle-connections",
)  # fmt: skip

FINGERPRINT = """
SELECT count(*) || ' rows, ' || sum(hashtextextended(t::text, 0)) FROM {table} AS t
"""
TABLES = (
    "users", "products", "documents", "comments", "orders", "order_items", "sessions", "events",
    '"userPreferences"',
)  # fmt: skip

SESSIONS = """
SELECT application_name, state, cardinality(pg_blocking_pids(pid)) AS blockers, query
FROM   pg_stat_activity
WHERE  backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND  application_name <> 'test-observer'
ORDER  BY backend_start
"""


@pytest.fixture(scope="module")
def throwaway_server() -> Iterator[Throwaway]:
    # A server of its own: the workload fills it to its limits, which others would feel.
    with throwaway(os.environ, settings=demo.SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def unwell_server(throwaway_server: Throwaway) -> str:
    return throwaway_server.conninfo


@pytest.fixture(scope="module")
def maintenance(unwell_server: str) -> Iterator[psycopg.Connection[TupleRow]]:
    with psycopg.connect(
        unwell_server, autocommit=True, application_name="test-observer"
    ) as connection:
        yield connection


@pytest.fixture(scope="module")
def loaded(
    unwell_server: str, maintenance: psycopg.Connection[TupleRow]
) -> tuple[str, dict[str, str], float]:
    """The shop's DSN, each table's fingerprint before any traffic, the seconds to load."""
    maintenance.execute("CREATE DATABASE shop TEMPLATE template0")
    conninfo = psycopg.conninfo.make_conninfo(unwell_server, dbname="shop")
    begun = time.monotonic()
    demo.load(conninfo)
    seconds = time.monotonic() - begun
    return conninfo, fingerprints(conninfo), seconds


@pytest.fixture(scope="module")
def shop(loaded: tuple[str, dict[str, str], float]) -> str:
    return loaded[0]


@pytest.fixture
def observer(shop: str) -> Iterator[psycopg.Connection[TupleRow]]:
    with psycopg.connect(shop, autocommit=True, application_name="test-observer") as connection:
        yield connection


def wait_for(question: Callable[[], Any], seconds: float = 5.0) -> bool:
    """Ask until the answer is true, for at most `seconds`."""
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def one(connection: psycopg.Connection[TupleRow], sql: str) -> Any:
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return row[0]


def fingerprints(conninfo: str) -> dict[str, str]:
    with psycopg.connect(conninfo, application_name="test-observer") as connection:
        return {table: one(connection, FINGERPRINT.format(table=table)) for table in TABLES}


def nobody_left(observer: psycopg.Connection[TupleRow]) -> bool:
    return wait_for(lambda: observer.execute(SESSIONS.encode()).fetchall() == [], seconds=2)


def test_the_script_is_plain_sql() -> None:
    for statement in scratch.statements(demo.schema()):
        code = re.sub(r"^\s*--.*$", "", statement, flags=re.MULTILINE).strip()
        assert re.match(r"(CREATE|INSERT|ALTER|UPDATE|VACUUM)\b", code), statement
        assert "\\" not in code, "a command of psql, which the loader does not know"


def test_every_check_has_a_fault_that_should_make_it_speak() -> None:
    files = [
        file for file in resources.files(demo).iterdir() if file.name.endswith((".sql", ".py"))
    ]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    missing = [check for check in CHECKS if not re.search(rf"\b{check}\b", text)]
    assert missing == []


def test_psql_and_the_loader_build_the_same(
    throwaway_server: Throwaway,
    maintenance: psycopg.Connection[TupleRow],
    loaded: tuple[str, dict[str, str], float],
) -> None:
    maintenance.execute("CREATE DATABASE shop_by_psql TEMPLATE template0")
    conninfo = psycopg.conninfo.make_conninfo(throwaway_server.conninfo, dbname="shop_by_psql")
    psql = throwaway_server.binaries / "psql"
    if not psql.exists():
        pytest.skip(f"this server's tree has no psql: {psql}")
    done = subprocess.run(
        [psql, "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-f", "-"],
        input=demo.schema(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert fingerprints(conninfo) == loaded[1]


def test_it_loads_in_seconds(loaded: tuple[str, dict[str, str], float]) -> None:
    # About 2.5 s on two idle cores; the bound leaves room for a machine that others use too.
    assert loaded[2] < 15
    assert loaded[1]["order_items"].startswith("220000 rows")


def test_the_schema_has_the_faults_that_need_no_traffic(
    observer: psycopg.Connection[TupleRow],
) -> None:
    unindexed = observer.execute(
        """
        SELECT c.conrelid::regclass::text FROM pg_constraint c
        WHERE c.contype = 'f' AND NOT EXISTS (
          SELECT FROM pg_index x WHERE x.indrelid = c.conrelid AND x.indkey[0] = c.conkey[1])
        ORDER BY 1
        """
    ).fetchall()
    assert [row[0] for row in unindexed] == [
        '"userPreferences"', "comments", "order_items", "orders",
    ]  # fmt: skip
    twins = observer.execute(
        """
        SELECT array_agg(indexrelid::regclass::text ORDER BY indexrelid) FROM pg_index
        WHERE indisvalid AND indexprs IS NULL AND indpred IS NULL
        GROUP BY indrelid, indkey, indclass::oid[] HAVING count(*) > 1 AND indrelid >= 16384
        """
    ).fetchall()
    assert [row[0] for row in twins] == [["documents_owner_id_idx", "index_documents_on_owner_id"]]
    assert one(observer, "SELECT pg_relation_size('events_referrer_idx')") > 10 * 2**20
    assert one(observer, "SELECT pg_relation_size('documents')") > 20 * 2**20
    assert wait_for(
        lambda: (
            observer.execute(
                """
            SELECT relname FROM pg_stat_user_tables
            WHERE relname = 'sessions' AND n_dead_tup > n_live_tup AND last_vacuum IS NOT NULL
               OR relname = 'events' AND last_vacuum IS NULL AND last_autovacuum IS NULL
               OR relname = 'comments' AND n_mod_since_analyze >= 30000 AND last_analyze IS NOT NULL
            """
            ).rowcount
            == 3
        )
    )


def test_the_workload_is_busy_then_stuck_then_gone(
    shop: str, observer: psycopg.Connection[TupleRow]
) -> None:
    with workload(shop, 2):
        sessions = observer.execute(SESSIONS.encode()).fetchall()
        blocked = [row for row in sessions if row[2]]
        assert [row[0] for row in blocked] == ["shop-web"] * 3 + ["shop-migrate", "shop-web"]
        sleepers = [(row[0], row[2]) for row in sessions if row[1] == "idle in transaction"]
        assert sleepers == [("shop-worker", 0), ("metabase", 0)]
        running = [row for row in sessions if row[1] == "active" and not row[2]]
        assert [row[0] for row in running] == ["metabase"]
        assert "order_items" in running[0][3]
        assert sum(row[1] == "idle" for row in sessions) >= 15

        root = one(
            observer,
            "SELECT array_agg(DISTINCT b.application_name) FROM pg_stat_activity a,"
            " unnest(pg_blocking_pids(a.pid)) AS p JOIN pg_stat_activity b ON b.pid = p"
            " WHERE cardinality(pg_blocking_pids(b.pid)) = 0",
        )
        assert root == ["shop-worker"]
        # Functions that measure relations must not queue behind the deployment.
        observer.execute("SET lock_timeout = '500 ms'")
        assert one(observer, "SELECT pg_total_relation_size('products')") > 0

        ordinary = one(
            observer,
            "SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END)"
            " FROM pg_settings WHERE name IN"
            " ('max_connections', 'superuser_reserved_connections', 'reserved_connections')",
        )
        assert 0.8 <= (len(sessions) + 1) / ordinary < 0.9
        begun = time.monotonic()
    assert time.monotonic() - begun < 1.0
    assert nobody_left(observer)


def test_the_traffic_left_its_traces(shop: str, observer: psycopg.Connection[TupleRow]) -> None:
    with workload(shop, 2):
        pass
    top = one(
        observer,
        "SELECT query FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
        " WHERE d.datname = 'shop' AND query LIKE 'SELECT%' AND calls > 1"
        " ORDER BY total_exec_time DESC LIMIT 1",
    )
    assert "FROM order_items WHERE order_id" in top
    assert one(
        observer,
        "SELECT max(temp_blks_written) FROM pg_stat_statements WHERE query LIKE '%rank() OVER%'",
    )
    assert one(
        observer,
        "SELECT max(stddev_exec_time / mean_exec_time) > 1 FROM pg_stat_statements"
        " WHERE query LIKE '%occurred_at >=%' AND calls > 8",
    )
    assert one(observer, "SELECT dealloc > 0 FROM pg_stat_statements_info")
    assert one(
        observer,
        "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'users_lower_email_key'::regclass",
    )
    assert wait_for(
        lambda: one(
            observer,
            "SELECT seq_scan > 20 FROM pg_stat_user_tables WHERE relname = 'order_items'",
        )
    )
    assert one(
        observer,
        "SELECT heap_blks_hit < 0.9 * (heap_blks_hit + heap_blks_read)"
        " FROM pg_statio_user_tables WHERE relname = 'documents'",
    )


def test_an_exception_in_the_body_ends_everything_too(
    shop: str, observer: psycopg.Connection[TupleRow]
) -> None:
    with pytest.raises(ZeroDivisionError), held(shop):
        assert observer.execute(SESSIONS.encode()).rowcount > 8
        raise ZeroDivisionError
    assert nobody_left(observer)
    # What the stuck sessions were about to change has been rolled back.
    assert one(observer, "SELECT to_regclass('products_name_idx') IS NULL")
    assert one(observer, "SELECT stock FROM products WHERE id = 17") == 17 * 13 % 90


def test_a_failure_while_taking_hold_ends_everything_too(
    shop: str, observer: psycopg.Connection[TupleRow]
) -> None:
    impatient = psycopg.conninfo.make_conninfo(shop, options="-c lock_timeout=1ms")
    with pytest.raises((psycopg.errors.LockNotAvailable, TimeoutError)), held(impatient):
        pytest.fail("sessions that cannot wait for a lock cannot be held waiting")
    assert nobody_left(observer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("phase", ["traffic", "held"])
def test_a_signal_ends_the_command_promptly(
    shop: str,
    observer: psycopg.Connection[TupleRow],
    tmp_path: Path,
    number: signal.Signals,
    phase: str,
) -> None:
    ready = tmp_path / "ready"
    seconds = "60" if phase == "traffic" else "0.1"
    process = subprocess.Popen(
        [sys.executable, "-m", "pgaudit.demo", shop, "--seconds", seconds, "--forever",
         "--ready", ready],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        busy = "SELECT count(*) > 5 FROM pg_stat_activity WHERE application_name IN ('shop-web')"
        assert wait_for(lambda: ready.exists() if phase == "held" else one(observer, busy), 10)
        process.send_signal(number)
        begun = time.monotonic()
        _, problems = process.communicate(timeout=5)
    finally:
        process.kill()
    assert (process.returncode, problems) == (0, "")
    assert time.monotonic() - begun < 1.5
    assert ready.exists() == (phase == "held")
    assert nobody_left(observer)
