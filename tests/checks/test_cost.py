"""What a check costs an application: each view is read once, nothing is called that waits for locks."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import postgres
from pgaudit import sqltext
from pgaudit.catalog import find
from pgaudit.model import Check
from pgaudit.postgres import probe
from pgaudit.postgres.standin import Surroundings, question

CHECKS = find.checks(find.sources())

WAITING = re.compile(
    r"\b(pg_relation_size|pg_total_relation_size|pg_table_size|pg_indexes_size|pg_tablespace_size"
    r"|pg_partition_tree)\b"
)
"""They open each relation, and wait where somebody holds ACCESS EXCLUSIVE; pg_class.relpages does not."""

ONCE = {
    "pg_stat_get_activity", "pg_lock_status", "pg_show_all_settings", "pg_stat_get_wal_senders",
    "pg_get_replication_slots", "pg_prepared_xact", "pg_stat_statements", "pg_stat_get_io",
    "pg_stat_get_slru", "pg_stat_get_progress_info",
}  # fmt: skip
"""Functions under views that copy shared memory, or a file, each time they are called."""

SESSIONS = {"pg_stat_activity", "pg_stat_ssl", "pg_stat_gssapi", "pg_stat_replication"}

Plan = Mapping[str, Any]


def nodes(plan: Plan, subplan: str = "") -> Iterator[tuple[Plan, str]]:
    """Walk a plan; with each node comes the name of the subquery that it is run for, row by row."""
    if plan.get("Parent Relationship") == "SubPlan":
        subplan = plan["Subplan Name"]
    yield plan, subplan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner, subplan)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.id)
def test_each_view_is_read_once(server: postgres.Server, cost_database: str, check: Check) -> None:
    variant = check.variant(server.major)
    sql = check.queries[variant] if variant else None
    if sql is None:
        pytest.skip("not for this major")
    with postgres.session(cost_database) as session:
        known = probe.probe(session, timeout=10)
        asked = question(
            sql, label=check.id, reads=check.reads, parameters=check.parameters,
            surroundings=Surroundings.of(known), limit=100,
        )  # fmt: skip
        explained = dataclasses.replace(asked, text=f"EXPLAIN (VERBOSE, FORMAT JSON) {asked.text}")
        plan = session.ask([explained], timeout=10)[0].rows[0][0][0]["Plan"]
    read = [(n["Function Call"], sub) for n, sub in nodes(plan) if n.get("Function Name") in ONCE]
    hashed = set(re.findall(r"hashed (SubPlan \d+)", str(plan)))
    again = {name for name, sub in read if sub and sub not in hashed}
    again |= {name for name, count in Counter(name for name, _ in read).items() if count > 1}
    # Each of these views is made of what sessions do.
    if read.count(("pg_stat_get_activity(NULL::integer)", "")) <= len(SESSIONS & set(check.reads)):
        again -= {"pg_stat_get_activity(NULL::integer)"}
    # From 19 on pg_stat_progress_cluster is a view of what pg_stat_progress_repack shows.
    again -= {"pg_stat_get_progress_info('REPACK'::text)"}
    assert again == set()


@pytest.fixture(scope="module")
def cost_database(server: postgres.Server) -> Iterator[str]:
    with server.database(extensions=("pg_stat_statements", "pgstattuple")) as made:
        yield made


def test_no_function_that_opens_relations() -> None:
    """Not even of what is reported: it would be the locked table that is reported."""
    calling = {
        c.id: found
        for c in CHECKS
        for sql in c.queries.values()
        if sql and (found := WAITING.findall(sqltext.bare(sql)))
    }
    assert calling == {}
