"""Advice → names that no index has yet, and the indexes that each one makes superfluous."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pgaudit.advise.candidates import bare
from pgaudit.advise.model import Advice, Candidate
from pgaudit.postgres.relations import Index, Table

LONGEST = 63
"""Bytes of a name that PostgreSQL keeps (NAMEDATALEN - 1)."""


_OPCLASS = re.compile(r" (?:\w+_ops|DESC)$")


def named(advice: Sequence[Advice], tables: Mapping[int, Table]) -> Iterator[Advice]:
    """Yield each piece of advice with a name as PostgreSQL would choose it."""
    taken = {index.name for table in tables.values() for index in table.indexes}
    for one in advice:
        keys = [
            re.sub(r"\W+", "_", bare(_OPCLASS.sub("", key))).strip("_")
            for key in one.candidate.keys
        ]
        stem = "_".join((one.table.name, *keys))
        name, number = _cut(stem, "_idx"), 0
        while name in taken:
            number += 1
            name = _cut(stem, f"_idx{number}")
        taken.add(name)
        yield replace(one, name=name)


def made_redundant(candidate: Candidate, table: Table) -> Iterator[Index]:
    """Yield the indexes whose whole purpose a candidate would serve: those that it begins with.

    An index that enforces uniqueness, belongs to a constraint or has a predicate has another purpose.
    """
    for index in table.indexes:
        if (
            index.method == candidate.method == "btree"
            and index.plain
            and not (index.unique or index.constraint or index.predicate or candidate.predicate)
            and len(index.keys) <= len(candidate.keys)
            and all(
                bare(mine) == bare(theirs)
                for mine, theirs in zip(index.keys, candidate.keys, strict=False)
            )
            and set(index.included) <= candidate.columns
        ):
            yield index


def _cut(stem: str, end: str) -> str:
    """Shorten a name to what PostgreSQL keeps, without breaking a character."""
    kept = stem.encode()[: LONGEST - len(end)].decode("utf-8", "ignore")
    return kept + end
