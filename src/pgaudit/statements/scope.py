"""Which table a column's name means: the tables of a query block, then those of the blocks around it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgaudit.statements.facts import Table


@dataclass(slots=True)
class Scope:
    """The names that a block can see; `withs` are the WITH queries, which hide tables of that name."""

    block: int
    tables: list[Table]
    parent: Scope | None = None
    withs: frozenset[str] = frozenset()
    places: list[int] = field(default_factory=list)

    def find(self, names: list[str]) -> int | None:
        """Return the place of the table that a column reference means, or None if that is not certain."""
        scope: Scope | None = self
        while scope is not None:
            found = scope._own(names)
            if found is not None:
                return found if found >= 0 else None
            scope = scope.parent
        return None

    def _own(self, names: list[str]) -> int | None:
        """Return a place, -1 where it stands here but cannot be told of which table, None if not here."""
        if len(names) > 1:
            for place in self.places:
                if self.tables[place].alias == names[-2]:
                    return place
            return None
        return self._unqualified(names[-1])

    def _unqualified(self, column: str) -> int | None:
        known = [
            p for p in self.places
            if (relation := self.tables[p].relation) and column in relation.columns
        ]  # fmt: skip
        if len(known) == 1:
            return known[0]
        unknown = [p for p in self.places if self.tables[p].relation is None]
        if known or len(unknown) > 1:
            return -1
        return unknown[0] if unknown else None
