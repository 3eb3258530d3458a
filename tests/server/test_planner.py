"""Generic plans on real servers: nothing is run, nothing is left, and nobody's code is called."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

import postgres
from pgaudit.postgres import probe, scratch
from pgaudit.postgres.folding import Untrusted
from pgaudit.postgres.genericplan import NotPlanned, Plan
from pgaudit.postgres.planner import Planner, Statement
from pgaudit.postgres.standin import Question

TABLE = """
CREATE TABLE t AS SELECT i, i % 1000 AS j, i::text AS k FROM generate_series(1, 20000) AS i;
CREATE INDEX tj ON t (j);
ANALYZE t;
"""
CREATE = "CREATE INDEX ON public.t (k, i)"


@contextlib.contextmanager
def planner(conninfo: str, user: str | None = None) -> Iterator[Planner]:
    with postgres.session(conninfo, user=user) as session:
        yield Planner(session, probe.probe(session, timeout=10))


def cost(plan: Plan | NotPlanned) -> float:
    assert isinstance(plan, Plan), plan
    return plan.cost


def left(asked: Planner) -> tuple[int, ...]:
    """Count what a failure could leave in the server process."""
    questions = [Question("SELECT count(*) FROM pg_prepared_statements")]
    if asked.confirms:
        schema = asked.server.extensions["hypopg"].schema
        questions.append(Question(f"SELECT count(*) FROM {schema}.hypopg()"))
    return tuple(answer.rows[0][0] for answer in asked.session.ask(questions, timeout=5))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM t WHERE k = $1 ORDER BY i LIMIT $2",
        "UPDATE t SET k = $1 WHERE i = $2",
        "DELETE FROM t WHERE i IN ($1 /*, ... */)",
        "SELECT * FROM t WHERE k = any($1) /* $7 */ FOR UPDATE",
        "SELECT date $1 - interval $2 day, extract($3 from now()) FROM t WHERE k = $4 LIMIT $5",
        "SELECT timestamp with time zone $1, timestamp(3) $2, time $3, interval $4 second(3), "
        "now() AT TIME ZONE $5 FROM t WHERE k = $6",
    ],
)
def test_plans_without_running(database: str, text: str) -> None:
    scratch.run(database, TABLE)
    with planner(database) as asked:
        plan = asked.plan(Statement(text))
        assert isinstance(plan, Plan)
        assert (plan.worst.kind, plan.worst.relation) == ("Seq Scan", "t")
        assert left(asked)[0] == 0
    with contextlib.closing(scratch.connect(database)) as admin:
        assert admin.execute("SELECT count(*), count(DISTINCT k) FROM t").fetchone() == (
            20000,
            20000,
        )


def test_the_plan_is_the_application_s(database: str) -> None:
    """Our session forbids nested loops; the plan must not show that."""
    scratch.run(database, TABLE)
    with planner(database) as asked:
        plan = asked.plan(
            Statement("SELECT * FROM t a JOIN t b ON b.j = a.i WHERE a.i = $1 AND a.j = $2")
        )
        assert isinstance(plan, Plan)
        assert "Nested Loop" in {node.kind for node in plan.nodes}
        assert plan.indexes == {("public", "tj")}


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT * FROM t WHERE k = interval $1", "42883"),
        ("SELECT 1; DROP TABLE t", "42601"),
        ("VACUUM t", "42601"),
        ("<insufficient privilege>", "42601"),
        ("SELECT * FROM t WHERE", "42601"),
    ],
)
def test_what_cannot_be_planned_is_a_fact(database: str, text: str, sqlstate: str) -> None:
    scratch.run(database, TABLE)
    with planner(database) as asked:
        refused = asked.plan(Statement(text))
        assert isinstance(refused, NotPlanned)
        assert refused.sqlstate == sqlstate
        assert cost(asked.plan(Statement("SELECT * FROM t"))) > 0


def test_a_missing_right_is_a_fact_and_leaves_nothing(database: str) -> None:
    scratch.run(database, TABLE)
    with planner(database, user="reader") as asked:
        refused = asked.plan(Statement("SELECT * FROM t WHERE k = $1"))
        assert isinstance(refused, NotPlanned)
        assert refused.sqlstate == "42501"
        assert left(asked)[0] == 0


def test_names_are_resolved_by_the_given_search_path(database: str) -> None:
    scratch.run(database, "CREATE SCHEMA app; CREATE TABLE app.hidden (a int)")
    with planner(database) as asked:
        assert isinstance(asked.plan(Statement("SELECT * FROM hidden")), NotPlanned)
        assert isinstance(asked.plan(Statement("SELECT * FROM hidden", "app")), Plan)


def test_indexes_are_supposed_and_never_made(server: postgres.Server, database: str) -> None:
    if not postgres.has_hypopg(server):
        pytest.skip(f"HypoPG is not to be had for PostgreSQL {server.major}")
    scratch.run(database, TABLE + "CREATE SCHEMA x; CREATE EXTENSION hypopg SCHEMA x")
    statements = [
        Statement("SELECT * FROM t WHERE k = $1 ORDER BY i LIMIT $2"),
        Statement("SELECT * FROM nowhere"),
        Statement("SELECT * FROM t WHERE j = $1"),
    ]
    with planner(database) as asked:
        assert asked.confirms
        made = asked.index(CREATE)
        assert made is not None
        assert made.size > 100_000
        assert asked.index("CREATE INDEX ON public.t USING gin (k)") is None
        supposed = asked.supposing(statements, [CREATE, "CREATE INDEX ON public.t (nothing)"])
        plans = supposed.plans
        assert isinstance(plans[0], Plan)
        assert plans[0].indexes == {("public", supposed.names[CREATE])}
        assert cost(plans[0]) < cost(asked.plan(statements[0])) / 10
        assert isinstance(plans[1], NotPlanned)
        assert cost(plans[2]) == cost(asked.plan(statements[2]))
        assert left(asked) == (0, 0)
        if asked.hides:
            hidden = asked.session.ask(
                [Question("SELECT 'public.tj'::regclass::oid::bigint")], timeout=5
            )[0].rows[0][0]
            without = asked.supposing(statements[2:], [], [hidden]).plans
            assert cost(without[0]) > cost(plans[2])
            assert cost(asked.supposing(statements[2:], []).plans[0]) == cost(plans[2])


def test_statements_texts_do_not_fill_pg_stat_statements(database: str) -> None:
    scratch.run(database, TABLE + "CREATE EXTENSION pg_stat_statements")
    with planner(database) as asked:
        for column in "ijk":
            asked.plan(Statement(f"SELECT {column} FROM t WHERE {column} = $1"))
    with contextlib.closing(scratch.connect(database)) as admin:
        sql = """SELECT count(*) FROM pg_stat_statements
                 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND query ~ '(FROM t WHERE|EXECUTE pgaudit)'"""
        assert admin.execute(sql).fetchone() == (1,)


def test_code_of_others_is_told_from_trusted_code(database: str) -> None:
    scratch.run(
        database,
        """
        CREATE FUNCTION theirs(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
        CREATE OPERATOR @@@@ (FUNCTION = theirs, RIGHTARG = int);
        CREATE TABLE plain (a int DEFAULT 1, b text);
        CREATE INDEX ON plain (lower(b)) WHERE a > 0;
        CREATE TABLE indexed (a int);
        CREATE INDEX ON indexed (theirs(a));
        CREATE VIEW seen AS SELECT theirs(1) FROM plain;
        CREATE VIEW above AS SELECT * FROM seen, plain;
        CREATE VIEW harmless AS SELECT * FROM plain;
        CREATE TABLE parted (a int) PARTITION BY LIST (a);
        CREATE TABLE part PARTITION OF parted (CHECK (theirs(a) > 0)) DEFAULT;
        """,
    )
    with contextlib.closing(scratch.connect(database)) as admin:
        rows = admin.execute(
            "SELECT relname::text, oid FROM pg_class "
            "WHERE relkind <> 'i' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
    oids = {str(name): int(oid) for name, oid in rows}
    with postgres.session(database) as session:
        untrusted = Untrusted(
            session, relations=oids.values(), functions=["theirs", "lower"], operators=["@@@@", "="],
            timeout=5,
        )  # fmt: skip

    def refused(relation: str | None = None, function: str = "lower", operator: str = "=") -> bool:
        relations = [oids[relation]] if relation else []
        reason = untrusted.why_not(relations=relations, functions=[function], operators=[operator])
        return reason is not None

    assert refused(function="theirs")
    assert refused(operator="@@@@")
    assert {name for name in oids if refused(name)} == {
        "indexed", "seen", "above", "parted", "part",
    }  # fmt: skip
