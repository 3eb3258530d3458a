"""Threads with a database connection each, which end together and promptly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection

from pgaudit.postgres.scratch import connect

_GOODBYE = 5.0
"""Seconds within which threads must have ended; they need a few hundredths."""

_LAST_ROUND = 2.0
"""Seconds that threads get to finish what they are doing."""


class Crew:
    """Open connections and the threads that work on them, until `dismiss` ends them all."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connections: list[Connection[Any]] = []
        self._threads: list[tuple[threading.Thread, Connection[Any]]] = []
        self.stop = threading.Event()
        self.failures: list[Exception] = []

    def open(self, application_name: str, *, autocommit: bool = True) -> Connection[Any]:
        """Open a connection that `dismiss` closes. psycopg.Error passes through."""
        connection = connect(
            self._conninfo, application_name=application_name, autocommit=autocommit
        )
        self._connections.append(connection)
        return connection

    def start(self, work: Callable[[], None], connection: Connection[Any]) -> None:
        """Run `work`, which uses `connection`, in a thread.

        What it raises before the end goes to `failures`.
        """

        def guarded() -> None:
            try:
                work()
            except Exception as failure:
                # Once it is time to stop, a cancelled statement is what was asked for.
                if not self.stop.is_set():
                    self.failures.append(failure)

        # A daemon, so that a second Ctrl-C during the dismissal ends the process at once.
        thread = threading.Thread(target=guarded, name="pgaudit-demo", daemon=True)
        thread.start()
        self._threads.append((thread, connection))

    def check(self) -> None:
        """Raise what the first failing thread raised."""
        if self.failures:
            raise self.failures[0]

    def finish(self) -> None:
        """Ask the threads to stop by themselves, and wait for that a little while."""
        self.stop.set()
        end = time.monotonic() + _LAST_ROUND
        for thread, _ in self._threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))

    def dismiss(self) -> None:
        """Cancel what runs, wait for the threads, then close the connections.

        In this order, because a session that waits for a lock must be gone before the one that
        holds it: otherwise each in the queue would get its turn and commit nothing, slowly.
        """
        self.stop.set()
        end = time.monotonic() + _GOODBYE
        working = list(reversed(self._threads))
        while working and time.monotonic() < end:
            for _, connection in working:
                # A cancel that finds nothing running has no effect; the next round repeats it.
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=1)
            for thread, _ in working:
                thread.join(timeout=0.02)
            working = [pair for pair in working if pair[0].is_alive()]
        for connection in self._connections:
            with suppress(psycopg.Error):
                connection.close()


@contextmanager
def crew(conninfo: str) -> Iterator[Crew]:
    """Give a crew without members; dismiss it at the end, whatever the body raises."""
    members = Crew(conninfo)
    try:
        yield members
    finally:
        members.dismiss()
