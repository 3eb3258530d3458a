"""Real servers for the tests: one of every major that is asked for, a fresh database a test.

PGAUDIT_TEST_MAJORS="14 15 …" asks for majors, whose servers stand in (or are fetched by
scripts/get-postgres.sh into) the folder PGAUDIT_TEST_STORE. Without it the one server counts that
`pgaudit demo` would start. PGAUDIT_TEST_DSN="uri uri" uses servers that run already.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from psycopg import conninfo as libpq

from pgaudit import proof
from pgaudit.model import Target
from pgaudit.postgres import embedded, scratch
from pgaudit.postgres.session import Session

ROOT = Path(__file__).parents[1]
OPTIONAL = {"19"}
"""Majors that are not released everywhere: said when missing, not failed."""

DEMO = "default"


@dataclass(slots=True)
class Server:
    """A running server that tests may fill: how to connect as its superuser, and its major."""

    conninfo: str
    major: int
    version: str
    base: Path | None = None
    binaries: Path | None = None
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def database(self, *, extensions: tuple[str, ...] = ()) -> Iterator[str]:
        """Make a database of its own for a test."""
        with scratch.database(
            self.conninfo, f"test_{next(self.numbers)}", extensions=extensions
        ) as made:
            yield made

    def beside(self, *programs: str) -> dict[str, str]:
        """Return the environment in which another server of the same version can be started.

        Skips the test where the tests did not start this one, or it comes without one of `programs`.
        """
        if self.base is None or self.binaries is None:
            pytest.skip("it needs a server that the tests started")
        for program in programs:
            if not (self.binaries / program).exists():
                pytest.skip(f"{self.binaries} has no {program}")
        return {**os.environ, "PGAUDIT_PG_BIN": str(self.binaries)}

    def run(self, script: str) -> None:
        """Run a script as superuser in the database postgres."""
        scratch.run(self.conninfo, script)


def wanted() -> list[str]:
    """Return the majors to test, or "default", or the DSNs of running servers."""
    if os.environ.get("PGAUDIT_TEST_DSN"):
        # URIs are told apart by blanks; a libpq string has blanks of its own.
        named = os.environ["PGAUDIT_TEST_DSN"]
        return named.split() if "://" in named else named.splitlines()
    return os.environ.get("PGAUDIT_TEST_MAJORS", DEMO).split()


def must_run() -> bool:
    """Say whether a server that cannot be started is a failure and no skip."""
    return bool(os.environ.get("CI") or os.environ.get("PGAUDIT_TEST_REQUIRE_SERVER"))


@functools.cache
def binaries(name: str) -> Path | None:
    """Return the programs of a major, fetched if need be; None for an optional one not to be had.

    Raises ServerError where one is needed.
    """
    if name == DEMO:
        return embedded.find_server(os.environ)
    store = Path(os.environ.get("PGAUDIT_TEST_STORE", "/var/tmp/pgaudit-servers"))
    got = subprocess.run(
        ["sh", str(ROOT / "scripts" / "get-postgres.sh"), name, str(store / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    if got.returncode == 0:
        return store / name / "bin"
    if name in OPTIONAL and got.returncode == 69:
        return None
    raise embedded.ServerError(f"PostgreSQL {name} could not be had.", server=got.stderr.strip())


def has_hypopg(server: Server) -> bool:
    """Say whether a server can create the extension HypoPG, after trying to bring it there.

    Debian has it for some majors only, so a test that needs it skips on the others.
    """
    if server.binaries is not None and os.environ.get("PGAUDIT_TEST_STORE"):
        script = str(ROOT / "scripts" / "get-hypopg.sh")
        arguments = ["sh", script, str(server.major), str(server.binaries.parent)]
        subprocess.run(arguments, capture_output=True, check=False)
    with contextlib.closing(scratch.connect(server.conninfo)) as admin:
        sql = "SELECT 1 FROM pg_available_extensions WHERE name = 'hypopg'"
        return admin.execute(sql).fetchone() is not None


@contextlib.contextmanager
def serve(name: str, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run one server for the body: a major, the default one, or a DSN."""
    if "=" in name or "://" in name:
        yield described(name)
        return
    programs = binaries(name)
    if programs is None:
        raise embedded.ServerError(f"PostgreSQL {name} is not to be had here.")
    environ = {**os.environ, "PGAUDIT_PG_BIN": str(programs)}
    # Proofs make databases by the hundred, and each would push the others' statements out.
    chosen = {**proof.SETTINGS, **(settings or {})}
    with embedded.throwaway(environ, settings=chosen) as started:
        server = described(started.conninfo)
        server.base, server.binaries = started.base, started.binaries
        yield server


def described(conninfo: str) -> Server:
    """Ask a server which it is, and make the roles that tests connect as."""
    with contextlib.closing(scratch.connect(conninfo)) as admin:
        for role, options in (("reader", "LOGIN IN ROLE pg_monitor"), ("nobody", "LOGIN")):
            found = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
            if not found:
                admin.execute(f"CREATE ROLE {role} {options}".encode())
        number = admin.info.server_version
        row = admin.execute("SHOW server_version").fetchone()
        return Server(conninfo, number // 10000, str(row[0]) if row else "")


def session(conninfo: str, *, user: str | None = None) -> Session:
    """Open one of our own sessions, as somebody."""
    made = libpq.make_conninfo(conninfo, **({"user": user} if user else {}))
    return Session(Target("test", made))
