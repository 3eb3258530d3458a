"""Quiet on health: nothing at warning or above that a DBA would call wrong.

Three ordinary schemas with their traffic (tests/health), and pgbench; each as it is, and as the
catalog would describe it at two thousand times the size, so that no check is silent only because
a test's tables are small.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from psycopg import conninfo as libpq

import postgres
from auditing import aged, asked, errors, loud, watched
from pgaudit.catalog import find
from pgaudit.postgres import probe, scratch

HEALTH = Path(__file__).parents[1] / "health"
CHECKS = [c for c in find.checks(find.sources()) if c.status == "stable"]
SCHEMAS = ("shop", "saas", "events")
ROUNDS = 20
"""How often a schema's traffic runs."""

TIMES = 2000
LARGER = f"""
UPDATE pg_class c
SET    relpages = relpages * {TIMES}, reltuples = reltuples * {TIMES},
       relallvisible = relallvisible * {TIMES}
FROM   pg_namespace n
WHERE  n.oid = c.relnamespace AND c.reltuples > 0 AND n.nspname IN ('public', 'pg_toast');
"""
"""Tables, indexes and TOAST grow alike, so what is in proportion stays so."""


def busy(conninfo: str, schema: str) -> None:
    """Run a schema's traffic, each round in a session of its own.

    Until PostgreSQL 15 counters travel as datagrams, which are lost where too many come at once.
    """
    for _ in range(ROUNDS):
        scratch.run(conninfo, (HEALTH / f"{schema}-traffic.sql").read_text())


def settle(server: postgres.Server) -> None:
    """Wait until counters have arrived: until PostgreSQL 15 a process collects them, half a second late."""
    time.sleep(1 if server.major < 15 else 0)


def assert_quiet(conninfo: str, *, times: int) -> None:
    """Audit with every stable check, on counters that are a month old and `times` as many."""
    with postgres.session(conninfo) as session:
        known = probe.probe(session, timeout=20)
        counters = aged(session, known, times=times)
        known = watched(session, known, counters)
        results = [asked(session, known, check, counters) for check in CHECKS]
    assert errors(results) == []
    assert loud(results) == []


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("times", [1, TIMES], ids=["as it is", "larger"])
def test_ordinary_schemas(server: postgres.Server, schema: str, times: int) -> None:
    with server.database(extensions=("pg_stat_statements",)) as made:
        scratch.run(made, (HEALTH / f"{schema}.sql").read_text())
        busy(made, schema)
        # In a session of its own: what a session has not reported yet is counted after its ANALYZE.
        scratch.run(made, "VACUUM ANALYZE")
        scratch.run(made, LARGER if times == TIMES else "")
        settle(server)
        assert_quiet(made, times=times)


@pytest.mark.parametrize("times", [1, TIMES], ids=["as it is", "larger"])
@pytest.mark.parametrize("keys", [(), ("--foreign-keys",)], ids=["plain", "foreign keys"])
def test_pgbench(server: postgres.Server, keys: tuple[str, ...], times: int) -> None:
    """After its load and a short run, with the settings that a throwaway server has."""
    environ = server.beside("pgbench")
    with server.database(extensions=("pg_stat_statements",)) as made:
        parts = libpq.conninfo_to_dict(made)
        environment = {
            **environ, "PGHOST": str(parts["host"]), "PGPORT": str(parts["port"]),
            "PGUSER": str(parts["user"]), "PGDATABASE": str(parts["dbname"]),
            "PGOPTIONS": "-c search_path=public",
        }  # fmt: skip
        for arguments in (["-i", "-q", "-s", "2", *keys], ["-t", "300", "-c", "4", "-n"]):
            subprocess.run(
                [Path(environ["PGAUDIT_PG_BIN"], "pgbench"), *arguments],
                env=environment, check=True, capture_output=True,
            )  # fmt: skip
        scratch.run(made, "VACUUM ANALYZE")
        scratch.run(made, LARGER if times == TIMES else "")
        settle(server)
        assert_quiet(made, times=times)
