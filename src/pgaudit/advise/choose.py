"""A workload and its tables → the few indexes that earn what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pgaudit.advise import candidates, estimate, naming, unconfirmed
from pgaudit.advise.costs import Costs
from pgaudit.advise.model import Advice, Advised, Candidate, Helped, Work
from pgaudit.postgres.genericplan import NotPlanned, Plan
from pgaudit.postgres.planner import Planner
from pgaudit.postgres.relations import Table

MOST_STATEMENTS = 200
"""Statements that are looked at, by weight."""

CHEAP = estimate.CHEAP
"""Statements that cost less, in the planner's unit, are left as they are."""

NEARLY = 1.5
"""A smaller index is taken if the statement then costs no more than this many times as much."""

WRITE_COST = 4.0
"""What one entry costs to write, in the planner's unit: one page at random (random_page_cost)."""


GIN_ENTRIES = 10
"""Parts of one value that a GIN index is taken to hold: words, keys or trigrams."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an index must bring: a share of the workload's weight, 0 to 1; and how many may be advised."""

    share: float = 0.01
    per_table: int = 3


def choose(
    works: Sequence[Work],
    tables: Mapping[int, Table],
    planner: Planner,
    *,
    refused: Mapping[str, int] | None = None,
    limits: Limits = Limits(),
) -> Advised:
    """Return the advice for a workload.

    `works` are the statements that may be planned, `refused` counts why others may not be. Raises
    QueryError only if the connection was lost.
    """
    every = sorted(works, key=lambda work: -work.weight)
    looked = every[:MOST_STATEMENTS]
    costs = Costs(planner, tables, works)
    reasons = Counter(refused or {})
    planned: list[Work] = []
    denied: Counter[str] = Counter()
    for work in looked:
        plan = costs.plan(work)
        if isinstance(plan, NotPlanned):
            reasons[plan.reason] += 1
            denied[work.facts.kind] += plan.sqlstate == unconfirmed.INSUFFICIENT_PRIVILEGE
        else:
            planned.append(work)
    # A file of statements says nothing of time: then the planner's own cost is what counts.
    unplanned = set(looked).difference(planned)
    timed = any(work.weight for work in every)
    if not timed:
        weighed = {
            w: replace(w, weight=w.calls * (costs.under(w, ())[0] or estimate.whole(w, tables)))
            for w in looked
        }
        every = looked = list(weighed.values())
        planned = [weighed[w] for w in planned]
        unplanned = {weighed[w] for w in unplanned}
    frequency = Counter(key for work in looked for key in set(candidates.equal_keys(work.facts)))
    assigned = _assigned(works)
    proposed = {w: candidates.of(w.facts, tables, frequency, assigned) for w in looked}
    total = sum(work.weight for work in every)
    chosen: list[Candidate] = []
    if planner.confirms:
        pool = {c for work in planned for c in _useful(work, proposed[work], costs)}
        chosen = _earning(pool, planned, costs, limits, total)
    advice = [_confirmed(c, chosen, planned, costs, total) for c in chosen]
    guessed = estimate.choose(
        {
            w: [
                c
                for c in proposed[w]
                if not planner.confirms or c.method == "gin" or w in unplanned
            ]
            for w in looked
        },
        costs,
        least=limits.share * total,
    )
    advice += [
        _advice(c, helped, costs, total=total, confirmed=False)
        for c, helped in guessed.items()
        if _possible(c, planner) and _worth(c, helped, costs)
    ]
    kept = _few(advice, limits)
    saved = sum(_saved(work, kept, costs) for work in planned)
    saved += sum(h.saved for a in kept if not a.confirmed for h in a.helped)
    return Advised(
        advice=tuple(naming.named(kept, tables)),
        statements=len(every) + sum((refused or {}).values()),
        planned=len(planned),
        reasons=dict(reasons),
        before=total,
        after=max(0.0, total - saved),
        unconfirmed=unconfirmed.why(planner, denied, len(looked)),
        unit="ms" if timed else "cost",
    )


def _useful(work: Work, proposed: Iterable[Candidate], costs: Costs) -> frozenset[Candidate]:
    """Return what the planner uses of all that might help one statement, each as small as will do."""
    possible = [c for c in proposed if c.method != "gin"]
    before, _ = costs.under(work, ())
    after, used = costs.under(work, possible)
    if not used or after >= before or before < CHEAP:
        return frozenset()
    enough = min(max(after * NEARLY, after + CHEAP), (after + before) / 2)
    for candidate in sorted(used, key=lambda c: c.keys):
        brin = [c for c in possible if c.method == "brin" and c.table == candidate.table]
        for smaller in (*brin, *reversed(list(candidates.simpler(candidate)))):
            if smaller in used or candidates.exists(smaller, costs.tables[smaller.table]):
                continue
            trial = used - {candidate} | {smaller}
            if costs.under(work, trial)[0] <= enough:
                used = trial
                break
    for candidate in sorted(used, key=lambda c: c.keys):
        without = costs.under(work, used - {candidate})[0]
        if not _replaces(candidate, without, costs.under(work, used)[0], costs):
            used -= {candidate}
    return used


def _replaces(candidate: Candidate, before: float, after: float, costs: Costs) -> bool:
    """Say whether an index does more for a statement than one like it that exists."""
    table = costs.tables[candidate.table]
    return estimate.clearly(before, after) or not candidates.resembles(candidate, table)


def _earning(
    pool: set[Candidate],
    works: Sequence[Work],
    costs: Costs,
    limits: Limits,
    total: float,
) -> list[Candidate]:
    """Take away, again and again, the index that is missed least, until each earns its place."""
    kept = set(pool)
    while kept:
        gains = {c: _gain(c, kept, works, costs) for c in kept}
        least = min(sorted(kept, key=lambda c: (c.table, c.keys)), key=lambda c: gains[c][0])
        crowded = [
            c for c in kept if sum(c.table == other.table for other in kept) > limits.per_table
        ]
        weight, cost = gains[least]
        earns = 0 < weight >= limits.share * total and cost >= 0
        if earns and not crowded:
            losing = [c for c in kept if gains[c][1] < 0]
            if not losing:
                break
            least = min(losing, key=lambda c: gains[c][1])
        elif earns:
            least = min(crowded, key=lambda c: gains[c][0])
        kept.discard(least)
    return sorted(kept, key=lambda c: -_gain(c, kept, works, costs)[0])


def _gain(
    candidate: Candidate, kept: set[Candidate], works: Sequence[Work], costs: Costs
) -> tuple[float, float]:
    """Return what would be missed without an index: weight, and the planner's cost less its writes."""
    weight = cost = 0.0
    for work in works:
        if all(table.relid != candidate.table for table in work.facts.tables):
            continue
        after, used = costs.under(work, kept)
        if candidate not in used:
            continue
        before = costs.under(work, kept - {candidate})[0]
        if not _replaces(candidate, before, after, costs):
            continue
        base = costs.under(work, ())[0]
        weight += work.weight * (before - after) / base if base else 0.0
        cost += work.calls * (before - after)
    return weight, cost - costs.writes(candidate)[0] * WRITE_COST


def _confirmed(
    candidate: Candidate,
    chosen: Sequence[Candidate],
    works: Sequence[Work],
    costs: Costs,
    total: float,
) -> Advice:
    """Say what one of the chosen brings; where a plan uses several they share what it saves."""
    helped, saved = [], 0.0
    for work in works:
        after, used = costs.under(work, chosen)
        before = costs.under(work, ())[0]
        if candidate in used and after < before:
            helped.append(Helped(work, before, after))
            saved += helped[-1].saved / len(used)
    made = _advice(candidate, helped, costs, total=total, confirmed=True)
    return replace(made, share=saved / total if total else 0.0)


def _advice(
    candidate: Candidate,
    helped: Sequence[Helped],
    costs: Costs,
    *,
    total: float,
    confirmed: bool,
) -> Advice:
    table = costs.tables[candidate.table]
    ordered = tuple(sorted(helped, key=lambda h: -h.saved))
    writes, hot = costs.writes(candidate)
    size = costs.size(candidate) if confirmed else estimate.size(candidate, table)
    return Advice(
        table=table,
        candidate=candidate,
        name="",
        confirmed=confirmed,
        size=size,
        share=sum(h.saved for h in ordered) / total if total else 0.0,
        helped=ordered,
        writes=writes,
        loses_hot=hot,
        redundant=tuple(naming.made_redundant(candidate, table)) if confirmed else (),
        evidence=_evidence(ordered, table, costs),
    )


def _evidence(helped: Sequence[Helped], table: Table, costs: Costs) -> str:
    """Say what is dearest on the table in the plan that gains most."""
    for one in helped:
        plan = costs.plan(one.work)
        if isinstance(plan, Plan):
            names = [name for _, name in table.leaves] or [table.name]
            return costs.planner.described(plan, plan.worst_of(names))
    return ""


def _few(advice: Sequence[Advice], limits: Limits) -> list[Advice]:
    """Keep the best of each table."""
    kept: list[Advice] = []
    for one in sorted(advice, key=lambda a: (-a.share, a.table.schema, a.table.name)):
        if sum(other.table.oid == one.table.oid for other in kept) < limits.per_table:
            kept.append(one)
    return kept


def _saved(work: Work, kept: Sequence[Advice], costs: Costs) -> float:
    before = costs.under(work, ())[0]
    confirmed = [a.candidate for a in kept if a.confirmed]
    after = costs.under(work, confirmed)[0]
    return work.weight * (1 - after / before) if 0 < after < before else 0.0


def _possible(candidate: Candidate, planner: Planner) -> bool:
    needed = candidate.needs
    return needed is None or needed in {*planner.server.extensions, *planner.server.available}


def _worth(candidate: Candidate, helped: Sequence[Helped], costs: Costs) -> bool:
    """Weigh an estimated index against its writes; GIN writes an entry for each part of a value."""
    entries = GIN_ENTRIES if candidate.method == "gin" else 1
    saved = sum(h.work.calls * (h.before - h.after) for h in helped)
    return saved >= costs.writes(candidate)[0] * WRITE_COST * entries


def _assigned(works: Iterable[Work]) -> dict[int, frozenset[str]]:
    """Return the columns that a workload assigns, by the table's oid."""
    found: dict[int, frozenset[str]] = {}
    for work in works:
        oid = work.facts.target.relid if work.facts.target else None
        if oid is not None:
            found[oid] = found.get(oid, frozenset()) | set(work.facts.assigned)
    return found
