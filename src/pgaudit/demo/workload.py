"""Run the fleet's traffic against an unwell database, then hold its stuck sessions open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from psycopg import Connection, errors

from pgaudit.demo.crew import Crew, crew
from pgaudit.demo.stuck import FREE_SLOTS, POOL, POOL_MOST, POOL_SHARE, STUCK, Stuck
from pgaudit.demo.traffic import FLEET, Program
from pgaudit.postgres.scratch import connect

_PATIENCE = 10.0
"""Seconds that a session gets to reach the state in which it is to be held."""


def spoil(conninfo: str) -> None:
    """Leave the invalid index of a failed CREATE UNIQUE INDEX CONCURRENTLY (invalid-index).

    Two addresses differ only in case, so the build fails at its end. An index that is already there
    is left alone.
    """
    with (
        connect(conninfo, application_name="shop-migrate") as connection,
        suppress(errors.UniqueViolation),
    ):
        connection.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_lower_email_key"
            " ON users (lower(email))"
        )


def traffic(conninfo: str, seconds: float) -> None:
    """Run the whole fleet for `seconds`, one thread and one connection each, then end it.

    Each program may finish the round that it is in, which takes some tenths of a second more: a
    statement that is cancelled leaves nothing in pg_stat_statements.
    Raises the first psycopg.Error that a program met.
    """
    with crew(conninfo) as members:
        for program in FLEET:
            connection = members.open(program.application_name)
            members.start(partial(_drive, members, program, connection), connection)
        members.stop.wait(seconds)
        members.finish()
    members.check()


def _drive(members: Crew, program: Program, connection: Connection[Any]) -> None:
    for statement in program.prepare:
        connection.execute(statement.encode())
    turn = 0
    while not members.stop.is_set():
        program.visit(connection, turn)
        turn += 1
        members.stop.wait(program.pause)


@contextmanager
def held(conninfo: str) -> Iterator[None]:
    """Hold a lock queue, idle transactions, an endless statement and a full pool open.

    Every session is in its state when the body begins, and is gone when it has ended.
    Raises TimeoutError when one does not get there; psycopg.Error passes through.
    """
    with crew(conninfo) as members, connect(conninfo, application_name="pgaudit-demo") as watcher:
        for stuck in STUCK:
            _hold(members, watcher, stuck)
        _fill_pool(members, watcher)
        watcher.close()
        yield


def _hold(members: Crew, watcher: Connection[Any], stuck: Stuck) -> None:
    connection = members.open(stuck.application_name, autocommit=False)
    members.start(partial(_run, connection, stuck.statements), connection)
    question = (
        f"SELECT {stuck.until.value} FROM pg_stat_activity a WHERE a.pid = %s AND a.query = %s"
    ).encode()
    last = stuck.statements[-1]
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        members.check()
        if watcher.execute(question, [connection.info.backend_pid, last]).fetchone() == (True,):
            return
        time.sleep(0.01)
    raise TimeoutError(f"{stuck.application_name} is not yet {stuck.until.name.lower()}")


def _run(connection: Connection[Any], statements: tuple[str, ...]) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def _fill_pool(members: Crew, watcher: Connection[Any]) -> None:
    row = watcher.execute(FREE_SLOTS.encode()).fetchone()
    ordinary, used = row if row else (0, 0)
    for _ in range(min(int(ordinary * POOL_SHARE) + 1 - used, POOL_MOST)):
        members.open(POOL).execute("SELECT 1")


@contextmanager
def workload(conninfo: str, seconds: float) -> Iterator[None]:
    """Run traffic for `seconds`, then hold the stuck sessions open while the body runs.

    On exit, also by an exception or Ctrl-C, all threads have ended and all connections are closed.
    """
    spoil(conninfo)
    traffic(conninfo, seconds)
    with held(conninfo):
        yield
