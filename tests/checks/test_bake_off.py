"""The bake-off in which every peer failed: one schema of traps, and exactly the true answers.

docs/explanation/comparison.md says where each fault went that peers look for. Tables t05, t07, t10 hold
indexes that are too many, f01 to f12 foreign keys with and without a usable index, u_… indexes that
nobody uses and those that only look so.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

import postgres
from auditing import asked
from pgaudit.catalog import find
from pgaudit.model import Check, Result, Status
from pgaudit.postgres import probe, scratch
from pgaudit.postgres.standin import Given
from pgaudit.units import Value

PARAMETERS: Mapping[str, Mapping[str, Value]] = {
    "duplicate-index": {},
    "redundant-index": {},
    "unindexed-foreign-key": {},
    "invalid-index": {},
    "unused-index": {"min_size": 0, "min_idle": 30 * 86400.0},
}
"""The checks that take part, with thresholds so low that small tables count."""

SCHEMA = """
-- Too many indexes: the second of two equal ones, a plain one beside a unique one, a prefix.
CREATE TABLE t07 (a int, b int);
CREATE INDEX t07_first ON t07 (a, b);
CREATE INDEX t07_second ON t07 (a, b);
CREATE TABLE t05 (a int);
CREATE UNIQUE INDEX t05_unique ON t05 (a);
CREATE INDEX t05_plain ON t05 (a);
CREATE TABLE t10 (a int, b int);
CREATE INDEX t10_a ON t10 (a);
CREATE INDEX t10_a_b ON t10 (a, b);

-- The same columns, but never the same index.
CREATE TABLE t01 (a text, n int);
CREATE INDEX t01_plain ON t01 (a);
CREATE INDEX t01_collation ON t01 (a COLLATE "C");
CREATE INDEX t01_class ON t01 (a text_pattern_ops);
CREATE INDEX t01_hash ON t01 USING hash (a);
CREATE INDEX t01_brin ON t01 USING brin (a);
CREATE INDEX t01_lower ON t01 (lower(a));
CREATE INDEX t01_upper ON t01 (upper(a));
CREATE INDEX t01_some ON t01 (a) WHERE n > 0;
CREATE INDEX t01_others ON t01 (a) WHERE n <= 0;
CREATE TABLE t02 (a int, b int);
CREATE INDEX t02_up ON t02 (a, b);
CREATE INDEX t02_down ON t02 (a DESC, b);
CREATE INDEX t02_first ON t02 (a NULLS FIRST, b);
CREATE INDEX t02_turned ON t02 (b, a);
-- A column that is included is no key.
CREATE TABLE t03 (a int, b int, c int);
CREATE INDEX t03_keys ON t03 (a, b);
CREATE INDEX t03_included ON t03 (a) INCLUDE (b);
CREATE INDEX t03_other ON t03 (a) INCLUDE (c);
-- A unique index is never needless beside a wider one.
CREATE TABLE t04 (a int UNIQUE, b int);
CREATE INDEX t04_wider ON t04 (a, b);
CREATE UNIQUE INDEX t04_widest ON t04 (a, (a + b));
-- An invalid copy covers nothing, and is reported as what it is.
CREATE TABLE t06 (a int, b int);
CREATE INDEX t06_good ON t06 (a);
CREATE INDEX t06_copy ON t06 (a);
CREATE INDEX t06_wide ON t06 (a, b);
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('t06_copy'::regclass, 't06_wide'::regclass);

-- Foreign keys.
CREATE TABLE parent (id bigint PRIMARY KEY, a int, b int, UNIQUE (a, b));
CREATE TABLE f01 (a int, b int, CONSTRAINT f01 FOREIGN KEY (a, b) REFERENCES parent (a, b));
CREATE INDEX f01_turned ON f01 (b, a);
CREATE TABLE f02 (p bigint CONSTRAINT f02 REFERENCES parent);
CREATE INDEX f02_not_null ON f02 (p) WHERE p IS NOT NULL;
CREATE TABLE f03 (p bigint CONSTRAINT f03 REFERENCES parent, s text);
CREATE INDEX f03_open ON f03 (p) WHERE s = 'open';
CREATE TABLE f04 (p bigint CONSTRAINT f04 REFERENCES parent);
CREATE INDEX f04_invalid ON f04 (p);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'f04_invalid'::regclass;
CREATE TABLE f05 (p bigint CONSTRAINT f05 REFERENCES parent, s text);
CREATE INDEX f05_second ON f05 (s, p);
CREATE TABLE f06 (p bigint CONSTRAINT f06 REFERENCES parent, n int, PRIMARY KEY (p, n));
CREATE TABLE f07 (p bigint CONSTRAINT f07 REFERENCES parent);
CREATE INDEX f07_hash ON f07 USING hash (p);
CREATE TABLE f08 (p bigint CONSTRAINT f08 REFERENCES parent, s text);
CREATE INDEX f08_included ON f08 (s) INCLUDE (p);
CREATE TABLE f09 (p bigint CONSTRAINT f09 REFERENCES parent, s text);
CREATE INDEX f09_leading ON f09 (p) INCLUDE (s);
CREATE TABLE f10 (p bigint CONSTRAINT f10 REFERENCES parent);
CREATE TABLE f11 (p bigint CONSTRAINT f11 REFERENCES parent);
CREATE INDEX f11_brin ON f11 USING brin (p);
CREATE TABLE f12 (p bigint CONSTRAINT f12 REFERENCES parent, day date) PARTITION BY RANGE (day);
CREATE TABLE f12_1 PARTITION OF f12 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE f12_2 PARTITION OF f12 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');

-- Unused, and not.
CREATE TABLE u_plain (a int, b int, c int, d int);
CREATE INDEX u_never ON u_plain (a);
CREATE INDEX u_forgotten ON u_plain (b);
CREATE INDEX u_monthly ON u_plain (c);
CREATE INDEX u_daily ON u_plain (d);
CREATE TABLE u_clustered (a int);
CREATE INDEX u_clustered_a ON u_clustered (a);
ALTER TABLE u_clustered CLUSTER ON u_clustered_a;
CREATE TABLE u_statistics (a text);
CREATE INDEX u_statistics_lower ON u_statistics (lower(a));
CREATE TABLE u_exclusion (r int4range, EXCLUDE USING gist (r WITH &&));
CREATE TABLE u_identity (a int NOT NULL);
CREATE UNIQUE INDEX u_identity_a ON u_identity (a);
ALTER TABLE u_identity REPLICA IDENTITY USING INDEX u_identity_a;
CREATE TABLE u_keys (id bigint PRIMARY KEY, a int UNIQUE, b int);
CREATE UNIQUE INDEX u_keys_b ON u_keys (b);
CREATE TABLE u_invalid (a int);
CREATE INDEX u_invalid_a ON u_invalid (a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'u_invalid_a'::regclass;
CREATE TABLE u_parts (id bigint, day date) PARTITION BY RANGE (day);
CREATE TABLE u_parts_1 PARTITION OF u_parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE u_parts_2 PARTITION OF u_parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE INDEX u_parts_id ON u_parts (id);
CREATE INDEX u_parts_day ON u_parts (day);
"""

NEWER: Mapping[int, str] = {
    15: """
CREATE TABLE t11 (a int, b int);
CREATE UNIQUE INDEX t11_distinct ON t11 (a);
CREATE UNIQUE INDEX t11_not_distinct ON t11 (a) NULLS NOT DISTINCT;
""",
    18: """
CREATE TABLE period (r int4range, valid daterange, PRIMARY KEY (r, valid WITHOUT OVERLAPS));
CREATE TABLE f13 (r int4range, valid daterange,
                  CONSTRAINT f13 FOREIGN KEY (r, PERIOD valid) REFERENCES period (r, PERIOD valid));
CREATE INDEX f13_r ON f13 (r);
CREATE TABLE f14 (p bigint CONSTRAINT f14 REFERENCES parent NOT ENFORCED);
""",
}
"""What only newer majors can be given."""

ANSWERS = {
    ("duplicate-index", "public.t07_second"),
    ("redundant-index", "public.t05_plain"),
    ("redundant-index", "public.t10_a"),
    ("unindexed-foreign-key", "public.f03.f03"),
    ("unindexed-foreign-key", "public.f04.f04"),
    ("unindexed-foreign-key", "public.f05.f05"),
    ("unindexed-foreign-key", "public.f08.f08"),
    ("unindexed-foreign-key", "public.f10.f10"),
    ("unindexed-foreign-key", "public.f11.f11"),
    ("unindexed-foreign-key", "public.f12.f12"),
    ("invalid-index", "public.f04_invalid"),
    ("invalid-index", "public.t06_copy"),
    ("invalid-index", "public.t06_wide"),
    ("invalid-index", "public.u_invalid_a"),
    ("unused-index", "public.u_never"),
    ("unused-index", "public.u_parts_id"),
}
KNOWN_BY_TIME = {("unused-index", "public.u_forgotten")}
"""What only a server can tell that knows when an index was last scanned: 16 and newer."""

SCANNED: Mapping[str, int] = {
    "u_forgotten": 60,
    "u_monthly": 29,
    "u_daily": 0,
    "u_parts_1_day_idx": 60,
    "u_parts_2_day_idx": 1,
    **dict.fromkeys(
        (
            "t01_plain", "t01_collation", "t01_class", "t01_hash", "t01_brin", "t01_lower",
            "t01_upper", "t01_some", "t01_others", "t02_up", "t02_down", "t02_first", "t02_turned",
            "t03_keys", "t03_included", "t03_other", "t04_wider", "t06_good", "f03_open",
            "f05_second", "f08_included", "f11_brin",
        ),
        0,
    ),
}  # fmt: skip
"""Days since the last scan of the indexes that were scanned; all others never were.

Among these are both of each pair: what should go is reported once, as what it is.
"""


def counters(conninfo: str, major: int) -> Given:
    """Return the counters as they would be after 400 days; nothing was ever scanned here."""
    now = datetime.now(UTC)
    with contextlib.closing(scratch.connect(conninfo)) as admin:
        indexes = admin.execute(
            "SELECT i.oid::bigint, i.relname FROM pg_class i JOIN pg_index x ON x.indexrelid = i.oid "
            "WHERE i.relnamespace = 'public'::regnamespace AND i.relkind = 'i'"
        ).fetchall()
        database = admin.info.dbname
    assert set(SCANNED) <= {name for _, name in indexes}
    return {
        "pg_stat_database": [
            {"datname": database, "stats_reset": (now - timedelta(days=400)).isoformat()}
        ],
        "pg_stat_user_indexes": [
            {"indexrelid": oid, "idx_scan": 0}
            if name not in SCANNED
            else {
                "indexrelid": oid,
                "idx_scan": 50,
                "last_idx_scan": (now - timedelta(days=SCANNED[name])).isoformat()
                if major >= 16
                else None,
            }
            for oid, name in indexes
        ],
    }


def lowered(check: Check) -> Check:
    """Put the bake-off's thresholds in force, and take the age of the evidence out."""
    return dataclasses.replace(check.having(PARAMETERS[check.id]), evidence=None)


@pytest.fixture
def results(server: postgres.Server, database: str) -> list[Result]:
    scratch.run(database, SCHEMA)
    for major, script in NEWER.items():
        if server.major >= major:
            scratch.run(database, script)
    given = counters(database, server.major)
    checks = [lowered(c) for c in find.checks(find.sources()) if c.id in PARAMETERS]
    assert len(checks) == len(PARAMETERS)
    with postgres.session(database, user="reader") as session:
        known = probe.probe(session, timeout=10)
        return [asked(session, known, c, given) for c in checks]


def test_bake_off(server: postgres.Server, results: list[Result]) -> None:
    """No miss, no false alarm, and nothing said twice."""
    assert [r.reason for r in results if r.status in (Status.ERRORED, Status.SKIPPED)] == []
    said = [(f.check, f.object.display) for r in results for f in r.findings]
    answers = ANSWERS | (KNOWN_BY_TIME if server.major >= 16 else set())
    missed, false_alarms = sorted(answers - set(said)), sorted(set(said) - answers)
    assert (missed, false_alarms) == ([], [])
    assert len(said) == len(set(said))


def test_no_index_is_listed_twice(results: list[Result]) -> None:
    """Of a pair one index is reported, by one check: not as a copy and again as unused."""
    indexes = [f.object.display for r in results for f in r.findings if f.object.kind == "index"]
    assert sorted(indexes) == sorted(set(indexes))
    for pair in (("t07_first", "t07_second"), ("t05_unique", "t05_plain"), ("t10_a", "t10_a_b")):
        assert sum(f"public.{name}" in indexes for name in pair) == 1
