"""The small shop that the examples of patterns read."""

from __future__ import annotations

from pgaudit.statements.facts import Statement
from pgaudit.statements.read import statement
from pgaudit.statements.schema import Column, ForeignKey, Relation, Schema


def _columns(**types: str) -> dict[str, Column]:
    return {name: Column(name, kind) for name, kind in types.items()}


SHOP = Schema(
    (
        Relation(
            1,
            "public",
            "customer",
            columns=_columns(id="integer", name="text", code="character", since="date"),
            keys=(("id",),),
        ),
        Relation(
            2,
            "public",
            "purchase",
            columns=_columns(
                id="bigint", customer_id="integer", note="text", total="numeric", tags="jsonb"
            ),
            keys=(("id",),),
            foreign_keys=(ForeignKey(("customer_id",), 1, ("id",)),),
        ),
    )
)


def example(text: str) -> Statement:
    """Read a statement about the shop."""
    return statement(text, SHOP)
