"""What the catalogs say of the tables that statements name, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type as `format_type` writes it without a modifier, and whether it can be NULL."""

    name: str
    type: str
    not_null: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: columns of the table that has it, and what they refer to, in the same order."""

    columns: tuple[str, ...]
    other: int
    other_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or materialized view; `rows` is the planner's estimate, -1 if it has none.

    `keys` are the columns of each unique index that covers all rows (no predicate, no expression),
    the primary key's first; `kind` is pg_class.relkind.
    """

    relid: int
    schema: str
    name: str
    kind: str = "r"
    rows: float = -1
    columns: Mapping[str, Column] = field(default_factory=dict)
    keys: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()


@dataclass(frozen=True)
class Schema:
    """Every relation that the statements of one database may mean.

    `paths` maps a role's OID to the schemas that an unqualified name is looked for in, in order;
    0 stands for roles that are not listed.
    """

    relations: Sequence[Relation] = ()
    paths: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def find(self, name: str, schema: str | None = None, role: int = 0) -> Relation | None:
        """Return what a role means by a name: by its search_path, else the only relation so called.

        An application may set search_path in its session, which no catalog tells; so a name that the
        path does not find and that is unique is taken for the one that it can mean.

        >>> shop = Schema([Relation(1, "app", "item"), Relation(2, "old", "item")], {0: ["app"]})
        >>> shop.find("item").relid, shop.find("item", "old").relid, shop.find("order")
        (1, 2, None)
        """
        same = self.by_name.get(name, ())
        if schema is not None:
            return next((r for r in same if r.schema == schema), None)
        for place in self.paths.get(role, self.paths.get(0, ("public",))):
            for relation in same:
                if relation.schema == place:
                    return relation
        return same[0] if len(same) == 1 else None

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Relation, ...]]:
        """The relations of each name."""
        found: dict[str, tuple[Relation, ...]] = {}
        for relation in self.relations:
            found[relation.name] = (*found.get(relation.name, ()), relation)
        return found

    @cached_property
    def by_relid(self) -> Mapping[int, Relation]:
        """The relation of each OID."""
        return {relation.relid: relation for relation in self.relations}


NOTHING = Schema()
"""A schema of which nothing is known: names stay unresolved."""
