"""What is true of a server, and views in one shape on every major."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from psycopg import conninfo

import postgres
from pgaudit.catalog import find
from pgaudit.errors import TargetError
from pgaudit.postgres import embedded, probe, scratch, shape
from pgaudit.postgres.standin import Surroundings, question


def test_facts(server: postgres.Server, database: str) -> None:
    with postgres.session(database, user="reader") as session:
        known = probe.probe(session, timeout=5)
    assert known.major == server.major
    assert known.version == server.version
    assert known.user == "reader"
    assert not known.superuser
    assert not known.standby
    assert {"pg_monitor", "pg_read_all_stats", "pg_read_all_settings"} <= known.memberships
    assert known.role == "primary"
    assert "pg_stat_statements" in known.available
    assert known.extensions.keys() == {"plpgsql"}
    assert known.windows["pg_stat_database"].start <= known.now


def test_rights_of_nobody(database: str) -> None:
    with postgres.session(database, user="nobody") as session:
        known = probe.probe(session, timeout=5)
    assert "pg_read_all_stats" not in known.memberships
    assert "pg_read_all_stats" in known.roles


def test_extension_in_any_schema(server: postgres.Server) -> None:
    with server.database() as made:
        scratch.run(
            made, 'CREATE SCHEMA "Odd one"; CREATE EXTENSION pg_stat_statements SCHEMA "Odd one"'
        )
        with postgres.session(made) as session:
            known = probe.probe(session, timeout=5)
            asked = question(
                "SELECT count(*) AS n FROM pg_stat_statements",
                label="test", reads=["pg_stat_statements"], parameters={},
                surroundings=Surroundings.of(known), limit=1,
            )  # fmt: skip
            assert session.ask([asked], timeout=5)[0].rows[0][0] > 0
    assert known.extensions["pg_stat_statements"].schema == "Odd one"
    assert known.windows["pg_stat_statements"].source == "reset stamp"


def test_extension_whose_library_is_not_loaded() -> None:
    with postgres.serve(postgres.wanted()[0], {"shared_preload_libraries": ""}) as bare:
        scratch.run(bare.conninfo, "CREATE EXTENSION pg_stat_statements")
        with postgres.session(bare.conninfo) as session:
            known = probe.probe(session, timeout=5)
    assert not known.extensions["pg_stat_statements"].loaded
    assert "pg_stat_statements" not in known.shapes


@pytest.fixture(scope="module")
def prepared(server: postgres.Server) -> str:
    scratch.run(
        server.conninfo,
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; CREATE EXTENSION IF NOT EXISTS pgstattuple",
    )
    return server.conninfo


def test_shapes_are_what_this_major_has(server: postgres.Server, prepared: str) -> None:
    """views.json tells each major's columns truly; if a new release adds some, this says so."""
    with postgres.session(prepared) as session:
        known = probe.probe(session, timeout=5)
    for view in shape.names():
        assert set(shape.of_major(view, server.major)) == set(known.shapes.get(view, ())), view


CALLS = {
    "pgstattuple_approx": "pgstattuple_approx('pg_class'::regclass)",
    "pgstatindex": "pgstatindex('pg_class_oid_index'::regclass)",
}
"""How functions of a relation are read."""


@pytest.mark.parametrize("view", shape.names())
def test_every_view_in_its_newest_shape(prepared: str, view: str) -> None:
    """On every major the view answers with the newest columns, and really holds what it should."""
    with postgres.session(prepared) as session:
        known = probe.probe(session, timeout=5)
        asked = question(
            f"SELECT * FROM {CALLS.get(view, view)} v", label="test", reads=[view], parameters={},
            surroundings=Surroundings.of(known), limit=5,
        )  # fmt: skip
        answer = session.ask([asked], timeout=5)[0]
    key = shape.FUNCTION_VIEWS.get(view, ())
    assert answer.columns == tuple(c for c in shape.newest(view) if c not in key)


def test_moved_counters_keep_their_values(prepared: str) -> None:
    with contextlib.closing(scratch.connect(prepared)) as admin:
        admin.execute("CHECKPOINT")
    with postgres.session(prepared) as session:
        known = probe.probe(session, timeout=5)
        asked = question(
            "SELECT num_requested FROM pg_stat_checkpointer", label="test",
            reads=["pg_stat_checkpointer"], parameters={},
            surroundings=Surroundings.of(known), limit=1,
        )  # fmt: skip
        assert session.ask([asked], timeout=5)[0].rows[0][0] >= 0


def test_canned_rows_are_typed_as_the_view(database: str) -> None:
    given = {
        "pg_stat_replication": [{"pid": 7, "replay_lag": "5 minutes", "application_name": "it's"}]
    }
    with postgres.session(database) as session:
        known = probe.probe(session, timeout=5)
        asked = question(
            "SELECT pid, extract(epoch FROM replay_lag)::int AS lag, application_name, state "
            "FROM pg_stat_replication",
            label="test", reads=["pg_stat_replication"], parameters={},
            surroundings=Surroundings.of(known, given), limit=5,
        )  # fmt: skip
        assert session.ask([asked], timeout=5)[0].rows == ((7, 300, "it's", None),)


def test_psql_runs_what_explain_prints(server: postgres.Server, prepared: str) -> None:
    from pgaudit.postgres import standin

    for check in find.checks(find.sources()):
        if check.role == "standby":
            continue  # its functions refuse to be called on a primary
        variant = check.variant(server.major)
        sql = check.queries[variant] if variant else None
        if sql:
            text = standin.for_psql(
                sql, reads=check.reads, parameters=check.parameters, major=server.major
            )
            with contextlib.closing(scratch.connect(prepared)) as admin:
                for statement in scratch.statements(text):
                    admin.execute(statement.encode())


def test_a_server_that_is_no_postgresql_says_so(database: str) -> None:
    """A role that may not even read pg_settings stands for a server that answers otherwise."""
    scratch.run(
        database, "REVOKE ALL ON FUNCTION pg_catalog.pg_postmaster_start_time() FROM PUBLIC"
    )
    with postgres.session(database, user="nobody") as session, pytest.raises(TargetError) as caught:
        probe.probe(session, timeout=5)
    assert "pg_postmaster_start_time" in (caught.value.server or "")


def test_databases_without_templates(server: postgres.Server, database: str) -> None:
    name = conninfo.conninfo_to_dict(database)["dbname"]
    with postgres.session(server.conninfo) as session:
        names = probe.databases(session, timeout=5)
    assert name in names
    assert "template0" not in names
    assert "template1" not in names


def test_relations_of_users(server: postgres.Server, database: str) -> None:
    """Nothing of the system, of an extension, of another session or of a managed service is a user's."""
    scratch.run(
        database,
        """
        CREATE TABLE mine (id int); CREATE SCHEMA auth; CREATE TABLE auth.also_mine (id int);
        CREATE TABLE member (id int); ALTER EXTENSION plpgsql ADD TABLE member;
        CREATE ROLE supabase_admin; CREATE SCHEMA storage AUTHORIZATION supabase_admin;
        CREATE TABLE storage.theirs (id int); CREATE INDEX ON mine (id);
        CREATE SCHEMA _timescaledb_internal; CREATE TABLE _timescaledb_internal.chunk (id int);
        CREATE SEQUENCE counter; CREATE VIEW shown AS SELECT 1 AS one;
        CREATE TABLE many (id int) PARTITION BY RANGE (id);
        """,
    )
    try:
        with contextlib.closing(scratch.connect(database)) as other:
            other.execute("CREATE TEMPORARY TABLE fleeting (id int)")
            names = [row[0] for row in asked(database, "SELECT relname FROM user_relation")]
    finally:
        scratch.run(database, "DROP SCHEMA storage CASCADE; DROP ROLE supabase_admin")
    assert sorted(names) == ["also_mine", "counter", "many", "mine", "shown"]


def test_whole_tables(database: str) -> None:
    """A partitioned table has what its partitions have, at whatever level; others have their own."""
    scratch.run(
        database,
        """
        CREATE TABLE plain (id int); CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id;
        CREATE TABLE parted (id int) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
        CREATE TABLE lowest PARTITION OF low FOR VALUES FROM (0) TO (5);
        CREATE TABLE lower PARTITION OF low FOR VALUES FROM (5) TO (10);
        CREATE TABLE high PARTITION OF parted DEFAULT;
        CREATE FOREIGN DATA WRAPPER away; CREATE SERVER away FOREIGN DATA WRAPPER away;
        CREATE FOREIGN TABLE remote (id int) SERVER away; CREATE VIEW seen AS SELECT 1 AS id;
        UPDATE pg_class SET reltuples = 100, relpages = 10
        WHERE  relname IN ('plain', 'lowest', 'lower', 'high', 'remote');
        UPDATE pg_class SET reltuples = 16777217 WHERE relname = 'high';
        UPDATE pg_class SET reltuples = 0, relpages = 0 WHERE relname = 'kept';
        """,
    )
    sql = """SELECT relname || ' ' || rows::bigint || ' ' || pages || ' ' || toast_pages FROM whole_table
             ORDER BY relname"""
    assert [row[0] for row in asked(database, sql, "whole_table")] == [
        "high 16777216 10 0", "kept 0 0 0", "low 200 20 0", "lower 100 10 0", "lowest 100 10 0",
        "parted 16777416 30 0", "plain 100 10 0",
    ]  # fmt: skip


@pytest.mark.ends
def test_relations_that_somebody_has_or_awaits_for_himself(server: postgres.Server) -> None:
    """Also those of a prepared transaction, which has no process; not what others only read or write."""
    names = """SELECT c.relname FROM locked_relation l JOIN pg_class c ON c.oid = l.relation
               WHERE c.relkind = 'r' ORDER BY c.relname"""
    settings = {"max_prepared_transactions": "2"}
    with embedded.throwaway(server.beside(), settings=settings) as started:
        scratch.run(
            started.conninfo,
            "CREATE TABLE awaited (id int); CREATE TABLE prepared (id int); CREATE TABLE written (id int);"
            "BEGIN; LOCK TABLE prepared; PREPARE TRANSACTION 'left'",
        )
        reading = "BEGIN; SELECT FROM awaited; INSERT INTO written VALUES (1)"
        with scratch.held(started.conninfo, [reading, "ALTER TABLE awaited ADD name text"]):
            assert asked(started.conninfo, names, "locked_relation") == (
                ("awaited",),
                ("prepared",),
            )


def test_functions_read_as_views(server: postgres.Server) -> None:
    """They measure the one relation that is asked for, and are empty without extension or right."""
    sql = "SELECT approx_tuple_count FROM pgstattuple_approx('public.t'::regclass) s"
    with server.database() as made:
        scratch.run(made, "CREATE TABLE t AS SELECT 1 AS id FROM generate_series(1, 7)")
        assert asked(made, sql, "pgstattuple_approx") == ()
        scratch.run(made, 'CREATE SCHEMA "Odd one"; CREATE EXTENSION pgstattuple SCHEMA "Odd one"')
        assert asked(made, sql, "pgstattuple_approx") == ((7.0,),)
        assert asked(made, sql, "pgstattuple_approx", user="reader") == ()
        scratch.run(made, 'GRANT USAGE ON SCHEMA "Odd one" TO PUBLIC')
        assert asked(made, sql, "pgstattuple_approx", user="reader") == ((7.0,),)
        assert asked(made, sql, "pgstattuple_approx", user="nobody") == ()


def test_who_reads_every_table_needs_no_pg_read_all_data(database: str) -> None:
    scratch.run(database, "CREATE TABLE t (id int); CREATE TABLE u (id int)")
    scratch.run(database, "GRANT SELECT ON t TO nobody")
    assert "pg_read_all_data" not in memberships(database)
    scratch.run(database, "GRANT SELECT ON u TO nobody")
    assert "pg_read_all_data" in memberships(database)


def memberships(conninfo: str) -> frozenset[str]:
    with postgres.session(conninfo, user="nobody") as session:
        return probe.probe(session, timeout=5).memberships


def asked(
    conninfo: str, sql: str, view: str = "user_relation", user: str | None = None
) -> tuple[tuple[Any, ...], ...]:
    """Ask a question as a check would, with one view among its reads."""
    with postgres.session(conninfo, user=user) as session:
        known = probe.probe(session, timeout=5)
        surroundings = Surroundings.of(known)
        one = question(
            sql, label="test", reads=[view], parameters={}, surroundings=surroundings, limit=100
        )
        return session.ask([one], timeout=5)[0].rows


def test_releases(server: postgres.Server, database: str) -> None:
    """Every supported major is in the table, no newer than the server under test, and it has a date."""
    sql = "SELECT major, newest_minor, end_of_life > first_released, as_of FROM postgresql_release"
    rows = {major: rest for major, *rest in asked(database, sql, "postgresql_release")}
    assert {14, 15, 16, 17, 18} <= rows.keys()
    assert all(later for _, later, _ in rows.values())
    assert len({as_of for *_, as_of in rows.values()}) == 1
