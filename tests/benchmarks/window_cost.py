"""What a window costs on a large database: sampling, comparing, sending, and the report with samples.

Run by name: PYTHONPATH=src:tests python tests/benchmarks/window_cost.py [tables] [statements]

Each table has two indexes; one in ten, and one statement in ten, counts something inside the window, and
then all of them do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import postgres
from auditing import without_window
from pgaudit import audit, window
from pgaudit.catalog import find
from pgaudit.evidence import Sample, SampledRow
from pgaudit.model import Check, Report, Status, TargetReport
from pgaudit.postgres import counters, probe, sample, scratch
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Question
from pgaudit.render import json
from pgaudit.render.style import Style

BATCH = 500
QUIET = "SET pg_stat_statements.track = 'none';"
MADE = """
DO $$ BEGIN FOR n IN {first}..{last} LOOP
  EXECUTE format('CREATE TABLE t_%s (id int PRIMARY KEY, state text)', n);
  EXECUTE format('CREATE INDEX ON t_%s (state)', n);
  EXECUTE format('INSERT INTO t_%s VALUES (1, ''x'')', n);
END LOOP; END $$
"""
CALLED = """
DO $$ BEGIN FOR n IN 1..{last} LOOP
  EXECUTE 'SELECT ' || (SELECT string_agg(CASE WHEN n & (1 << i) = 0 THEN '1' ELSE 'now()' END, ', ')
                        FROM generate_series(0, 15) i);
END LOOP; END $$
"""
TIMED: dict[str, float] = {}


@contextlib.contextmanager
def timed(name: str) -> Iterator[None]:
    """Print how long the body took."""
    began = time.monotonic()
    yield
    TIMED[name] = time.monotonic() - began
    print(f"{name:58} {TIMED[name] * 1000:9.0f} ms", flush=True)


def shrunk(made: Sample, every: int) -> Sample:
    """Return an earlier sample in which one row of so many had counted less."""
    views = {}
    for name, view in made.views.items():
        first = counters.cumulative()[name].counters
        rows = {
            key: SampledRow(
                max(0, value - 1) if i < len(first) and isinstance(value, int) else value
                for i, value in enumerate(values)
            )
            if number % every == 0
            else values
            for number, (key, values) in enumerate(view.rows.items())
        }
        views[name] = dataclasses.replace(view, rows=rows)
    return dataclasses.replace(made, taken_at=made.taken_at - timedelta(days=40), views=views)


def main(tables: int, statements: int) -> int:
    """Make the database, and measure each step."""
    settings = {"max_locks_per_transaction": "4000", "pg_stat_statements.track": "all"}
    with (
        postgres.serve(postgres.wanted()[0], settings) as server,
        server.database(extensions=("pg_stat_statements",)) as database,
    ):
        for first in range(1, tables + 1, BATCH):
            # what makes the tables is no workload
            scratch.run(
                database, QUIET + MADE.format(first=first, last=min(first + BATCH - 1, tables))
            )
        scratch.run(database, CALLED.format(last=statements))
        time.sleep(1)
        checks = find.checks(find.sources())
        with postgres.session(database) as session:
            measured(session, checks)
    return 0


def measured(session: Session, checks: list[Check]) -> None:
    """Take a sample, compare it, ask every check with it and without, and write a report."""
    server = probe.probe(session, timeout=60)
    with timed("sample"):
        made = sample.sample(session, server, window.views(checks), timeout=60)
    print({name: len(view.rows) for name, view in made.views.items() if len(view.rows) > 100})
    limits = audit.Limits(60)
    with timed("all checks, no window"):
        plain = [without_window(c) for c in checks if window.applies(c)]
        audit.audit(session, server, plain, limits)
    for every in (10, 1):
        with timed(f"compare, one row in {every} moved"):
            found = window.between(shrunk(made, every), made, server, "here")
        sent: list[int] = []

        def note(_check: Check, asked: Question, sent: list[int] = sent) -> None:
            sent.append(sum(len(p) for p in asked.parameters if isinstance(p, str)))

        progress = audit.Progress(on_question=note)
        with timed(f"all checks of counters, one row in {every} moved"):
            results = audit.audit(
                session, server, [c for c in checks if window.applies(c)], limits, progress, found
            )
        print(f"  {sum(sent) / 2**20:.1f} MiB sent in all, {max(sent) / 2**20:.2f} MiB at most")
        slowest = sorted(results, key=lambda r: -r.seconds)[:3]
        print("  " + ", ".join(f"{r.check.id} {r.seconds * 1000:.0f} ms" for r in slowest))
        failed = [(r.check.id, r.reason) for r in results if r.status is Status.ERRORED]
        if failed:
            raise SystemExit(f"failed: {failed}")
    target = TargetReport("here", server, sample=made)
    report = Report("0", server.now, 1.0, None, (target,))
    with timed("write the report"):
        text = json.write(report, Style(200, False, 0, 0, False, False))
    print(f"  {len(text) / 2**20:.1f} MiB")
    with timed("read it"):
        json.read(text)


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in (sys.argv[1:] + ["20000", "5000"][len(sys.argv) - 1 :]))))
