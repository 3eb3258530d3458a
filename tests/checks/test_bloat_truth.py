"""What the bloat checks estimate, against what writing the same relation anew gives back.

Tables, indexes and TOAST tables of many shapes are loaded and thinned out step by step, with VACUUM and
ANALYZE after each. The checks are asked through the program, with thresholds at 0. The truth comes
from CLUSTER and REINDEX inside a transaction that is rolled back: how many pages are left?
What the checks say when they may measure with pgstattuple is held against the same truth.

`pytest -s` prints every estimate and its error, in percentage points of the relation's size.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

import postgres
from pgaudit import audit, override, quote
from pgaudit.catalog import find
from pgaudit.model import Check, Finding, Status
from pgaudit.postgres import probe, scratch

CHECKS = {c.id: c for c in find.checks(find.sources()) if c.id.startswith("bloated-")}
STEPS = (0, 30, 60, 90)
"""Percent of the rows that are gone."""

SAMPLE = 20
"""default_statistics_target: ANALYZE then reads 6,000 rows, a part of most tables here."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A table whose rows hold `values`, where `g` counts from 1."""

    columns: str
    values: str
    rows: int
    options: str = ""
    storage: str = ""
    after: Sequence[str] = ()


TABLES: Mapping[str, Shape] = {
    "one int": Shape("", "", 10000),
    "bool and int mixed": Shape(
        "a bool, b bigint, c bool, d int, e smallint, f bool, h bigint, i bool",
        "true, g, false, g, g % 100, true, g, false",
        6000,
    ),
    "timestamp, uuid, bool": Shape(
        "a timestamptz, u uuid, f bool", "now(), md5(g::text)::uuid, true", 6000
    ),
    "text of one length": Shape("t text", "md5(g::text)", 6000),
    "text of one odd length": Shape("t text", "left(md5(g::text), 9)", 9000),
    "text of many lengths": Shape("t text", "repeat('x', g * 7919 % 60)", 7000),
    "char(10)": Shape("t char(10)", "g::text", 9000),
    "numeric": Shape(
        "n numeric, m numeric(12, 2)", "(g * 7919.0 % 1000003) ^ (g % 4), g / 100.0", 8000
    ),
    "json": Shape(
        "d jsonb",
        "jsonb_build_object('id', g, 'name', md5(g::text), 'tags', jsonb_build_array(g % 7))",
        3500,
    ),
    "an ordinary order": Shape(
        """customer int, at timestamptz, total numeric(12, 2), status text, note text, paid bool,
           ref bigint""",
        """g % 500, now(), g * 7919 % 100000 / 100.0, (ARRAY['new', 'packed', 'returned'])[1 + g % 3],
           CASE WHEN g % 10 < 3 THEN repeat('note ', g % 20) END, g % 2 = 0, g""",
        6000,
    ),
    "NULL in most columns": Shape(
        ", ".join(f"c{n} {'int' if n % 3 else 'text'}" for n in range(12)),
        ", ".join(
            f"CASE WHEN (g * {7919 + 2 * n}) % 100 < 20 THEN {'g' if n % 3 else 'md5(g::text)'} END"
            for n in range(12)
        ),
        6000,
    ),
    "NULL in all columns or none": Shape(
        ", ".join(f"c{n} int" for n in range(12)),
        ", ".join("CASE WHEN g * 7919 % 100 < 20 THEN g END" for n in range(12)),
        8000,
    ),
    "wide, of one length": Shape("t text", "repeat(md5(g::text), 42)", 400, storage="PLAIN"),
    "wide, of many lengths": Shape(
        "t text", "repeat(md5(g::text), 5 + g * 7919 % 50)", 500, storage="PLAIN"
    ),
    "wide, two to a page": Shape("t text", "repeat(md5(g::text), 90)", 120, storage="PLAIN"),
    "values in TOAST": Shape("t text", "repeat(md5(g::text), 100)", 2000, storage="EXTERNAL"),
    "some values in TOAST": Shape(
        "t text",
        "repeat(md5(g::text), CASE WHEN g % 3 = 0 THEN 65 ELSE 4 END)",
        2500,
        storage="EXTERNAL",
    ),
    "compressed values": Shape("t text", "repeat(md5(g::text), 100)", 3000),
    "fillfactor 70": Shape("t text", "md5(g::text)", 4000, options="fillfactor = 70"),
    "fillfactor 50": Shape("t text", "md5(g::text)", 3000, options="fillfactor = 50"),
    "fillfactor 50, wide": Shape(
        "t text", "repeat(md5(g::text), 20)", 350, options="fillfactor = 50", storage="PLAIN"
    ),
    "column added with a default": Shape(
        "t text",
        "md5(g::text)",
        6000,
        after=["ALTER TABLE {0} ADD c bigint NOT NULL DEFAULT 7"],
    ),
    "dropped bigint": Shape(
        "gone bigint, t text",
        "g, md5(g::text)",
        6000,
        after=["ALTER TABLE {0} DROP gone"],
    ),
    "dropped text": Shape(
        "gone text, t text",
        "md5(g::text), md5(g::text)",
        4000,
        after=["ALTER TABLE {0} DROP gone"],
    ),
    "dropped bigint, rows written since": Shape(
        "gone bigint, t text",
        "g, md5(g::text)",
        3000,
        after=["ALTER TABLE {0} DROP gone", "UPDATE {0} SET t = t", "VACUUM {0}"],
    ),
    "updated": Shape(
        "t text",
        "md5(g::text)",
        6000,
        after=[
            "UPDATE {0} SET t = upper(t) WHERE id % 3 = 0",
            "VACUUM {0}",
            "UPDATE {0} SET t = lower(t) WHERE id % 3 = 1",
            "VACUUM {0}",
        ],
    ),
    "dead rows not yet vacuumed": Shape(
        "t text",
        "md5(g::text)",
        6000,
        after=["UPDATE {0} SET t = upper(t) WHERE id % 3 = 0"],
    ),
}

TOAST: Mapping[str, str] = {
    "full chunks": "repeat(md5(g::text), 499)",  # eight chunks
    "a full and a small chunk": "repeat(md5(g::text), 70)",
    "two full and a half one": "repeat(md5(g::text), 156)",
    "of many lengths": "repeat(md5(g::text), 70 + g * 7919 % 400)",
}
"""Values of 2 kB and more, each the only column of a table with 120 rows."""

KEYS = """
CREATE TABLE keys (
  id int PRIMARY KEY, once int, ten int, many int, pair int, skewed int, dependent int,
  tens numeric, hash text, odd text, lengths text, status text, longer text,
  u uuid, at timestamptz, flag bool, big bigint, mostly_null int
) WITH (autovacuum_enabled = false);
INSERT INTO keys
SELECT g, g * 7919, g % 10, g * 7 % 1500, g / 2, CASE WHEN g % 2 = 0 THEN g % 5 ELSE g END,
       g * 7 % 1500 / 3, g % 10, md5(g::text), left(md5(g::text), 9),
       left(repeat(md5(g::text), 2), 3 + g * 7919 % 37),
       (ARRAY['new', 'packed', 'sent', 'returned'])[1 + g % 4], repeat(md5(g::text), 4),
       md5(g::text)::uuid, now() + g * interval '1 s', g % 3 = 0, g * 17,
       CASE WHEN g % 10 = 5 OR g % 100 = 33 THEN g END
FROM   generate_series(1, 15000) g;
CREATE TABLE grown (id int, u uuid, ten int) WITH (autovacuum_enabled = false);
CREATE INDEX "grown in random order" ON grown (u);
CREATE INDEX "grown in order" ON grown (id);
CREATE INDEX "grown, 10 values" ON grown (ten);
"""
GROWN = (
    "INSERT INTO grown SELECT g, md5(g::text)::uuid, g * 7919 % 10 FROM generate_series(1, 15000) g"
)

INDEXES: Mapping[str, str] = {
    "unique int": "UNIQUE keys (id)",
    "int, all different": "keys (once)",
    "int, 10 values": "keys (ten)",
    "int, 1500 values": "keys (many)",
    "int, in pairs": "keys (pair)",
    "int, half of 5 values, half different": "keys (skewed)",
    "int, 10 values, deduplicate_items off": "keys (ten) WITH (deduplicate_items = off)",
    "numeric, 10 values": "keys (tens)",
    "text of one length (index)": "keys (hash)",
    "text of one odd length (index)": "keys (odd)",
    "text of many lengths (index)": "keys (lengths)",
    "text of 128": "keys (longer)",
    "text, 4 values": "keys (status)",
    "uuid": "keys (u)",
    "text and timestamp": "keys (status, at)",
    "text and int, both repeated": "keys (status, ten)",
    "two that depend on each other": "keys (many, dependent)",
    "bool and bigint": "keys (flag, big)",
    "INCLUDE": "keys (ten) INCLUDE (hash)",
    "mostly NULL": "keys (mostly_null)",
    "mostly NULL, and int": "keys (mostly_null, once)",
    "unique, mostly NULL": "UNIQUE keys (mostly_null)",
    "expression": "keys (lower(hash))",
    "expression, 10 values": "keys ((ten + 1))",
    "partial": "keys (big) WHERE flag",
    "partial, of many lengths": "keys (lengths) WHERE flag",
    "fillfactor 50 (index)": "keys (once) WITH (fillfactor = 50)",
    "fillfactor 100 (index)": "keys (once) WITH (fillfactor = 100)",
    "fillfactor 70, 10 values": "keys (ten) WITH (fillfactor = 70)",
}
UNKNOWN = {"dropped text", "partial, of many lengths"}
"""Shapes of which the statistics say too little: silence, unless they are measured."""

SMALLER_ROWS = {"dropped bigint, rows written since", "dropped text", "dropped bigint"}
"""Shapes whose rows get smaller when they are written anew, which no free space tells."""


@dataclass(frozen=True, slots=True)
class Line:
    """One relation at one step: its size, what was said, and what writing it anew gave back."""

    check: str
    shape: str
    gone: int
    size: int
    estimated: Finding | None
    measured: Finding | None
    truth: float

    @property
    def estimate(self) -> float:
        """Percent of its size, 0 where the check does not speak."""
        return share(self.estimated)

    @property
    def error(self) -> float:
        """Percentage points by which the estimate is too high."""
        return self.estimate - self.truth

    def say(self) -> str:
        """Name the line where a test fails."""
        return (
            f"{self.check} of {self.shape} without {self.gone} %: estimated {self.estimate:.1f}, "
            f"measured {share(self.measured):.1f}, in truth {self.truth:.1f} %"
        )


def share(finding: Finding | None) -> float:
    return float(str(finding.row["wasted_share"])) if finding else 0.0


@dataclass(slots=True)
class Stage:
    """A database with all shapes in it."""

    conninfo: str
    lines: list[Line] = field(default_factory=list)

    def fill(self) -> None:
        with contextlib.closing(scratch.connect(self.conninfo)) as admin:
            for name, shape in TABLES.items():
                table = quote.identifier(name)
                columns = f", {shape.columns}" if shape.columns else ""
                options = ", ".join(filter(None, ("autovacuum_enabled = false", shape.options)))
                values = f", {shape.values}" if shape.values else ""
                admin.execute(
                    f"CREATE TABLE {table} (id int PRIMARY KEY{columns}) WITH ({options})".encode()
                )
                if shape.storage:
                    admin.execute(
                        f"ALTER TABLE {table} ALTER t SET STORAGE {shape.storage}".encode()
                    )
                admin.execute(
                    f"INSERT INTO {table} SELECT g{values} FROM generate_series(1, {shape.rows}) g".encode()
                )
            for name, values in TOAST.items():
                table = quote.identifier(name)
                admin.execute(
                    f"CREATE TABLE {table} (id int PRIMARY KEY, t text) WITH "
                    f"(autovacuum_enabled = false, toast.autovacuum_enabled = false)".encode()
                )
                admin.execute(f"ALTER TABLE {table} ALTER t SET STORAGE EXTERNAL".encode())
                admin.execute(
                    f"INSERT INTO {table} SELECT g, {values} FROM generate_series(1, 120) g".encode()
                )
        scratch.run(self.conninfo, KEYS)
        scratch.run(self.conninfo, GROWN)
        for name, definition in INDEXES.items():
            unique, rest = (
                ("UNIQUE ", definition[7:])
                if definition.startswith("UNIQUE ")
                else ("", definition)
            )
            scratch.run(self.conninfo, f"CREATE {unique}INDEX {quote.identifier(name)} ON {rest}")

    def step(self, gone: int) -> None:
        """Thin out, and bring statistics up to date; counters are reported when a session ends."""
        tables = [*TABLES, *TOAST, "keys", "grown"]
        with contextlib.closing(scratch.connect(self.conninfo)) as admin:
            for name in tables:
                admin.execute(
                    f"DELETE FROM {quote.identifier(name)} WHERE id % 10 < {gone // 10}".encode()
                )
        if gone:
            scratch.run(self.conninfo, "VACUUM")
        else:
            for name, shape in TABLES.items():
                for statement in shape.after:
                    scratch.run(self.conninfo, statement.format(quote.identifier(name)))
            for name in TOAST:
                scratch.run(self.conninfo, f"VACUUM {quote.identifier(name)}")
        scratch.run(self.conninfo, "ANALYZE")
        self._settled(len(tables), analyzed=STEPS.index(gone) + 1)
        estimated = {name: self.ask(check, measured_size="0 B") for name, check in CHECKS.items()}
        measured = {name: self.ask(check) for name, check in CHECKS.items()}
        with contextlib.closing(scratch.connect(self.conninfo, autocommit=False)) as admin:
            before = sizes(admin)
            for name in tables:
                table = quote.identifier(name)
                admin.execute(
                    f"REINDEX TABLE {table}".encode()
                    if name in ("keys", "grown")
                    else f"CLUSTER {table} USING {quote.identifier(name + '_pkey')}".encode()
                )
            after = sizes(admin)
            admin.rollback()
        for (check, name), size in sorted(before.items()):
            if name.endswith("_pkey") or (check == "bloated-toast") != (name in TOAST):
                continue
            if check == "bloated-table" and name in ("keys", "grown"):
                continue
            truth = max(0.0, 100 * (1 - after[check, name] / size))
            said = estimated[check].get(name), measured[check].get(name)
            self.lines.append(Line(check, name, gone, size, *said, truth))

    def ask(self, check: Check, **changed: str) -> dict[str, Finding]:
        """Ask a check for everything that it can judge; findings by the name of table or index."""
        values = {"min_wasted": "0 B", "min_share": "0 %", **changed}
        [asked] = override.apply(
            [check], [override.Override(check.id, name, value) for name, value in values.items()]
        )
        with postgres.session(self.conninfo) as session:
            result = audit.ask(session, probe.probe(session, timeout=10), asked)
        assert result.status in (Status.PASSED, Status.FAILED), result.reason
        return {finding.object.name[-1]: finding for finding in result.findings}

    def _settled(self, tables: int, analyzed: int) -> None:
        """Wait for the counters: before PostgreSQL 15 a process collects them."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with contextlib.closing(scratch.connect(self.conninfo)) as admin:
                row = admin.execute(
                    """SELECT count(*) FROM pg_stat_user_tables
                       WHERE analyze_count >= %s AND n_mod_since_analyze = 0""",
                    (analyzed,),
                ).fetchone()
            if row == (tables,):
                return
            time.sleep(0.05)
        raise AssertionError("the counters never arrived")


def sizes(admin: scratch.Connection) -> dict[tuple[str, str], int]:
    """Return the size of each user relation by the check that judges it and the name in findings."""
    return {
        (check, name): size
        for check, name, size in admin.execute(
            """SELECT CASE c.relkind WHEN 'i' THEN 'bloated-index' WHEN 't' THEN 'bloated-toast'
                                     ELSE 'bloated-table' END,
                      coalesce(t.relname, c.relname)::text, pg_relation_size(c.oid)
               FROM   pg_class c
               LEFT   JOIN pg_class t ON t.reltoastrelid = c.oid
               WHERE  coalesce(t.relnamespace, c.relnamespace) = 'public'::regnamespace
                 AND  c.relkind IN ('r', 'i', 't') AND pg_relation_size(c.oid) > 0"""
        )
    }


@pytest.fixture(scope="module")
def lines(server: postgres.Server) -> Iterator[list[Line]]:
    """Make everything once per major: the lines of all steps."""
    with server.database(extensions=("pgstattuple",)) as made:
        scratch.run(
            made,
            f"""DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_statistics_target = {SAMPLE}',
                                           current_database()); END $$""",
        )
        stage = Stage(made)
        stage.fill()
        for gone in STEPS:
            stage.step(gone)
    sys.stdout.write(table(server.major, stage.lines))
    yield stage.lines


def table(major: int, lines: Sequence[Line]) -> str:
    """Lay the lines out, a shape a row: estimate and error at each step, worst error of measuring.

    What is said to be the least is marked with ≥.
    """
    said = [
        f"\nPostgreSQL {major}: percent estimated and error, by the percent of rows that are gone"
    ]
    for check in CHECKS:
        steps = "".join(f"{gone:>8} %     " for gone in STEPS)
        said.append(f"\n{check:40}{steps}   measured      size")
        shapes: dict[str, list[Line]] = {}
        for line in lines:
            if line.check == check:
                shapes.setdefault(line.shape, []).append(line)
        for shape, found in shapes.items():
            cells = "".join(
                f"{s.estimate:6.1f} {s.error:+6.1f}{'≥' if allowed(s)[0] == 100 else ' '} "
                for s in found
            )
            worst = max((share(s.measured) - s.truth for s in found), key=abs)
            said.append(f"  {shape:38}{cells} {worst:+6.1f}  {found[0].size // 1024:5} kB")
    return "\n".join(said) + "\n"


def allowed(line: Line) -> tuple[float, float]:
    """Return by how much the finding says that it may be too low and too high, in percentage points.

    What is said to be the least may be too high by a page, which can be much of so small a relation.
    """
    basis = str(line.estimated.row["basis"]) if line.estimated else "nothing"
    within = re.search(r"within (\d+) % of its size", basis)
    if within:
        return float(within[1]), float(within[1])
    assert basis in ("estimate, at the least", "nothing")
    return 100.0, 100 * 8192 / line.size


def test_every_estimate_is_as_good_as_it_says(lines: list[Line]) -> None:
    assert len({(line.check, line.shape) for line in lines}) > 50
    assert [line.say() for line in lines if line.error > allowed(line)[1] + 0.01] == []
    assert [line.say() for line in lines if line.error < -allowed(line)[0] - 0.01] == []


def test_most_estimates_are_more_than_the_least(lines: list[Line]) -> None:
    much = [line for line in lines if line.truth > 50 and line.check != "bloated-toast"]
    exact = [line for line in much if allowed(line)[0] < 100]
    assert len(exact) > 0.8 * len(much)


def test_what_is_measured_is_true(lines: list[Line]) -> None:
    """With pgstattuple the checks say nothing that they would have to take back either."""
    assert {line.measured.row["basis"] for line in lines if line.measured} == {"measured"}
    assert [line.say() for line in lines if share(line.measured) > line.truth + 10] == []
    found = [line for line in lines if line.truth > 50 and line.shape not in SMALLER_ROWS]
    assert [line.say() for line in found if share(line.measured) < line.truth - 15] == []


def test_what_is_not_known_is_not_said(lines: list[Line]) -> None:
    known = [line for line in lines if line.shape not in UNKNOWN]
    assert [line.say() for line in known if line.truth > 50 and line.estimated is None] == []
    assert [line.say() for line in lines if line.shape in UNKNOWN and line.estimated] == []


def test_what_is_loaded_or_grown_is_not_reported(lines: list[Line]) -> None:
    """Not by the share from which on the checks speak unless told otherwise."""
    shares = {c.id: float(str(c.parameters["min_share"].default)) for c in CHECKS.values()}
    updated = {name for name, shape in TABLES.items() if shape.after}
    loaded = [line for line in lines if line.gone == 0 and line.shape not in updated]
    assert [line.say() for line in loaded if line.estimate >= shares[line.check]] == []
