"""Every built-in check on a catalog of 20,000 relations: does it finish within its timeout?

Run by name: PYTHONPATH=tests python tests/benchmarks/catalog_cost.py [tables]
"""

from __future__ import annotations

import dataclasses
import sys

import postgres
from pgaudit import audit
from pgaudit.catalog import find
from pgaudit.model import Status
from pgaudit.postgres import probe, scratch

BATCH = 500


def main(tables: int) -> int:
    """Make tables, each with a primary key and a foreign key, ask every check, print and judge."""
    with postgres.serve(postgres.wanted()[0], {"max_locks_per_transaction": "2000"}) as server:
        scratch.run(
            server.conninfo,
            "CREATE EXTENSION pg_stat_statements; CREATE TABLE t_0 (id int PRIMARY KEY)",
        )
        for first in range(1, tables + 1, BATCH):
            last = min(first + BATCH - 1, tables)
            scratch.run(
                server.conninfo,
                f"DO $$ BEGIN FOR n IN {first}..{last} LOOP EXECUTE format("
                "'CREATE TABLE t_%s (id int PRIMARY KEY, other int REFERENCES t_0)', n); END LOOP; END $$",
            )
        scratch.run(server.conninfo, "ANALYZE")
        with postgres.session(server.conninfo, user="reader") as session:
            known = probe.probe(session, timeout=10)
            checks = [dataclasses.replace(c, evidence=None) for c in find.checks(find.sources())]
            results = audit.audit(session, known, checks)
    for result in sorted(results, key=lambda r: -r.seconds):
        print(f"{result.check.id:28} {1000 * result.seconds:8.1f} ms  {result.status.value}")
    return int(any(r.status is Status.ERRORED for r in results))


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
