"""Candidates under the planner → the cost of each statement with and without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pgaudit.advise.model import Candidate, Work
from pgaudit.postgres.genericplan import NotPlanned, Plan
from pgaudit.postgres.planner import Planner
from pgaudit.postgres.relations import Table


@dataclass(slots=True)
class Costs:
    """The planner's answers, each asked for once."""

    planner: Planner
    tables: Mapping[int, Table]
    works: Sequence[Work] = ()
    known: dict[tuple[Work, frozenset[Candidate]], tuple[float, frozenset[Candidate]]] = field(
        default_factory=dict
    )

    def plan(self, work: Work) -> Plan | NotPlanned:
        """Return the plan as the database is."""
        return self.planner.plan(work.asked)

    def size(self, candidate: Candidate) -> int:
        """Return how large HypoPG says an index would be, in bytes; 0 where it refuses it."""
        made = (self.planner.index(d) for d in self.definitions(candidate))
        return sum(index.size for index in made if index is not None)

    def definitions(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the CREATE INDEX statements: one, or one for each partition that holds rows."""
        table = self.tables[candidate.table]
        places = table.leaves if table.partitioned else ((table.schema, table.name),)
        return tuple(candidate.definition(schema, name) for schema, name in places)

    def under(
        self, work: Work, candidates: Iterable[Candidate]
    ) -> tuple[float, frozenset[Candidate]]:
        """Return a statement's cost if these existed, and those that its plan then uses.

        Indexes on tables that the statement does not name are left out of the question.
        """
        named = {table.relid for table in work.facts.tables}
        there = frozenset(c for c in candidates if c.table in named)
        if (work, there) not in self.known:
            self.known[work, there] = self._asked(work, there)
        return self.known[work, there]

    def writes(self, candidate: Candidate) -> tuple[int, int]:
        """Return the rows whose writing would write this index too, and updates that cease to be HOT.

        An update of one of its columns writes a new entry, and is no longer heap-only; any other update
        does so only where it was not heap-only before.
        """
        table = self.tables[candidate.table]
        entries, hot = 0.0, 0.0
        for work in self.works:
            target = work.facts.target
            if target is None or target.relid != table.oid:
                continue
            if work.facts.kind in ("insert", "merge"):
                entries += work.rows
            if work.facts.assigned:
                if candidate.columns & set(work.facts.assigned):
                    entries += work.rows
                    hot += work.rows * table.hot
                else:
                    entries += work.rows * (1 - table.hot)
        return round(entries), round(hot)

    def _asked(
        self, work: Work, candidates: frozenset[Candidate]
    ) -> tuple[float, frozenset[Candidate]]:
        if not candidates:
            plan = self.plan(work)
            return (plan.cost if isinstance(plan, Plan) else 0.0), frozenset()
        # Always in one order, so that the same question is the same question.
        ordered = sorted(candidates, key=lambda c: (c.table, c.keys, c.method, c.predicate or ""))
        definitions = {d: c for c in ordered for d in self.definitions(c)}
        supposed = self.planner.supposing([work.asked], list(definitions))
        plan = supposed.plans[0]
        if isinstance(plan, NotPlanned):
            return self._asked(work, frozenset())
        named = {name for _, name in plan.indexes}
        used = frozenset(definitions[d] for d, name in supposed.names.items() if name in named)
        return plan.cost, used
