"""A session and a workload, or texts → index advice, and the rows that checks read of it."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pgaudit import quote
from pgaudit.advise import choose
from pgaudit.advise.choose import Limits
from pgaudit.advise.model import Advice, Advised, Work
from pgaudit.model import Server
from pgaudit.postgres import planner, relations, workload
from pgaudit.postgres.folding import Untrusted
from pgaudit.postgres.genericplan import NotPlanned, Plan
from pgaudit.postgres.planner import Planner
from pgaudit.postgres.standin import Surroundings
from pgaudit.statements import names, read
from pgaudit.statements.facts import Statement
from pgaudit.statements.schema import Schema

DEFAULT = Limits()

Row = dict[str, object]
"""A row of a made view."""

Planned = tuple[Work, Plan | NotPlanned]
"""A statement, and its generic plan or why it has none."""

KINDS = frozenset({"select", "insert", "update", "delete", "merge"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """A workload that may be planned, and why the rest of it may not: reason to number."""

    works: tuple[Work, ...]
    refused: Mapping[str, int]


def from_entries(
    asked: Planner,
    entries: Sequence[workload.Entry],
    schema: Schema,
    *,
    limits: Limits = DEFAULT,
) -> Advised:
    """Advise for what pg_stat_statements counted. Raises QueryError."""
    readable = [entry for entry in entries if not entry.hidden]
    hidden = len(entries) - len(readable)
    advised = _advise(asked, trusted(asked, works_of(readable, schema)), limits)
    return replace(
        advised,
        statements=advised.statements + hidden,
        hidden=hidden,
        role=asked.server.user,
    )


def from_statistics(asked: Planner, *, limits: Limits = DEFAULT) -> Advised:
    """Advise for pg_stat_statements as it is. Raises QueryError."""
    surroundings = Surroundings.of(asked.server)
    found = workload.workload(asked.session, surroundings, timeout=asked.timeout)
    return from_entries(asked, found.entries, found.schema, limits=limits)


def from_texts(asked: Planner, texts: Iterable[str], *, limits: Limits = DEFAULT) -> Advised:
    """Advise for statements of a file, each called as often as it stands there. Raises QueryError."""
    counted = Counter(texts)
    schema = workload.known(asked.session, counted, timeout=asked.timeout)
    works = []
    for number, (text, calls) in enumerate(counted.items(), 1):
        facts = read.statement(text, schema)
        statement = planner.Statement(text, _path(facts, schema))
        works.append(Work(facts, statement, str(number), calls=calls))
    return _advise(asked, trusted(asked, works), limits)


def works_of(entries: Sequence[workload.Entry], schema: Schema) -> list[Work]:
    """Add up the entries of one statement that one role ran; those from inside functions count too."""
    found: dict[tuple[str, str], Work] = {}
    for entry in entries:
        facts, counters = entry.statement, entry.counters
        calls = int(counters.get("calls") or 0)
        if not calls or facts.kind == "utility":
            continue
        rows, weight = int(counters.get("rows") or 0), float(counters.get("total_exec_time") or 0)
        path = _path(facts, schema)
        queryid = str(counters.get("queryid") or "")
        known = found.get((facts.text, path))
        if known is not None:
            calls, rows, weight = calls + known.calls, rows + known.rows, weight + known.weight
        limit = max(1, round(rows / calls)) if facts.kind == "select" else None
        asked = planner.Statement(facts.text, path, limit)
        found[facts.text, path] = Work(facts, asked, queryid, calls, weight, rows)
    return list(found.values())


def trusted(asked: Planner, works: Sequence[Work]) -> Prepared:
    """Leave out what is no query, what does not parse, and what could run somebody's code.

    Raises QueryError.
    """
    refused: Counter[str] = Counter()
    parsed: list[tuple[Work, names.Names]] = []
    for work in works:
        named = names.named(work.facts.text) if work.facts.kind in KINDS else None
        if named is not None and not all(table.relid or table.made for table in work.facts.tables):
            refused["it names a table that is not known here"] += 1
        elif named is None:
            refused[work.facts.reason or "no statement that has a plan"] += 1
        else:
            parsed.append((work, named))
    untrusted = Untrusted(
        asked.session,
        relations={oid for work, _ in parsed for oid in _oids(work)},
        functions={name for _, named in parsed for name in named.functions},
        operators={name for _, named in parsed for name in named.operators},
        timeout=asked.timeout,
    )
    kept = []
    for work, named in parsed:
        reason = untrusted.why_not(
            relations=_oids(work), functions=named.functions, operators=named.operators
        )
        if reason is None:
            kept.append(work)
        else:
            refused[reason] += 1
    return Prepared(tuple(kept), dict(refused))


MOST_PLANS = 100
"""Statements whose plans are asked for as evidence, by their total time."""

LONGEST = 2.0
"""Seconds after which no more plans are asked for as evidence: a join of many tables takes long to plan."""


def planned(asked: Planner, entries: Sequence[workload.Entry], schema: Schema) -> list[Planned]:
    """Return the generic plans of the statements that took most time, as many as LONGEST allows.

    Raises QueryError.
    """
    works = sorted(works_of(entries, schema), key=lambda work: -work.weight)[:MOST_PLANS]
    kept = trusted(asked, works).works
    end = time.monotonic() + LONGEST
    in_time = itertools.takewhile(lambda _: time.monotonic() < end, kept)
    return [(work, asked.plan(work.asked)) for work in in_time]


def worst(asked: Planner, plans: Sequence[Planned]) -> Iterator[Row]:
    """Yield the dearest node of each plan, as rows of the made view `statement_plan`."""
    for work, plan in plans:
        if isinstance(plan, NotPlanned):
            yield {"queryid": work.queryid, "reason": plan.reason}
        else:
            said = asked.described(plan)
            yield {"queryid": work.queryid, "cost": plan.cost, "worst": said}


def uses(asked: Planner, plans: Sequence[Planned]) -> Iterator[Row]:
    """Yield the indexes that plans name, as rows of the made view `index_use`.

    Where HypoPG can hide an index, the dearest statement that uses it is planned without it. Raises
    QueryError.
    """
    named = {oid for work, _ in plans for oid in _oids(work)}
    tables = relations.read(asked.session, named, timeout=asked.timeout)
    oids = {(t.schema, i.name): i.oid for t in tables.values() for i in t.indexes}
    found: dict[int, list[tuple[Work, Plan]]] = {}
    for work, plan in plans:
        if isinstance(plan, Plan):
            for name in plan.indexes & oids.keys():
                found.setdefault(oids[name], []).append((work, plan))
    end = time.monotonic() + LONGEST
    for oid, several in found.items():
        work, plan = several[0]
        without = None
        if asked.hides and time.monotonic() < end:
            without = asked.supposing([work.asked], (), [oid]).plans[0]
        yield {
            "indexrelid": oid,
            "statements": len(several),
            "queryid": work.queryid,
            "query": work.asked.text[: workload.SHOWN],
            "cost": plan.cost,
            "cost_without": without.cost if isinstance(without, Plan) else None,
        }


def rows(advised: Advised) -> Iterator[Row]:
    """Yield the advice as rows of the made view `index_advice`."""
    for one in advised.advice:
        yield _row(one, advised)


def _row(one: Advice, advised: Advised) -> dict[str, object]:
    first = one.helped[0]
    return {
        "relid": one.table.oid,
        "schemaname": one.table.schema,
        "relname": one.table.name,
        "indexname": one.name,
        "definition": _script(one),
        "keys": one.keys,
        "method": one.candidate.method,
        "confirmed": one.confirmed,
        "unconfirmed": None
        if one.confirmed
        else advised.unconfirmed or "HypoPG does not know the method",
        "size": one.size,
        "share": round(100 * one.share, 2),
        "saved_time": sum(h.saved for h in one.helped),
        "calls": sum(h.work.calls for h in one.helped),
        "statements": len(one.helped),
        "queryid": first.work.queryid,
        "query": first.work.asked.text[: workload.SHOWN],
        "cost_before": first.before,
        "cost_after": first.after,
        "evidence": one.evidence,
        "rows_written": one.writes,
        "updates_not_hot": one.loses_hot,
        "redundant": ", ".join(index.name for index in one.redundant) or None,
    }


def _script(one: Advice) -> str:
    """Write the statements that make an index, without the last semicolon."""
    needed = one.candidate.needs
    return f"CREATE EXTENSION IF NOT EXISTS {needed};\n{one.sql}" if needed else one.sql


def _advise(asked: Planner, prepared: Prepared, limits: Limits) -> Advised:
    oids = {oid for work in prepared.works for oid in _oids(work)}
    tables = relations.read(asked.session, oids, timeout=asked.timeout)
    advised = choose.choose(prepared.works, tables, asked, refused=prepared.refused, limits=limits)
    return replace(advised, advice=tuple(_opclass(one, asked.server) for one in advised.advice))


def _opclass(one: Advice, server: Server) -> Advice:
    """Name the schema of an extension's operator class, which need not be in anybody's search_path."""
    extension = server.extensions.get(one.candidate.needs or "")
    if extension is None:
        return one
    schema = quote.identifier(extension.schema)
    keys = tuple(
        key.replace(" gin_trgm_ops", f" {schema}.gin_trgm_ops") for key in one.candidate.keys
    )
    return replace(one, candidate=replace(one.candidate, keys=keys))


def _oids(work: Work) -> set[int]:
    return {table.relid for table in work.facts.tables if table.relid is not None}


def _path(facts: Statement, schema: Schema) -> str:
    """Write the search_path that finds what the facts found: the role's, then where else names stand."""
    path = list(schema.paths.get(facts.role, ("public",)))
    path += [table.relation.schema for table in facts.tables if table.relation is not None]
    # pg_catalog is searched first where it is not named, as in an application; temporary objects, which
    # may be somebody else's behind a pooler, would come before it.
    kept = [name for name in dict.fromkeys(path) if name != "pg_catalog"]
    return ", ".join([*map(quote.identifier, kept), "pg_temp"])
