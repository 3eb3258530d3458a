"""Candidates without a planner to confirm them → what statistics say that they would save."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pgaudit.advise import candidates
from pgaudit.advise.costs import Costs
from pgaudit.advise.model import Candidate, Helped, Work
from pgaudit.postgres.genericplan import Plan
from pgaudit.postgres.relations import Table

FEWEST = 0.05
"""The share of a table's rows above which an index is not proposed unasked."""

RANGE_SHARE, CONTAINED_SHARE = 1 / 3, 0.005
"""What the planner assumes of an open range (DEFAULT_INEQ_SEL), and of a pattern (DEFAULT_MATCH_SEL)."""

ROW, PAGE, NEXT_PAGE, DESCENT = 0.0125, 4.0, 1.0, 10.0
"""Costs in the planner's unit: to filter a row, to fetch a page at random or in order, to descend."""

MOST_KEYS = 2

NEARLY_AS_CHEAP, FEW_PAGES = 1.5, 25.0
"""How much dearer, as a factor or in the planner's unit, a shorter index may be to be taken instead."""

CHEAP, CLEARLY = 25.0, 1.5
"""What an index that begins like one that exists must save, in the planner's unit or as a factor."""

NEARLY = 0.8
"""The share of what a longer index saves that a shorter one must save to be taken instead."""


def choose(
    proposed: Mapping[Work, Sequence[Candidate]], costs: Costs, *, least: float
) -> dict[Candidate, list[Helped]]:
    """Return for each index that is worth proposing the statements that it should help.

    For each statement and table the cheapest counts, or a shorter one that is nearly as cheap; `least` is
    the weight that an index must save.
    """
    found: dict[Candidate, list[Helped]] = {}
    for work, several in proposed.items():
        for table in {c.table for c in several}:
            possible = [
                (helped.after, len(c.keys), c.keys, c, helped)
                for c in several
                if c.table == table and _simple(c)
                for helped in [_helped(work, c, costs)]
                if helped is not None
            ]
            if possible:
                least_cost = min(after for after, *_ in possible)
                enough = max(least_cost * NEARLY_AS_CHEAP, least_cost + FEW_PAGES)
                good = [one for one in possible if one[0] <= enough]
                *_, best, helped = min(good, key=lambda one: (one[1], one[0], one[2]))
                found.setdefault(best, []).append(helped)
    _merge(found, costs)
    return {
        c: helped for c, helped in found.items() if sum(h.saved for h in helped) >= max(least, 1e-9)
    }


def _merge(found: dict[Candidate, list[Helped]], costs: Costs) -> None:
    """Let an index serve the statements of a longer one that begins with it, if it does nearly as well."""
    for longer in sorted(found, key=lambda c: -len(c.keys)):
        for shorter in found:
            count = len(shorter.keys)
            same = (shorter.table, shorter.method) == (longer.table, longer.method)
            if not same or count >= len(longer.keys) or shorter.keys != longer.keys[:count]:
                continue
            instead = [_helped(h.work, shorter, costs) for h in found[longer]]
            kept = [h for h in instead if h is not None]
            if sum(h.saved for h in kept) >= NEARLY * sum(h.saved for h in found[longer]):
                found[shorter] += kept
                del found[longer]
                break


def clearly(before: float, after: float) -> bool:
    """Say whether a cost goes down by enough to replace an index that serves already.

    >>> clearly(28, 24), clearly(28, 18), clearly(1000, 970)
    (False, True, True)
    """
    return before - after >= CHEAP or before >= after * CLEARLY


def share(work: Work, candidate: Candidate, table: Table) -> float:
    """Estimate the share of a table's rows that an index would find for a statement."""
    if candidate.method == "gin":
        return CONTAINED_SHARE
    equal = {key for oid, key in candidates.equal_keys(work.facts) if oid == candidate.table}
    found = 1.0
    for sql in candidate.keys:
        key = candidates.Key(sql, candidate.columns if len(candidate.keys) == 1 else frozenset())
        named = next((c for c in candidate.columns if bare_equal(c, sql)), None)
        if named is not None:
            key = candidates.Key(sql, frozenset({named}))
        found *= candidates.selectivity(table, key) if sql in equal else RANGE_SHARE
    return found


def bare_equal(column: str, sql: str) -> bool:
    """Say whether a key is nothing but a column."""
    return candidates.bare(sql) == column


def size(candidate: Candidate, table: Table) -> int:
    """Estimate an index's bytes: entries with their headers, 90 % full; GIN and BRIN roughly.

    Source: nbtree's page and tuple layout (16 bytes a tuple and line pointer, alignment to 8).
    """
    if candidate.method == "brin":
        return 8192 * 3 + table.pages // 128 * 40
    widths = sum(table.columns[c].width for c in candidate.columns if c in table.columns)
    if candidate.method == "gin":
        return int(table.rows * max(widths, 8))
    return int(table.rows * (16 + -(-widths // 8) * 8) / 0.9)


def _simple(candidate: Candidate) -> bool:
    return (
        not candidate.included and candidate.method != "brin" and len(candidate.keys) <= MOST_KEYS
        and candidate.predicate is None and candidate.certain
    )  # fmt: skip


def _helped(work: Work, candidate: Candidate, costs: Costs) -> Helped | None:
    """Estimate a statement's cost with an index, if it now reads rows only to throw most away."""
    table = costs.tables[candidate.table]
    found = share(work, candidate, table)
    if found > FEWEST:
        return None
    fetched = DESCENT + _fetched(found * table.rows, max(table.pages, 1))
    plan = costs.plan(work)
    if isinstance(plan, Plan):
        scans = [
            node for node in plan.nodes
            if node.kind in _READING and (node.schema, node.relation) in _places(table)
        ]  # fmt: skip
        own = sum(node.own for node in scans)
        # A scan without a filter wants every row that it reads.
        if own < plan.cost / 2 or not all(node.filtered for node in scans) or fetched >= own:
            return None
        after = plan.cost - own + fetched
        if candidates.resembles(candidate, table) and not clearly(plan.cost, after):
            return None
        return Helped(work, plan.cost, after)
    scanned = _scanned(table)
    if fetched >= scanned or _served(work, table):
        return None
    return Helped(work, scanned, fetched)


def whole(work: Work, tables: Mapping[int, Table]) -> float:
    """Estimate what a statement costs that has no plan here: to read its tables from end to end."""
    named = {table.relid for table in work.facts.tables if table.relid is not None}
    return sum(_scanned(tables[oid]) for oid in named if oid in tables)


def _scanned(table: Table) -> float:
    return table.pages * NEXT_PAGE + table.rows * ROW


_READING = frozenset({"Seq Scan", "Bitmap Heap Scan"})


def _fetched(rows: float, pages: int) -> float:
    """Return what it costs to fetch scattered rows in the order of their pages.

    Source: PostgreSQL's compute_bitmap_pages and cost_bitmap_heap_scan.
    """
    met = min(2 * pages * rows / (2 * pages + rows), pages)
    page: float = PAGE - (PAGE - NEXT_PAGE) * math.sqrt(met / pages)
    return met * page + rows * ROW


def _served(work: Work, table: Table) -> bool:
    """Say whether an index begins with a column that the statement compares, and finds few rows."""
    compared = {
        candidates.bare(key) for oid, key in candidates.equal_keys(work.facts) if oid == table.oid
    }
    for index in table.indexes:
        first = index.keys[0]
        column = table.columns.get(first)
        key = candidates.Key(f'"{first}"', frozenset({first}))
        if first in compared and (column is None or candidates.selectivity(table, key) <= FEWEST):
            return True
    return False


def _places(table: Table) -> set[tuple[str | None, str | None]]:
    return {(table.schema, table.name), *table.leaves}
