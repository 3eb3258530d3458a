"""Every built-in check on two catalogs, one four times the other: no check grows faster than the catalog.

Run by name: PYTHONPATH=src:tests python tests/benchmarks/catalog_cost.py [tables]

The catalogs themselves are never analyzed, as in a database that was just restored or made by
migrations: there the planner guesses, and a plan that it guesses wrong would show.
"""

from __future__ import annotations

import sys

import postgres
from auditing import without_window
from pgaudit import audit
from pgaudit.catalog import find
from pgaudit.model import Status
from pgaudit.postgres import probe, scratch

TIMES = 4
ALLOWED = 2.0
"""How much more than in proportion a check may take; quicker sorts and noise need some room."""

QUICK = 0.05
"""Seconds on the larger catalog below which a ratio says nothing."""

MADE = """
DO $$ BEGIN FOR n IN {first}..{last} LOOP
  EXECUTE format('CREATE TABLE t_%s (id int PRIMARY KEY, other int REFERENCES t_%s, state text, at date)',
                 n, n / 100);
  EXECUTE format('CREATE INDEX ON t_%s (state)', n);
  EXECUTE format('INSERT INTO t_%s VALUES (1, NULL, ''x'', now())', n);
  EXECUTE format('ANALYZE t_%s', n);
END LOOP; END $$
"""
BATCH = 500


def measured(conninfo: str, tables: int) -> dict[str, float]:
    """Make tables with keys, indexes and statistics; return check to seconds. Exits on an error."""
    scratch.run(conninfo, "CREATE TABLE t_0 (id int PRIMARY KEY)")
    for first in range(1, tables + 1, BATCH):
        scratch.run(conninfo, MADE.format(first=first, last=min(first + BATCH - 1, tables)))
    with postgres.session(conninfo) as session:
        known = probe.probe(session, timeout=10)
        checks = [without_window(c) for c in find.checks(find.sources())]
        results = audit.audit(session, known, checks)
    failed = [r.check.id for r in results if r.status is Status.ERRORED]
    if failed:
        raise SystemExit(f"with {tables} tables these took longer than their timeout: {failed}")
    return {r.check.id: r.seconds for r in results if r.status is not Status.SKIPPED}


def main(tables: int) -> int:
    """Print both times and their ratio, the slowest first, and judge."""
    settings = {"max_locks_per_transaction": "2000"}
    with postgres.serve(postgres.wanted()[0], settings) as server:
        with server.database(extensions=("pg_stat_statements",)) as small:
            before = measured(small, tables)
        with server.database(extensions=("pg_stat_statements",)) as large:
            after = measured(large, TIMES * tables)
    print(f"{'check':36}{tables:>8} tables{TIMES * tables:>8} tables{'ratio':>8}")
    wrong = []
    for name in sorted(after, key=lambda n: -after[n]):
        ratio = after[name] / max(before[name], 0.001)
        if after[name] >= QUICK and ratio > ALLOWED * TIMES:
            wrong.append(name)
        print(f"{name:36}{1000 * before[name]:12.1f} ms{1000 * after[name]:12.1f} ms{ratio:8.1f}")
    print(f"faster than {ALLOWED} times in proportion: {', '.join(wrong) or 'none'}")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500))
