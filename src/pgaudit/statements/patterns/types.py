"""Two types that are compared → whether the first is cast, so that an index of it is of no use."""

from __future__ import annotations

# Types that one operator family of B-tree compares with each other as they are, or that need no work to
# become one another. https://www.postgresql.org/docs/current/btree.html#BTREE-BEHAVIOR (pg_opfamily)
_FAMILIES = (
    frozenset(("smallint", "integer", "bigint")),
    frozenset(("real", "double precision")),
    frozenset(("text", "character varying", "name", '"char"')),
    frozenset(("date", "timestamp without time zone", "timestamp with time zone")),
    frozenset(("inet", "cidr")),
    frozenset(("bit", "bit varying")),
)

# Where families differ, the type that comes later in its row is what the other is cast to.
_CHAINS = (
    ("smallint", "integer", "bigint", "numeric", "real", "double precision"),
    ("character", "text"),
    ("character", "character varying"),
    ("citext", "text"),
    ("citext", "character varying"),
)


def casts(column: str, other: str) -> bool:
    """Say whether comparing a column with another type casts the column, or casts it at all explicitly.

    Types that are not known here are taken to be no trouble, so that nothing is reported by mistake.

    >>> casts("integer", "numeric"), casts("numeric", "integer"), casts("integer", "bigint")
    (True, False, False)
    >>> casts("public.citext", "text"), casts("bigint", "text"), casts("text", "name")
    (True, True, False)
    """
    column, other = column.rpartition(".")[2], other.rpartition(".")[2]
    if column == other or any({column, other} <= family for family in _FAMILIES):
        return False
    for chain in _CHAINS:
        if column in chain and other in chain:
            return chain.index(other) > chain.index(column)
    # What no operator compares has to have been cast in so many words.
    return other in ("text", "character varying", "date", "integer", "bigint", "numeric", "uuid")
