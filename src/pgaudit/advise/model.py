"""What index advice is made of: the workload, candidates, and the advice itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pgaudit import quote
from pgaudit.postgres import planner
from pgaudit.postgres.relations import Index, Table
from pgaudit.statements.facts import Statement

_PLAIN = re.compile(r'"([a-z_][a-z0-9_]*)"')


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that might help. Keys and predicate are SQL, columns quoted already.

    `columns` are the names of all columns that it holds, an update of which has to write it too;
    `needs` is the extension that its operator class comes from. `certain` is False where it holds an
    expression that the server may refuse, because it is not immutable.
    """

    table: int
    keys: tuple[str, ...]
    columns: frozenset[str]
    method: str = "btree"
    included: tuple[str, ...] = ()
    predicate: str | None = None
    needs: str | None = None
    certain: bool = True

    def definition(self, schema: str, name: str) -> str:
        """Write the CREATE INDEX on a table, without CONCURRENTLY and without a name.

        >>> Candidate(1, ('"a"', 'lower("b")'), frozenset({"a", "b"}),
        ...           predicate='"c" IS NULL').definition("public", "t")
        'CREATE INDEX ON "public"."t" ("a", lower("b")) WHERE "c" IS NULL'
        """
        using = "" if self.method == "btree" else f" USING {self.method}"
        held = f" INCLUDE ({', '.join(self.included)})" if self.included else ""
        where = f" WHERE {self.predicate}" if self.predicate else ""
        on = quote.qualified((schema, name))
        return f"CREATE INDEX ON {on}{using} ({', '.join(self.keys)}){held}{where}"


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """A statement of the workload: its facts, how it is planned, and how much it matters.

    `weight` is its total time in milliseconds where that is known, else the planner's cost; `rows`
    are what its calls returned or wrote in sum.
    """

    facts: Statement
    asked: planner.Statement
    queryid: str | None = None
    calls: int = 1
    weight: float = 0.0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Helped:
    """A statement that an index helps: the planner's cost before and after, of one call.

    `saved` is the part of the statement's weight that goes away.
    """

    work: Work
    before: float
    after: float

    @property
    def saved(self) -> float:
        """What the statement's weight goes down by."""
        return self.work.weight * (1 - self.after / self.before) if self.before > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Advice:
    """One index worth making.

    `confirmed` says that the planner used it, supposed, in every statement under `helped`; without
    it costs are estimates from statistics. `share` is the part of the whole workload's weight that
    it saves, 0 to 1; `writes` counts the rows written that would have to be written here too;
    `redundant` are indexes that it makes superfluous, and `sql` creates it.
    """

    table: Table
    candidate: Candidate
    name: str
    confirmed: bool
    size: int
    share: float
    helped: tuple[Helped, ...]
    writes: int
    loses_hot: int
    redundant: tuple[Index, ...]
    evidence: str

    @property
    def keys(self) -> str:
        """What stands after the table in its definition, for people."""
        made = self.candidate.definition(self.table.schema, self.table.name)
        on = quote.qualified((self.table.schema, self.table.name))
        return _PLAIN.sub(r"\1", made.removeprefix(f"CREATE INDEX ON {on} "))

    @property
    def sql(self) -> str:
        """The statement that creates it without blocking writes."""
        made = self.candidate.definition(self.table.schema, self.table.name)
        # A partitioned table's index cannot be made concurrently.
        how = "" if self.table.partitioned else " CONCURRENTLY"
        return made.replace(
            "CREATE INDEX ON", f"CREATE INDEX{how} {quote.identifier(self.name)} ON", 1
        )


@dataclass(frozen=True, slots=True)
class Advised:
    """The advice for one database, dearest first, and what it rests on.

    `statements` were looked at, of which `planned` have a generic plan; `reasons` counts why the
    others have none. `before` and `after` are the workload's weight without and with the advice;
    `unit` is what weights are counted in, `ms` or the planner's `cost`; `unconfirmed` says why the
    planner was not asked about supposed indexes, if it was not. `hidden` of the statements belong to
    others, whose texts `role`, who asked, may not read.
    """

    advice: tuple[Advice, ...]
    statements: int
    planned: int
    reasons: Mapping[str, int]
    before: float
    after: float
    unconfirmed: str | None
    unit: str = "ms"
    hidden: int = 0
    role: str = ""

    @property
    def grant(self) -> str:
        """The statement that lets the role read what is hidden."""
        return f"GRANT pg_read_all_stats TO {quote.identifier(self.role)}"

    @property
    def unread(self) -> bool:
        """Whether there are statements, and none could be read."""
        return 0 < self.hidden == self.statements
