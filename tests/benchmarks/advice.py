"""What index advice is worth: TPC-H's 22 queries, and pgbench's, under the planner.

    PYTHONPATH=src:tests PGAUDIT_TEST_STORE=/opt/pg python tests/benchmarks/advice.py [MAJOR] [SCALE]

For each set of statements: the sum of the generic plans' costs with primary keys only, with the advised
indexes really made, and with indexes chosen by hand. docs/explanation/index-advice.md has the figures.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import postgres
from pgaudit.advise import run
from pgaudit.advise.choose import Limits
from pgaudit.advise.model import Advised
from pgaudit.postgres import probe, scratch
from pgaudit.postgres.genericplan import Plan
from pgaudit.postgres.planner import Planner, Statement

LIMITS = Limits(share=0.001, per_table=4)
"""The largest of the 22 queries is most of the cost, so an index for another one saves a small share."""

TPCH = Path(__file__).parent / "tpch"

PGBENCH = """
UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;
SELECT abalance FROM pgbench_accounts WHERE aid = $1;
UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2;
UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP);
"""
PGBENCH_TABLES = """
CREATE TABLE pgbench_branches (bid int NOT NULL, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
INSERT INTO pgbench_branches SELECT i, 0 FROM generate_series(1, 100) i;
INSERT INTO pgbench_tellers SELECT i, 1 + i / 10, 0 FROM generate_series(1, 1000) i;
INSERT INTO pgbench_accounts SELECT i, 1 + i / 10000, 0, '' FROM generate_series(1, 1000000) i;
VACUUM ANALYZE;
"""
PGBENCH_BY_HAND = """
CREATE INDEX ON pgbench_branches (bid);
CREATE INDEX ON pgbench_tellers (tid);
CREATE INDEX ON pgbench_accounts (aid);
"""


def cost(conninfo: str, texts: Sequence[str]) -> tuple[float, int, list[float]]:
    """Return the plans' costs in sum, how many statements have a plan, and each cost."""
    with postgres.session(conninfo) as session:
        planner = Planner(session, probe.probe(session, timeout=30), 30)
        plans = [planner.plan(Statement(text)) for text in texts]
    costs = [plan.cost if isinstance(plan, Plan) else 0.0 for plan in plans]
    return sum(costs), sum(isinstance(plan, Plan) for plan in plans), costs


def advised(conninfo: str, texts: Sequence[str]) -> tuple[Advised, float]:
    """Return the advice and the seconds that it took."""
    with postgres.session(conninfo) as session:
        asked = Planner(session, probe.probe(session, timeout=30), 30)
        started = time.perf_counter()
        found = run.from_texts(asked, texts, limits=LIMITS)
        return found, time.perf_counter() - started


def indexes(conninfo: str) -> tuple[int, float]:
    """Return how many secondary indexes there are, and their size in MiB."""
    with contextlib.closing(scratch.connect(conninfo)) as admin:
        row = admin.execute(
            """SELECT count(*), coalesce(sum(pg_relation_size(indexrelid)), 0) / 1048576.0
               FROM pg_index JOIN pg_class c ON c.oid = indrelid
               WHERE NOT indisprimary AND relnamespace = 'public'::regnamespace"""
        ).fetchone()
    return (int(row[0]), float(row[1])) if row else (0, 0.0)


def compare(
    server: postgres.Server, name: str, setup: str, texts: Sequence[str], by_hand: str
) -> None:
    with server.database() as database:
        scratch.run(database, setup)
        if postgres.has_hypopg(server):
            scratch.run(database, "CREATE EXTENSION hypopg")
        before, planned, alone = cost(database, texts)
        found, seconds = advised(database, texts)
        print(f"\n{name}: {len(texts)} statements, {planned} planned; advised in {seconds:.1f} s")
        for one in found.advice:
            how = "confirmed" if one.confirmed else "estimated"
            print(f"  {one.sql}  -- {how}, {100 * one.share:.1f} %")
            scratch.run(database, one.sql)
        scratch.run(database, "ANALYZE")
        show(
            "primary keys only" if "PRIMARY" in setup else "no index", before, before, (0, 0.0), 1.0
        )
        after, _, each = cost(database, texts)
        show("with the advice", after, before, indexes(database), mean(alone, each))
        print(f"  foretold: {found.after / found.before:.1%} of the cost before")
        worse = [n for n, (b, a) in enumerate(zip(alone, each, strict=True), 1) if a > b * 1.02]
        print(f"  statements that became dearer: {worse or 'none'}")
        for one in found.advice:
            scratch.run(database, f'DROP INDEX "{one.name}"')
        scratch.run(database, by_hand + "ANALYZE;")
        hand, _, by = cost(database, texts)
        show("by hand", hand, before, indexes(database), mean(alone, by))


def mean(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the geometric mean of what each statement costs of what it cost."""
    return statistics.geometric_mean(a / b for a, b in zip(after, before, strict=True) if b)


def show(what: str, cost_now: float, before: float, held: tuple[int, float], each: float) -> None:
    count, size = held
    share = cost_now / before
    print(
        f"  {what:20} {cost_now:14,.0f} {share:7.1%}  each {each:6.1%}  {count:2} indexes {size:8.1f} MiB"
    )


def main() -> None:
    major = sys.argv[1] if len(sys.argv) > 1 else "18"
    scale = float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
    texts = scratch.statements((TPCH / "queries.sql").read_text(encoding="utf-8"))
    setup = "SELECT setseed(0.5);\n" + (TPCH / "schema.sql").read_text(encoding="utf-8")
    with postgres.serve(major) as server:
        print(f"PostgreSQL {server.version}, HypoPG: {postgres.has_hypopg(server)}")
        compare(
            server,
            f"TPC-H at scale {scale}",
            setup.replace(":scale", str(scale)),
            texts,
            (TPCH / "by-hand.sql").read_text(encoding="utf-8"),
        )
        compare(
            server, "pgbench without its keys", PGBENCH_TABLES, scratch.statements(PGBENCH),
            PGBENCH_BY_HAND,
        )  # fmt: skip


if __name__ == "__main__":
    main()
