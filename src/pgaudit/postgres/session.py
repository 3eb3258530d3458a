"""The only door to an audited server: connect, ask questions safely, cancel, reopen."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import conninfo
from psycopg.adapt import Loader

from pgaudit.errors import QueryError, TargetError
from pgaudit.model import Target
from pgaudit.postgres import hints
from pgaudit.postgres.standin import Question

# The driver warns of what it could not tidy up after a lost connection; a QueryError says that already.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

APPLICATION_NAME = "pgaudit"
CONNECT_TIMEOUT = 10
LOCK_TIMEOUT = 1.0
"""Seconds after which a question gives up waiting for a lock; nothing of ours may queue an application."""

# pg_temp stands last and named: unnamed it is searched first, and behind a transaction pooler the server
# session may hold somebody else's temporary tables. Parallel workers and JIT would take from the
# application what a question over catalogs does not need. Nested loops are what the planner chooses where
# it takes a view or a catalog for small, and on a large one they never end; hash joins grow with the
# catalog and no faster (tests/benchmarks/catalog_cost.py). DateStyle and IntervalStyle are what the
# driver can read.
_SETTINGS = """
SELECT /* pgaudit: settings */
       set_config('search_path', 'pg_catalog, pg_temp', true),
       set_config('statement_timeout', $1, true),
       set_config('lock_timeout', $2, true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('jit', 'off', true),
       set_config('enable_nestloop', 'off', true),
       set_config('TimeZone', 'UTC', true),
       set_config('DateStyle', 'ISO, MDY', true),
       set_config('IntervalStyle', 'postgres', true),
       set_config('client_encoding', $3, true)
"""

_SAVEPOINT = "SAVEPOINT pgaudit"


class _Text(Loader):
    """Text that may not be UTF-8 (a database in SQL_ASCII) is shown escaped instead of failing."""

    def load(self, data: Any) -> str:
        """Decode what the server sent."""
        return bytes(data).decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question returned: the names of its columns, and its rows as the driver gave them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Session:
    """One connection to one database; every question runs in a read-only transaction of its own."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._connection = _connect(target)

    def __enter__(self) -> Self:
        """Return the session itself; it is open already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def place(self) -> str:
        """Where the session is connected: database@host:port."""
        info = self._connection.info
        if not info.host or info.host.startswith("/"):
            return f"{info.dbname}@local socket"
        return f"{info.dbname}@{info.host}:{info.port}"

    def reopen(self) -> None:
        """Connect anew after the connection was lost; raises TargetError."""
        self._connection.close()
        self._connection = _connect(self.target)

    def ask(
        self, questions: Sequence[Question], *, timeout: float, undo: Sequence[Question] = ()
    ) -> list[Answer]:
        """Ask questions in one read-only transaction and one round trip.

        `timeout` is in seconds, for each question. `undo` is asked only if one of them failed, to
        clear what a rollback leaves; its own failures do not matter. Raises QueryError with the
        position inside the check's own SQL; the session can be used again unless `lost` is set.
        """
        connection = self._connection
        milliseconds = str(max(1, round(timeout * 1000)))
        cursors = []
        try:
            # In a pipeline the server starts to work on the first message while the rest is on its
            # way, so transaction, settings, questions and COMMIT cost a single round trip.
            with connection.pipeline():
                connection.execute("BEGIN READ ONLY")
                limits = (milliseconds, str(round(LOCK_TIMEOUT * 1000)))
                connection.execute(_SETTINGS, (*limits, _encoding(connection)))
                if undo:
                    connection.execute(_SAVEPOINT)
                for question in questions:
                    cursor = connection.cursor()
                    cursors.append(cursor)
                    cursor.execute(question.text, question.parameters)
                connection.execute("COMMIT")
            return [_answer(cursor) for cursor in cursors]
        except (psycopg.Error, UnicodeError) as error:
            self._undo(undo)
            raise self._refused(error, questions) from None

    def _undo(self, undo: Sequence[Question]) -> None:
        """Clear up in the transaction that failed.

        The next one may be on another server connection, if a transaction pooler stands in between.
        """
        connection = self._connection
        for question in undo:
            if connection.closed or connection.broken:
                return
            with contextlib.suppress(psycopg.Error):
                connection.execute(f"ROLLBACK TO {_SAVEPOINT}")
                connection.execute(question.text, question.parameters)

    def _refused(self, error: Exception, questions: Sequence[Question]) -> QueryError:
        connection = self._connection
        lost = connection.closed or connection.broken
        if not lost:
            try:
                connection.rollback()
            except psycopg.Error:
                lost = True
        diagnostic = error.diag if isinstance(error, psycopg.Error) else None
        message = (diagnostic and diagnostic.message_primary) or hints.plain(str(error))
        position = diagnostic.statement_position if diagnostic else None
        offset = questions[-1].offset if questions else 0
        return QueryError(
            message,
            sqlstate=diagnostic.sqlstate if diagnostic else None,
            position=int(position) - offset if position and int(position) > offset else None,
            lost=lost,
        )


def _encoding(connection: psycopg.Connection[tuple[Any, ...]]) -> str:
    """Choose the encoding to receive text in; what is in an SQL_ASCII database may be none at all.

    The server would check such bytes against UTF-8 and refuse the whole answer.
    """
    server = connection.info.parameter_status("server_encoding")
    return "SQL_ASCII" if server == "SQL_ASCII" else "UTF8"


def _answer(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Answer:
    columns = tuple(column.name for column in cursor.description or ())
    return Answer(columns, tuple(cursor.fetchall()) if columns else ())


def _connect(target: Target) -> psycopg.Connection[tuple[Any, ...]]:
    options: dict[str, Any] = {}
    said = conninfo.conninfo_to_dict(target.conninfo)
    if "connect_timeout" not in said and not _environment("connect_timeout"):
        options["connect_timeout"] = CONNECT_TIMEOUT
    try:
        connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
            target.conninfo,
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.RawCursor,
            application_name=APPLICATION_NAME,
            client_encoding="UTF8",
            **options,
        )
    except psycopg.Error as error:
        raise _not_connected(target, str(error)) from None
    for kind in ("text", "varchar", "name", "bpchar"):
        connection.adapters.register_loader(kind, _Text)
    return connection


def _not_connected(target: Target, said: str) -> TargetError:
    return TargetError(
        f"Cannot connect to {target.label}{' (from ' + target.origin + ')' if target.origin else ''}.",
        server=hints.plain(said),
        hint=hints.connecting(said),
        needs_password=hints.needs_password(said),
    )


def _environment(keyword: str) -> bool:
    defaults = psycopg.pq.Conninfo.get_defaults()
    return any(option.keyword.decode() == keyword and option.val for option in defaults)
