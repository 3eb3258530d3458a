"""Views that pgaudit makes itself, by what it reads and works out: rows that stand in for them.

A check names such a view under `reads` like any other. Its rows are made when the first check asks for
them, once per database and run, and sent with the check's SQL as canned rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pgaudit import sqltext
from pgaudit.advise import run
from pgaudit.errors import QueryError
from pgaudit.model import Check, Server
from pgaudit.postgres import merged, shape, workload
from pgaudit.postgres.planner import Planner
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Given, Surroundings
from pgaudit.postgres.workload import Entry, Workload
from pgaudit.statements.facts import Statement
from pgaudit.statements.patterns import PATTERNS, Match
from pgaudit.statements.patterns.match import ours

Rows = Sequence[Mapping[str, object]]
Thing = TypeVar("Thing")


@dataclass(slots=True)
class Kept:
    """What was read and made for one database so far; one for each run, shared by its checks."""

    things: dict[object, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for a made view, and where: the check, its surroundings, and what is kept already."""

    session: Session
    server: Server
    check: Check
    surroundings: Surroundings
    timeout: float
    kept: Kept

    def once(self, name: str, make: Callable[[], Thing]) -> Thing:
        """Return what `make` made when it was first asked for; a window has things of its own.

        What the server refused is not asked again, unless the connection was lost.
        """
        key = (name, self.surroundings.window is not None)
        if key not in self.kept.things:
            try:
                self.kept.things[key] = make()
            except QueryError as error:
                # The position is in our own text, not in the check's.
                error.position = None
                if not error.lost:
                    self.kept.things[key] = error
                raise
        found: Thing | QueryError = self.kept.things[key]
        if isinstance(found, QueryError):
            raise found
        return found

    def workload(self) -> Workload:
        """Return the statements of this database."""
        return self.once(
            "workload",
            lambda: workload.workload(self.session, self.surroundings, timeout=self.timeout),
        )

    def planner(self) -> Planner:
        """Return the one that is asked for plans here: it remembers them, and how often it waited.

        Its timeout is that of whoever asks now.
        """
        planner = self.once("planner", lambda: Planner(self.session, self.server))
        planner.timeout = self.timeout
        return planner


def given(asking: Asking) -> Given:
    """Return rows for the made views that a check reads, beside those that are canned already.

    Only columns that the check's SQL names are sent: thousands of rows have fifty. Raises QueryError.
    """
    canned = asking.surroundings.given
    variant = asking.check.variant(asking.server.major)
    named = sqltext.words(asking.check.queries.get(variant or 0) or "")
    return {
        **canned,
        **{
            view: [{k: v for k, v in row.items() if k in named} for row in MAKERS[view](asking)]
            for view in asking.check.reads
            if view in MAKERS and view not in canned
        },
    }


def matched_statements(asking: Asking) -> Rows:
    """Return a row for each match of one of the check's patterns in a statement.

    A statement has an entry for each role, and for inside and outside functions; here it is one.
    """
    entries = asking.workload().entries
    rows: list[Mapping[str, object]] = []
    for pattern in asking.check.matches:
        found = asking.once(f"matches of {pattern}", lambda: _grouped(entries, pattern))  # noqa: B023
        rows += [
            merged.row(
                group,
                asking.server,
                pattern=pattern,
                relid=match.relid,
                column_name=match.column,
                other_relid=match.other_relid,
                other_column=match.other_column,
                expression=match.expression,
                number=match.number,
                fingerprint=group[0].statement.fingerprint,
            )
            for (_, match), group in found.items()
            if any(entry.counters["calls"] for entry in group)
        ]
    return rows


def _grouped(
    entries: Sequence[Entry], pattern: str
) -> Mapping[tuple[object, Match], Sequence[Entry]]:
    groups: dict[tuple[object, Match], list[Entry]] = {}
    for entry, match in _matches(entries, pattern):
        groups.setdefault((entry.counters["queryid"], match), []).append(entry)
    return groups


def _matches(entries: Sequence[Entry], pattern: str) -> Iterator[tuple[Entry, Match]]:
    if pattern == "same-fingerprint":
        yield from _alike(entries)
        return
    known: dict[int, Sequence[Match]] = {}
    for entry in entries:
        statement = entry.statement
        if id(statement) not in known:
            known[id(statement)] = tuple(PATTERNS[pattern](statement))
        for match in known[id(statement)]:
            yield entry, match


def _alike(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Match]]:
    """Find entries whose fingerprint is that of others too; only all of them tell of how many.

    They must name the same tables: a schema for each tenant, or a temporary table made anew, gives one
    text as many queryids.
    """
    kinds = [(entry, _kind(entry.statement)) for entry in entries]
    alike: dict[object, set[object]] = {}
    for entry, kind in kinds:
        alike.setdefault(kind, set()).add(entry.counters["queryid"])
    for entry, kind in kinds:
        if kind is not None and len(alike[kind]) > 1:
            yield entry, Match(number=len(alike[kind]))


def _kind(statement: Statement) -> object:
    """Return what statements have in common that differ in constants; None if that is not known."""
    known = [table for table in statement.tables if not table.made]
    if statement.kind == "unparsed" or any(table.relid is None and ours(table) for table in known):
        return None
    return statement.fingerprint, tuple((table.relid, table.name) for table in known)


def statement_reading(asking: Asking) -> Rows:
    """Return how many entries could be read, by kind and by the reason of those that could not."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in asking.workload().entries:
        said = entry.statement
        reason = "insufficient privilege" if entry.hidden else said.reason and "does not parse"
        groups.setdefault((said.kind, reason), []).append(entry)
    return [
        {
            "kind": kind,
            "reason": reason or None,
            "entries": len(group),
            **{
                total: sum(entry.counters.get(total) or 0 for entry in group)
                for total in ("calls", "total_exec_time")
            },
        }
        for (kind, reason), group in sorted(groups.items())
    ]


def index_advice(asking: Asking) -> Rows:
    """Return a row for each index that the planner would use, and that would earn what it costs."""
    found = asking.workload()
    return asking.once(
        "index advice",
        lambda: list(run.rows(run.from_entries(asking.planner(), found.entries, found.schema))),
    )


def statement_plan(asking: Asking) -> Rows:
    """Return the dearest node of the generic plan of the most expensive statements."""
    return _evidence(asking, lambda: list(run.worst(asking.planner(), _planned(asking))))


def index_use(asking: Asking) -> Rows:
    """Return the indexes that the plans of the most expensive statements name."""

    def make() -> Rows:
        return list(run.uses(asking.planner(), _planned(asking)))

    return _evidence(asking, lambda: asking.once("index use", make))


def _planned(asking: Asking) -> Sequence[run.Planned]:
    found = asking.workload()
    return asking.once("plans", lambda: run.planned(asking.planner(), found.entries, found.schema))


def _evidence(asking: Asking, make: Callable[[], Rows]) -> Rows:
    """Make what stands beside a check's own measure; where it cannot be had there is none."""
    if not asking.server.shapes.get(shape.STATEMENTS) and not asking.surroundings.given:
        return ()
    try:
        return make()
    except QueryError as error:
        if error.lost:
            raise
        return ()


MAKERS: Mapping[str, Callable[[Asking], Rows]] = {
    "index_advice": index_advice,
    "index_use": index_use,
    "matched_statement": matched_statements,
    "statement_plan": statement_plan,
    "statement_reading": statement_reading,
}
"""Who makes which view."""

if set(MAKERS) != set(shape.MADE_COLUMNS):
    raise AssertionError("every made view has its columns in pgaudit.postgres.shape")
