"""Patterns of what a statement assigns."""

from __future__ import annotations

from collections.abc import Iterator

from pgaudit.statements.facts import Statement
from pgaudit.statements.patterns.match import Match, once, ours


def assigned_column(statement: Statement) -> Iterator[Match]:
    """Find each column that an UPDATE, an ON CONFLICT or a MERGE sets, with how many it sets in all.

    >>> from pgaudit.statements.patterns.example import example
    >>> text = "UPDATE purchase p SET note = $1, total = p.total + $2 WHERE id = $3"
    >>> [(m.relid, m.column, m.number) for m in assigned_column(example(text))]
    [(2, 'note', 2), (2, 'total', 2)]
    >>> text = "INSERT INTO customer VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name"
    >>> [(m.column, m.expression) for m in assigned_column(example(text))]
    [('name', 'INSERT')]
    >>> list(assigned_column(example("INSERT INTO purchase (note) VALUES ($1)")))
    []
    """
    target = statement.target
    if target is not None and ours(target):
        number = len(set(statement.assigned))
        yield from once(
            Match(target.relid, column, expression=statement.verb, number=number)
            for column in statement.assigned
        )
