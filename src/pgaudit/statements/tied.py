"""Whether the tables of a block hang together, or multiply each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pgaudit.statements.conditions import Clauses
from pgaudit.statements.facts import Table


def apart(places: Sequence[int], tables: Sequence[Table], clauses: Clauses) -> tuple[int, ...]:
    """Return the tables of a block that nothing ties to its first; any are a Cartesian product.

    What was asked for in so many words (CROSS JOIN, ON true), a set-returning function and a LATERAL
    sub-query count as tied, and so do tables whose columns equal the same parameter.
    """
    if len(places) < 2:
        return ()
    # A table of a sub-query that is tied to two around it ties those.
    group = {place: place for place in range(len(tables))}

    def find(place: int) -> int:
        while group[place] != place:
            place = group[place]
        return place

    def tie(one: int, other: int) -> None:
        if one in group and other in group:
            group[find(one)] = find(other)

    for one, other in clauses.ties:
        tie(one, other)
    for one, other in itertools.pairwise(places):
        if tables[other].how in ("cross", "natural", "using", "lateral") or (
            tables[one].how == "lateral"
        ):
            tie(one, other)
    pinned: dict[int, int] = {}
    for condition in clauses.conditions:
        number, place = condition.right.parameter, condition.left.table
        if number and place in group and condition.operator == "=" and condition.group == 0:
            tie(pinned.setdefault(number, place), place)
    return tuple(place for place in places if find(place) != find(places[0]))
