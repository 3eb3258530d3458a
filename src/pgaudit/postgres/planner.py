"""Normalised statements → generic plans, without running any, with indexes that do not exist.

A plan is asked for with PREPARE under plan_cache_mode = force_generic_plan and EXPLAIN EXECUTE, on
every major: EXPLAIN (GENERIC_PLAN) of PostgreSQL 16 would need the parameters bound in the extended
protocol, whose NULLs the planner then folds into the plan, and would leave each statement's text in
pg_stat_statements, where PREPARE leaves none.

Everything happens in a read-only transaction with its timeouts. EXPLAIN takes the locks that running
the statement would take, and lets go of them at once. Hypothetical indexes live in the memory of the
server process; they are dropped in the same transaction, and so is the prepared statement, also where
planning failed, so that none is left to a pooler's next client.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgaudit import quote
from pgaudit.errors import QueryError
from pgaudit.model import Server
from pgaudit.postgres import genericplan, plannable
from pgaudit.postgres.genericplan import Node, NotPlanned, Plan
from pgaudit.postgres.session import Answer, Session
from pgaudit.postgres.standin import Question

EXTENSION = "hypopg"
NAME = "pgaudit"
"""What a statement is prepared as; pg_stat_statements tells EXPLAIN EXECUTE apart by this name."""

# Our own session forbids nested loops and parallel workers, which would make other plans than the
# application's; so each of the planner's settings is what a new session of this role would have. The
# search_path may already be an application's here, so nothing is left to it.
_SETTINGS = """
SELECT /* pgaudit: planner */
       pg_catalog.set_config('search_path'::pg_catalog.text, $1::pg_catalog.text, true),
       pg_catalog.set_config('plan_cache_mode'::pg_catalog.text,
                             'force_generic_plan'::pg_catalog.text, true),
       (SELECT pg_catalog.count(pg_catalog.set_config(s.name, s.reset_val, true))
        FROM   pg_catalog.pg_settings s
        WHERE  s.name OPERATOR(pg_catalog.=)
               ANY ('{enable_nestloop,max_parallel_workers_per_gather}'::pg_catalog.text[]))
"""


PATIENCE = 3
"""Statements that may run into a timeout before no more are asked about."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What is to be planned: the text with `$n`, and the search_path that resolves its names.

    `limit` is how many rows a `LIMIT $n` is taken for; without it the planner assumes a tenth of all.
    """

    text: str
    search_path: str = '"$user", public'
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Hypothetical:
    """An index that does not exist: the name that plans give it, and how large it would be."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Supposed:
    """Plans under supposed indexes, one for each statement, and the name of each index in them.

    An index that HypoPG refuses has no name.
    """

    plans: tuple[Plan | NotPlanned, ...]
    names: Mapping[str, str]


@dataclass(slots=True)
class Planner:
    """Asks one database's planner; `timeout` is in seconds, for each statement."""

    session: Session
    server: Server
    timeout: float = 5.0
    _waited: int = 0
    _plans: dict[Statement, Plan | NotPlanned] = field(default_factory=dict)
    _indexes: dict[str, Hypothetical | None] = field(default_factory=dict)

    @property
    def confirms(self) -> bool:
        """Whether indexes can be supposed here: HypoPG is in this database and may be used."""
        extension = self.server.extensions.get(EXTENSION)
        return extension is not None and extension.usable

    @property
    def hides(self) -> bool:
        """Whether HypoPG is new enough (1.4) to hide indexes that exist."""
        extension = self.server.extensions.get(EXTENSION)
        return self.confirms and extension is not None and _version(extension.version) >= (1, 4)

    def plan(self, statement: Statement) -> Plan | NotPlanned:
        """Return the generic plan of a statement as the database is; asked once, then remembered.

        Raises QueryError only if the connection was lost.
        """
        if statement not in self._plans:
            self._plans[statement] = self._one(statement, (), ()).plans[0]
        return self._plans[statement]

    def described(self, plan: Plan, node: Node | None = None) -> str:
        """Say in words what a plan's dearest node is, or another."""
        # pg_settings gives it in kB.
        memory = int(self.server.settings.get("work_mem", "4096")) * 1024
        return genericplan.described(plan, work_memory=memory, node=node)

    def supposing(
        self,
        statements: Sequence[Statement],
        definitions: Sequence[str],
        hidden: Sequence[int] = (),
    ) -> Supposed:
        """Return the plans as they would be with the indexes of `definitions` and without `hidden`.

        `definitions` are CREATE INDEX statements, of which those that HypoPG refuses are left out;
        `hidden` are oids of indexes that exist. Raises QueryError only if the connection was lost.
        """
        kept = [d for d in definitions if self.index(d) is not None]
        try:
            return self._ask(statements, kept, hidden)
        except QueryError as error:
            if error.lost:
                raise
        asked = [self._one(statement, kept, hidden) for statement in statements]
        plans = tuple(plan for one in asked for plan in one.plans)
        names = {definition: name for one in asked for definition, name in one.names.items()}
        return Supposed(plans, names)

    def index(self, definition: str) -> Hypothetical | None:
        """Return what HypoPG makes of a CREATE INDEX, None where it refuses; asked once.

        Raises QueryError only if the connection was lost.
        """
        if definition not in self._indexes:
            reset, create = self._hypopg("hypopg_reset()"), self._creation(definition)
            try:
                row = self._asked([_settings(""), reset, create, reset])[2]
                self._indexes[definition] = Hypothetical(str(row.rows[0][0]), int(row.rows[0][1]))
            except QueryError as error:
                if error.lost:
                    raise
                self._indexes[definition] = None
        return self._indexes[definition]

    def _one(
        self, statement: Statement, definitions: Sequence[str], hidden: Sequence[int]
    ) -> Supposed:
        if self._waited >= PATIENCE:
            return Supposed(
                (NotPlanned("too many statements before it could not be planned in time"),), {}
            )
        try:
            return self._ask([statement], definitions, hidden)
        except QueryError as error:
            if error.lost:
                raise
            # Lock and statement timeouts: who locks one table holds up all statements on it.
            self._waited += error.sqlstate in ("55P03", "57014")
            return Supposed((NotPlanned(error.message, error.sqlstate),), {})

    def _ask(
        self, statements: Sequence[Statement], definitions: Sequence[str], hidden: Sequence[int]
    ) -> Supposed:
        """Ask for all plans in one transaction and one round trip."""
        clear = self._clear(made=bool(definitions or hidden), hidden=bool(hidden))
        questions = [_settings(""), *clear]
        first = len(questions)
        questions += map(self._creation, definitions)
        questions += [self._hypopg("hypopg_hide_index($1)", oid) for oid in hidden]
        places = []
        for statement in statements:
            text, parameters = plannable.prepared(NAME, statement.text, statement.limit)
            questions += [_settings(statement.search_path), Question(text)]
            places.append(len(questions))
            executed = f"EXECUTE {NAME}"
            if parameters:
                executed += f"({', '.join(['NULL'] * parameters)})"
            questions += [Question(f"EXPLAIN (VERBOSE, FORMAT JSON) {executed}"), _DEALLOCATE]
        questions += clear
        answers = self._asked(questions)
        made = answers[first : first + len(definitions)]
        return Supposed(
            tuple(genericplan.read(answers[place].rows[0][0]) for place in places),
            {d: str(answer.rows[0][0]) for d, answer in zip(definitions, made, strict=True)},
        )

    def _creation(self, definition: str) -> Question:
        schema = quote.identifier(self.server.extensions[EXTENSION].schema)
        return Question(
            f"SELECT /* pgaudit: hypopg */ indexname, {schema}.hypopg_relation_size(indexrelid) "
            f"FROM {schema}.hypopg_create_index($1)",
            (definition,),
        )

    def _hypopg(self, call: str, *parameters: object) -> Question:
        schema = quote.identifier(self.server.extensions[EXTENSION].schema)
        return Question(f"SELECT /* pgaudit: hypopg */ {schema}.{call}", parameters)

    def _asked(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask; where that fails clear prepared statements and HypoPG, which no rollback does."""
        undo = [_DEALLOCATE, *self._clear(made=self.confirms, hidden=self.hides)]
        return self.session.ask(questions, timeout=self.timeout, undo=undo)

    def _clear(self, *, made: bool, hidden: bool) -> list[Question]:
        """Return what makes HypoPG forget the indexes that it made, and show those that it hid."""
        calls = ["hypopg_reset()"] * made + ["hypopg_unhide_all_indexes()"] * hidden
        return [self._hypopg(call) for call in calls]


_DEALLOCATE = Question(f"DEALLOCATE {NAME}")


def _settings(search_path: str) -> Question:
    return Question(_SETTINGS, (search_path,))


def _version(text: str) -> tuple[int, ...]:
    """Read an extension's version.

    >>> _version("1.4.4"), _version("1.3")
    ((1, 4, 4), (1, 3))
    """
    return tuple(int(part) for part in re.findall(r"\d+", text))
