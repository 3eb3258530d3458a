"""Loud on sickness: each fault once, at a known place of a large healthy schema; exactly those are found.

The schema is the three of tests/health with two hundred further tables, at two thousand times its
size by its catalog. The faults are in tests/sickness, a file a category: which check, which object,
how it comes about, and what else is rightly said of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_quiet import HEALTH, LARGER, SCHEMAS, TIMES, busy, settle

import postgres
from auditing import COUNTED, Rows, aged, asked, errors, watched
from pgaudit import proof
from pgaudit.catalog import find
from pgaudit.model import Check, Result, Status
from pgaudit.postgres import probe, scratch
from pgaudit.units import KINDS

SICKNESS = Path(__file__).parents[1] / "sickness"
CHECKS = {c.id: c for c in find.checks(find.sources(), proofs=True)}

FILLER = """
DO $$
BEGIN
  FOR i IN {first}..{first} + 19 LOOP
    EXECUTE format('CREATE TABLE part_%s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,'
                   '  customer_id bigint NOT NULL REFERENCES customer, noted_at timestamptz NOT NULL,'
                   '  note text NOT NULL)', i);
    EXECUTE format('CREATE INDEX part_%s_customer_id_idx ON part_%s (customer_id)', i, i);
    EXECUTE format('INSERT INTO part_%s (customer_id, noted_at, note)'
                   '  SELECT 1 + mod(g, 3000), now(), md5(g::text) FROM generate_series(1, 50) g', i);
    EXECUTE format('SELECT note FROM part_%s WHERE customer_id = 7', i);
  END LOOP;
END $$
"""

GROWN = f"""
CREATE PROCEDURE grow(VARIADIC names text[]) LANGUAGE sql AS $$
  UPDATE pg_class
  SET    relpages = relpages * {TIMES}, reltuples = reltuples * {TIMES},
         relallvisible = relallvisible * {TIMES}
  WHERE  relname = ANY (names) AND reltuples < 1000000;
$$
"""
"""CREATE INDEX and ANALYZE write the true size again; this is for what they touched."""

EVERYTHING_LOCKED = """
BEGIN;
DO $$
DECLARE r regclass;
BEGIN
  FOR r IN SELECT c.oid FROM pg_class c
           WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
  LOOP
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', r);
  END LOOP;
END $$;
"""

EXTENSIONS = ("pg_stat_statements", "pgstattuple")

UNKNOWN = {"session", "query", "server", "database"}
"""Kinds whose objects' names are not known beforehand; a fault says * for them."""

Fault = Mapping[str, Any]
"""One entry of a file of tests/sickness."""

Place = tuple[str, str]
"""A check and the object that it reports."""


def faults(major: int) -> list[Fault]:
    """Read every fault that a major can have; what is wrong with a whole server comes from its proofs."""
    found: list[Fault] = []
    for path in sorted(SICKNESS.glob("*.yaml")):
        found += yaml.safe_load(path.read_text(encoding="utf-8"))
    have = {f["check"] for f in found}
    found += [fault for c in CHECKS.values() if c.id not in have for fault in of_server(c)]
    return [f for f in found if f.get("since", 0) <= major]


def of_server(check: Check) -> list[Fault]:
    """Take the first proof of a check of the whole server that fires on canned rows alone."""
    unknown = check.object.kind in UNKNOWN
    made: list[Fault] = [
        {
            "check": check.id,
            "object": ["*" if unknown else e.object for e in p.expect or ()],
            "given": p.given,
            "proof": p,
            "since": max(p.since, min(check.queries)),
        }
        for p in check.proofs
        if check.status == "stable"
        and check.scope == "cluster"
        and p.expect
        and p.given
        and not (p.setup or p.sessions)
    ]
    return made[:1]


def expected(fault: Fault) -> set[Place]:
    """Return what must be said of a fault: by its own check, and by others that rightly speak too."""
    names = fault["object"] if isinstance(fault["object"], list) else [fault["object"]]
    also = {(check, name) for check, names in fault.get("also", {}).items() for name in names}
    return {(fault["check"], name) for name in names} | also


@dataclasses.dataclass(slots=True)
class Asking:
    """How each check is asked: with the canned rows and the parameters of its fault, if it has any."""

    conninfo: str
    by_check: Mapping[str, Fault]

    def places(self) -> set[Place]:
        """Ask every stable check, and return each finding's place."""
        with postgres.session(self.conninfo) as session:
            probed = probe.probe(session, timeout=20)
            counters = aged(session, probed, times=TIMES)
            known = watched(session, probed, counters)

            def ask(check: Check) -> Result:
                fault = self.by_check.get(check.id, {})
                changed = adjusted(check, fault)
                if not fault.get("given"):
                    return asked(session, known, changed, counters)
                rows = beside(counters, proof.resolved(fault["given"], self.conninfo, probed))
                return asked(session, watched(session, probed, rows), changed, rows)

            results = [ask(c) for c in CHECKS.values() if c.status == "stable"]
        assert errors(results) == []
        return {
            (r.check.id, "*" if f.object.kind in UNKNOWN else f.object.display)
            for r in results
            if r.status is Status.FAILED
            for f in r.findings
        }


def beside(counters: Rows, given: Rows) -> Rows:
    """Put a fault's rows among the server's own: of relations only those that it names are replaced.

    An empty list leaves the view empty.
    """
    rows = {**counters, **given}
    for view in {view for view in COUNTED if given.get(view)}:
        key = "indexrelid" if "indexes" in view else "relid"
        named = {str(row[key]) for row in given[view]}
        others = [row for row in counters[view] if str(row[key]) not in named]
        rows[view] = [*others, *given[view]]
    return rows


def adjusted(check: Check, fault: Fault) -> Check:
    """Put a fault's parameters in force."""
    if "proof" in fault:
        return proof.adjusted(check, fault["proof"])
    said = fault.get("parameters", {})
    parameters = check.parameters
    return check.having({n: KINDS[parameters[n].type].read(amount) for n, amount in said.items()})


@dataclasses.dataclass(slots=True)
class Sick:
    """A large database into which every fault was injected, and what was said of it before."""

    conninfo: str
    injected: list[Fault]
    before: set[Place]

    def found(self) -> set[Place]:
        """Ask every check, and return what is new."""
        asking = Asking(self.conninfo, {f["check"]: f for f in self.injected})
        canned = {f["check"] for f in self.injected if set(f.get("given", {})) - set(COUNTED)}
        return {p for p in asking.places() if p not in self.before or p[0] in canned}


@pytest.fixture(scope="module")
def sick(server: postgres.Server) -> Iterator[Sick]:
    """A large healthy database, and then the faults in it."""
    with server.database(extensions=EXTENSIONS) as made, contextlib.ExitStack() as held:
        for name in SCHEMAS:
            scratch.run(made, (HEALTH / f"{name}.sql").read_text())
        # Until PostgreSQL 15 counters travel as datagrams, which are lost where too many come at once.
        for first in range(1, 201, 20):
            scratch.run(made, FILLER.replace("{first}", str(first)))
        for name in SCHEMAS:
            busy(made, name)
        scratch.run(made, "VACUUM ANALYZE")
        scratch.run(made, LARGER)
        scratch.run(made, GROWN)
        settle(server)
        before = Asking(made, {}).places()
        injected = faults(server.major)
        for fault in injected:
            scratch.run(made, fault.get("inject", ""))
            if "sessions" in fault:
                held.enter_context(scratch.held(made, fault["sessions"]))
        yield Sick(made, injected, before)


@pytest.fixture(scope="module")
def found(sick: Sick) -> set[Place]:
    """What is said of all faults together."""
    return sick.found()


def test_every_fault_is_found_and_nothing_else(
    server: postgres.Server,
    sick: Sick,
    found: set[Place],
    record_property: Callable[[str, object], None],
) -> None:
    wanted = {place for fault in sick.injected for place in expected(fault)}
    record_property("table", table(server.major, sick.injected, found, wanted))
    wrong = [f"missed {check}: {name}" for check, name in sorted(wanted - found)]
    wrong += [f"false alarm {check}: {name}" for check, name in sorted(found - wanted)]
    assert not wrong, "\n".join(wrong)


def test_no_lock_is_waited_for(sick: Sick, found: set[Place]) -> None:
    """With every table locked as ALTER TABLE would, each check still answers, and the same."""
    with scratch.held(sick.conninfo, [EVERYTHING_LOCKED]):
        assert sick.found() == found


def table(major: int, injected: Sequence[Fault], found: set[Place], wanted: set[Place]) -> str:
    """Recall and false alarms, a line a check."""
    lines = [
        f"PostgreSQL {major}: {len(injected)} faults",
        f"{'check':40}{'found':>10}{'false':>7}",
    ]
    for name in CHECKS:
        mine = {p for p in wanted if p[0] == name}
        hits, wrong = len(mine & found), len({p for p in found if p[0] == name} - wanted)
        if mine or wrong:
            lines.append(f"{name:40}{f'{hits} of {len(mine)}':>10}{wrong:>7}")
    return "\n".join(lines)


def test_every_check_has_its_fault() -> None:
    """A new check needs a fault here, or a reason why it has none."""
    have = {f["check"] for f in faults(99)}
    without = yaml.safe_load((SICKNESS / "without.yml").read_text(encoding="utf-8"))
    stable = {c.id for c in CHECKS.values() if c.status == "stable"}
    assert stable - have == set(without)
