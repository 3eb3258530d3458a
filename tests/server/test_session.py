"""The only door: what a check's SQL cannot do to a server, and how it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

import postgres
from pgaudit.errors import QueryError, TargetError
from pgaudit.model import Parameter, Target
from pgaudit.postgres import scratch
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Question, Surroundings, question

NOTHING = Surroundings({}, {}, {})


def wrapped(sql: str, **parameters: Parameter) -> Question:
    return question(
        sql, label="test", reads=(), parameters=parameters, surroundings=NOTHING, limit=100
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1) AS x; DROP TABLE victim; SELECT * FROM (SELECT 1",
        "SELECT 1; SELECT 2",
        "WITH gone AS (DELETE FROM public.victim RETURNING *) SELECT * FROM gone",
        "DELETE FROM public.victim",
        "COPY public.victim TO STDOUT",
        "SET work_mem = '1GB'",
        "COMMIT",
        "DO $$ BEGIN DELETE FROM public.victim; END $$",
        "SELECT 1) AS x LIMIT 1; COMMIT; DELETE FROM public.victim; --",
        "SELECT public.write_it()",
        "SELECT nextval('public.numbers')",
    ],
)
def test_refuses_everything_but_one_question(database: str, sql: str) -> None:
    scratch.run(
        database,
        """CREATE TABLE victim (id int); INSERT INTO victim VALUES (1); CREATE SEQUENCE numbers;
        CREATE FUNCTION write_it() RETURNS int LANGUAGE sql AS 'DELETE FROM public.victim RETURNING id';""",
    )
    with postgres.session(database) as session:
        with pytest.raises(QueryError):
            session.ask([wrapped(sql)], timeout=5)
        # the session is whole afterwards
        assert session.ask([wrapped("SELECT 1 AS one")], timeout=5)[0].rows == ((1,),)
    with contextlib.closing(scratch.connect(database)) as admin:
        assert admin.execute("SELECT count(*) FROM victim").fetchone() == (1,)
        assert admin.execute("SELECT is_called FROM numbers").fetchone() == (False,)


def test_a_failure_is_cleared_up_in_its_own_transaction(database: str) -> None:
    """Behind a transaction pooler the next one may be on another server connection."""
    prepare = Question("PREPARE pgaudit AS SELECT 1")
    fail = Question("SELECT 1 / 0")
    undo = [Question("SELECT nothing"), Question("DEALLOCATE pgaudit")]
    with postgres.session(database) as session:
        with pytest.raises(QueryError, match="division by zero"):
            session.ask([prepare, fail], timeout=5, undo=undo)
        assert session._connection.info.transaction_status.name == "IDLE"
        left = Question("SELECT count(*) FROM pg_prepared_statements")
        assert session.ask([left], timeout=5)[0].rows == ((0,),)
        # What succeeds is not undone.
        assert session.ask([prepare, left], timeout=5, undo=undo)[1].rows == ((1,),)


def test_never_calls_look_alikes(database: str) -> None:
    scratch.run(
        database,
        """CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS $$SELECT 'stolen'$$;
        CREATE TABLE public.pg_class (relname name); CREATE VIEW public.pg_settings AS SELECT 1 AS x;
        ALTER DATABASE CURRENT SET search_path = public, pg_catalog;""".replace(
            "DATABASE CURRENT", f'DATABASE "{database.split("dbname=")[1].split()[0]}"'
        ),
    )
    with postgres.session(database) as session:
        answer = session.ask(
            [wrapped("SELECT lower('A') AS word, (SELECT count(*) > 100 FROM pg_class) AS real")],
            timeout=5,
        )[0]
    assert answer.rows == (("a", True),)


def test_cancels_what_takes_too_long(database: str) -> None:
    with postgres.session(database) as session:
        started = time.monotonic()
        with pytest.raises(QueryError) as caught:
            session.ask([wrapped("SELECT pg_sleep(20)")], timeout=0.2)
        assert caught.value.sqlstate == "57014"
        assert time.monotonic() - started < 10
        assert session.ask([wrapped("SELECT 1 AS one")], timeout=5)[0].rows == ((1,),)


def test_does_not_wait_for_an_application_s_lock(database: str) -> None:
    scratch.run(database, "CREATE TABLE busy (id int)")
    with (
        scratch.held(database, ["BEGIN; LOCK TABLE busy"]),
        postgres.session(database) as session,
        pytest.raises(QueryError) as caught,
    ):
        session.ask([wrapped("SELECT id FROM public.busy")], timeout=20)
    assert caught.value.sqlstate == "55P03"


def test_points_into_the_check_s_own_sql(database: str) -> None:
    sql = "SELECT 1 AS one,\n       %(size)s AS size,\n       no_such_column\nFROM   pg_class"
    with postgres.session(database) as session, pytest.raises(QueryError) as caught:
        session.ask([wrapped(sql, size=Parameter("size", 10, "x"))], timeout=5)
    assert caught.value.position is not None
    assert sql.replace("%(size)s", "$1::bigint")[caught.value.position - 1 :].startswith(
        "no_such_column"
    )


def test_settings_are_its_own(database: str) -> None:
    """Nothing depends on start-up options, so a transaction pooler may hand it any server session."""
    names = ("search_path", "statement_timeout", "lock_timeout", "transaction_read_only", "jit")
    shown = ", ".join(f"current_setting('{name}') AS {name}" for name in names)
    with postgres.session(database) as session:
        inside = session.ask([wrapped(f"SELECT {shown}")], timeout=3)[0].rows[0]
        outside = session._connection.execute(f"SELECT {shown}".encode()).fetchone()
        assert session._connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert inside == ("pg_catalog, pg_temp", "3s", "1s", "on", "off")
    assert outside is not None
    assert outside[:4] == ('"$user", public', "0", "0", "off")


def test_one_round_trip(database: str, tmp_path: Path) -> None:
    """Everything that a question needs is sent before anything is waited for."""
    with postgres.session(database) as session:
        connection = session._connection
        trace = tmp_path / "trace"
        with trace.open("w") as file:
            connection.pgconn.trace(file.fileno())
            session.ask([wrapped("SELECT 1 AS one")], timeout=5)
            connection.pgconn.untrace()
    directions = [line.split("\t")[1] for line in trace.read_text().splitlines() if "\t" in line]
    turns = sum(a == "F" and b == "B" for a, b in pairwise(directions))
    assert turns == 1, directions


def test_text_that_is_no_utf8(server: postgres.Server) -> None:
    name = "latin"
    with contextlib.closing(scratch.connect(server.conninfo)) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    target = server.conninfo.replace("dbname=postgres", f"dbname={name}")
    scratch.run(target, "CREATE TABLE odd (id int); COMMENT ON TABLE odd IS E'caf\\xe9'")
    with postgres.session(target) as session:
        answer = session.ask(
            [wrapped("SELECT obj_description('public.odd'::regclass) AS word")], timeout=5
        )[0]
    assert answer.rows == (("caf\\xe9",),)
    server.run(f"DROP DATABASE {name}")


def test_a_lost_connection_is_said_and_can_be_reopened(database: str) -> None:
    with postgres.session(database) as session:
        pid = session._connection.info.backend_pid
        scratch.run(database, f"SELECT pg_terminate_backend({pid})")
        time.sleep(0.1)
        with pytest.raises(QueryError) as caught:
            session.ask([wrapped("SELECT 1 AS one")], timeout=5)
        assert caught.value.lost
        session.reopen()
        assert session.ask([wrapped("SELECT 1 AS one")], timeout=5)[0].rows == ((1,),)


def test_interrupting_cancels_on_the_server(database: str) -> None:
    with postgres.session(database) as session:
        pid = session._connection.info.backend_pid
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            session.ask([wrapped("SELECT pg_sleep(30)")], timeout=60)
        with contextlib.closing(scratch.connect(database)) as admin:
            for _ in range(50):
                row = admin.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active'",
                    (pid,),
                ).fetchone()
                if row == (0,):
                    break
                time.sleep(0.1)
            assert row == (0,)


def test_cannot_connect() -> None:
    with pytest.raises(TargetError) as caught:
        Session(Target("shop", "host=/nonexistent dbname=shop"))
    assert caught.value.message == "Cannot connect to shop."
    assert caught.value.server
    assert "is it running" in (caught.value.hint or "")
