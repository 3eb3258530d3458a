"""Targets and connection options of the command line → open sessions."""

from __future__ import annotations

import fnmatch
import functools
import getpass
import sys
from collections.abc import Generator, Mapping, Sequence

from pgaudit.commands.options import Connecting
from pgaudit.errors import TargetError, UsageError
from pgaudit.model import Server, Target
from pgaudit.postgres import conninfo, probe
from pgaudit.postgres.session import Session


def resolve(connecting: Connecting, environ: Mapping[str, str]) -> list[Target]:
    """Return the targets: those named, or PGAUDIT_TARGET, or DATABASE_URL, or what libpq assumes.

    Raises UsageError. DATABASE_URL counts only if nothing was said on the command line.
    """
    options = {
        "host": connecting.host,
        "port": connecting.port,
        "user": connecting.user,
        "dbname": connecting.database,
    }
    if connecting.targets:
        if connecting.database and len(connecting.targets) > 1:
            raise UsageError("--dbname goes with one target, not with several.")
        return [conninfo.target(text, options) for text in connecting.targets]
    if not any(options.values()):
        for variable in ("PGAUDIT_TARGET", "DATABASE_URL"):
            if environ.get(variable):
                return [conninfo.target(environ[variable], options, origin=variable)]
    return [conninfo.target(None, options)]


def sessions(
    target: Target, connecting: Connecting
) -> Generator[Session | tuple[Target, TargetError], None, None]:
    """Open a session for each database of a target that is to be audited, one after the other.

    A database that cannot be connected to is yielded as its target and error. Raises TargetError if
    the target itself cannot be connected to, or no database of it is meant.
    """
    first = connect(target, connecting)
    if not connecting.many:
        with first:
            yield first
        return
    with first:
        names = probe.databases(first, timeout=connecting.timeout)
    wanted = [n for n in names if not connecting.globs or _matches(n, connecting.globs)]
    if not wanted:
        raise TargetError(
            f"No database of {target.label} matches {', '.join(connecting.globs)}.",
            hint=f"it has {', '.join(names)}" if names else None,
        )
    for name in wanted:
        one = conninfo.with_database(first.target, name)
        try:
            session = connect(one, connecting)
        except TargetError as error:
            yield one, error
            continue
        with session:
            yield session


def connect(target: Target, connecting: Connecting) -> Session:
    """Open a session; ask for a password only where a person can answer. Raises TargetError."""
    try:
        return Session(target)
    except TargetError as error:
        if not error.needs_password or connecting.no_password or not sys.stdin.isatty():
            raise
    return Session(conninfo.with_password(target, _password(target.label)))


@functools.cache
def _password(label: str) -> str:
    """Ask once in a run: a window connects twice."""
    return getpass.getpass(f"Password for {label}: ", stream=sys.stderr)


def described(session: Session, connecting: Connecting) -> Server:
    """Ask what is true of the session's server; raises TargetError."""
    return probe.probe(session, timeout=connecting.timeout)


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in globs)
