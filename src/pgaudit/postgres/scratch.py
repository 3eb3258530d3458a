"""Connections to throwaway servers, for the demo and for proofs: nothing is read-only here."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import conninfo as libpq
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

from pgaudit import quote

Connection = psycopg.Connection[TupleRow]

_STATEMENT_PART = re.compile(
    r"""--[^\n]*            # a comment to the end of the line
      | /\*.*?\*/           # a comment in brackets
      | '(?:[^']|'')*'      # a literal
      | "(?:[^"]|"")*"      # an identifier
      | (\$\w*\$).*?\1      # a dollar-quoted body
      | ;                   # the end of a statement
      | [^;'"$/-]+ | .      # anything else
    """,
    re.DOTALL | re.VERBOSE,
)
_SETTLE_SECONDS = 3.0


def connect(
    conninfo: str, *, application_name: str = "pgaudit proof", autocommit: bool = True
) -> Connection:
    """Open a connection. psycopg.Error passes through."""
    return psycopg.connect(conninfo, application_name=application_name, autocommit=autocommit)


def statements(script: str) -> list[str]:
    """Split a script at the semicolons that end statements.

    >>> statements("SELECT ';'; DO $$ BEGIN; END $$; -- done;")
    ["SELECT ';'", 'DO $$ BEGIN; END $$']
    """
    split, current = [], ""
    for part in _STATEMENT_PART.finditer(script):
        if part[0] == ";":
            split.append(current)
            current = ""
        else:
            current += part[0]
    split.append(current)
    return [text.strip() for text in split if _says_something(text)]


def _says_something(text: str) -> bool:
    return bool(re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).strip())


def run(conninfo: str, script: str, *, application_name: str = "pgaudit proof") -> None:
    """Run a script on a connection of its own, each statement for itself, then close it.

    Statements such as CREATE INDEX CONCURRENTLY and VACUUM refuse to share a transaction. Closing the
    connection is what makes the server flush its statistics. psycopg.Error passes through.
    """
    with contextlib.closing(connect(conninfo, application_name=application_name)) as connection:
        _execute(connection, script)


def _execute(connection: Connection, script: str) -> None:
    for statement in statements(script):
        connection.execute(statement.encode())


@contextlib.contextmanager
def database(
    conninfo: str, name: str, *, extensions: Sequence[str] = (), teardown: str | None = None
) -> Iterator[str]:
    """Create a database, yield how to connect to it, and drop it.

    With a `teardown`, which may be empty, what no database holds goes as well: that script is run
    afterwards, and then the roles are dropped that were made meanwhile.

    Extensions go into a schema of their own, because a check may not rely on `public`.
    """
    quoted = quote.identifier(name)
    made = libpq.make_conninfo(conninfo, dbname=name)
    with contextlib.closing(connect(conninfo)) as admin:
        # Copying files is quicker than logging every block where nothing needs to survive a crash.
        copying = " STRATEGY file_copy" if admin.info.server_version >= 150000 else ""
        admin.execute(f"CREATE DATABASE {quoted} TEMPLATE template0{copying}".encode())
        before = _roles(admin)
    # No connection of ours stays open meanwhile: checks of sessions would see it.
    try:
        if extensions:
            path = '"$user", public, extensions'
            listed = (
                f"CREATE EXTENSION {quote.identifier(e)} SCHEMA extensions;" for e in extensions
            )
            run(conninfo, f"ALTER DATABASE {quoted} SET search_path = {path}")
            run(
                made,
                f"CREATE SCHEMA extensions; GRANT USAGE ON SCHEMA extensions TO PUBLIC; {''.join(listed)}",
            )
        yield made
    finally:
        with contextlib.closing(connect(conninfo)) as admin:
            _leave_subscriptions(admin, name, made)
            _left(admin, name)
            admin.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)".encode())
            if teardown is not None:
                _execute(admin, teardown)
                _drop_roles(admin, _roles(admin) - before)


def _left(admin: Connection, name: str) -> None:
    """Wait until closed sessions have left a database, or for 0.1 s.

    DROP DATABASE looks every 0.1 s only: CountOtherDBBackends() of src/backend/storage/ipc/procarray.c.
    """
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        if not admin.execute(_SESSIONS, (name,)).fetchone():
            return
        time.sleep(0.002)


_SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE datname = %s LIMIT 1"


def _drop_roles(admin: Connection, names: set[str]) -> None:
    if names:
        listed = ", ".join(map(quote.identifier, sorted(names)))
        # What they were granted on other databases, tablespaces and parameters would keep them.
        admin.execute(f"DROP OWNED BY {listed}".encode())
        admin.execute(f"DROP ROLE {listed}".encode())


def _roles(admin: Connection) -> set[str]:
    return {name for (name,) in admin.execute("SELECT rolname FROM pg_roles").fetchall()}


def _leave_subscriptions(admin: Connection, name: str, conninfo: str) -> None:
    """Drop what keeps a database from being dropped, whether or not its publisher is still there."""
    found = admin.execute(
        "SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid "
        "WHERE d.datname = %s",
        (name,),
    ).fetchall()
    for (subscription,) in found:
        quoted = quote.identifier(subscription)
        run(
            conninfo,
            f"ALTER SUBSCRIPTION {quoted} DISABLE; ALTER SUBSCRIPTION {quoted} SET (slot_name = NONE);"
            f"DROP SUBSCRIPTION {quoted}",
        )


@contextlib.contextmanager
def held(conninfo: str, scripts: Sequence[str]) -> Iterator[None]:
    """Run each script on a connection that stays open, in order, while the body runs.

    A script that waits for a lock (or sleeps) is left waiting. At the end the sessions are terminated.
    """
    if not scripts:
        yield
        return
    with contextlib.closing(connect(conninfo)) as watcher, contextlib.ExitStack() as stack:
        for script in scripts:
            session = stack.enter_context(
                contextlib.closing(connect(conninfo, application_name="proof"))
            )
            stack.callback(_terminate, watcher, session.info.backend_pid)
            session.pgconn.send_query(script.encode())
            _settled(watcher, session)
        yield


def _settled(watcher: Connection, session: Connection) -> None:
    """Wait until a session has done what it was told, or waits for something itself."""
    end = time.monotonic() + _SETTLE_SECONDS
    waited = False
    while time.monotonic() < end and not _done(session.pgconn):
        row = watcher.execute(_WAITS, (session.info.backend_pid,)).fetchone()
        # A lock that is free again in a moment is not what it was told to wait for.
        if waited and row:
            return
        waited = row is not None
        time.sleep(0.05 if waited else 0.005)


_WAITS = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type IN ('Lock', 'Timeout')"


def _done(connection: PGconn) -> bool:
    """Whether the last result of what was sent is here, or the session gone; results are thrown away."""
    with contextlib.suppress(psycopg.OperationalError):
        connection.consume_input()
    while not connection.is_busy():
        result = connection.get_result()
        if result is None or result.status in _COPIES:
            return True
    return False


_COPIES = {ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH}


def _terminate(watcher: Connection, pid: int) -> None:
    watcher.execute("SELECT pg_terminate_backend(%s)", (pid,))
