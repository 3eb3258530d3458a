"""What plans as evidence add to an audit with slow-statement, unused-index and redundant-index.

    PYTHONPATH=src:tests PGAUDIT_TEST_STORE=/opt/pg python tests/benchmarks/planning.py [MAJOR]

pgbench's tables at scale 10 and 200 statements: 141 on one table, 50 joins of three, 9 joins of ten.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import time

from typer.testing import CliRunner

import postgres
from pgaudit import cli
from pgaudit.advise import run
from pgaudit.postgres import scratch

SETUP = """
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
INSERT INTO pgbench_accounts SELECT n, 1 + n % 10, 0, '' FROM generate_series(1, 1000000) n;
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
INSERT INTO pgbench_branches SELECT n, 0, '' FROM generate_series(1, 10) n;
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
INSERT INTO pgbench_tellers SELECT n, 1 + n % 10, 0, '' FROM generate_series(1, 100) n;
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE INDEX ON pgbench_accounts (bid);
CREATE INDEX ON pgbench_accounts (bid, abalance);
CREATE INDEX ON pgbench_tellers (bid);
VACUUM ANALYZE;
"""
CHECKS = ("slow-statement", "unused-index", "redundant-index")


NOW = (
    "slow-statement.minimum_window=0 s",
    "unused-index.min_idle=0 s",
    "unused-index.min_size=0 B",
)
"""So that the checks are run on a database that was made a moment ago."""


def texts() -> list[str]:
    """Write 200 statements that differ in more than constants."""
    columns = ("aid", "bid", "abalance", "filler")
    chosen = [c for n in range(1, 5) for c in itertools.permutations(columns, n)]
    one = [f"SELECT {', '.join(c)} FROM pgbench_accounts WHERE aid = 5" for c in chosen]
    one += [
        f"UPDATE pgbench_accounts SET abalance = 1 WHERE aid = 5 RETURNING {', '.join(c)}"
        for c in chosen
    ]
    one += [
        f"SELECT {', '.join(c)} FROM pgbench_accounts WHERE bid = 5 AND abalance > 1"
        for c in chosen
    ]
    three = [
        f"SELECT {', '.join('a.' + n for n in c)} FROM pgbench_accounts a"
        " JOIN pgbench_tellers t USING (bid) JOIN pgbench_branches b USING (bid)"
        " WHERE a.aid = 5 AND t.tid = 7"
        for c in chosen
    ]
    ten = [
        f"SELECT {', '.join(f't{m}.tid' for m in range(n + 1))} FROM pgbench_branches b"
        + "".join(
            f" JOIN pgbench_tellers t{m} ON t{m}.bid = b.bid AND t{m}.tid = {m + 1}"
            for m in range(9)
        )
        + " WHERE b.bid = 2"
        for n in range(9)
    ]
    return [*ten, *three[:50], *one[:141]]


def audit(conninfo: str, plans: int, *checks: str) -> float:
    """Return how many seconds an audit takes."""
    run.MOST_PLANS = plans
    chosen = [f"--select={name}" for name in checks] + [f"--set={said}" for said in NOW]
    started = time.perf_counter()
    result = CliRunner().invoke(cli.app, ["check", conninfo, *chosen])
    took = time.perf_counter() - started
    assert result.exit_code in (0, 1), result.output
    assert not checks or bool(plans) == ("is planned with it" in result.output), result.output
    return took


def main() -> None:
    """Measure and print, each as the median of five."""
    major = sys.argv[1] if len(sys.argv) > 1 else "16"
    with postgres.serve(major) as server:
        confirms = postgres.has_hypopg(server)
        extensions = ("pg_stat_statements", "hypopg") if confirms else ("pg_stat_statements",)
        with server.database(extensions=extensions) as database:
            scratch.run(database, SETUP)
            with contextlib.closing(scratch.connect(database)) as application:
                for text in texts():
                    application.execute(text.encode())
            print(f"PostgreSQL {server.version}, HypoPG: {confirms}, {len(texts())} statements")
            for what, checks in (("three checks", CHECKS), ("all checks", ())):
                for plans in (0, 100):
                    took = [audit(database, plans, *checks) for _ in range(5)]
                    print(f"{what}, {plans} plans: {statistics.median(took):.2f} s")


if __name__ == "__main__":
    main()
