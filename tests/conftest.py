"""Fixtures: `server` is a running PostgreSQL of every major under test, `database` a fresh one on it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import postgres
from pgaudit.postgres import embedded
from pgaudit.postgres.embedded import ServerError
from pgaudit.proof import Bench


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what renderers say now")


MEMORY = Path("/dev/shm")
ROOM = 2 * 2**30
"""Bytes that the throwaway servers of a run, and what tests write, stay well below."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep throwaway servers in memory where there is room: most of a proof is making its database."""
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC:
            os.environ["TMPDIR"] = str(MEMORY)
            tempfile.tempdir = None
    config.addinivalue_line("markers", "pg(spec): the majors a test is for, such as '>=16'")
    config.addinivalue_line("markers", "ends: a test for which the oldest and the newest major do")


def pytest_report_header() -> list[str]:
    lines = []
    for name in postgres.wanted():
        try:
            found = postgres.binaries(name) if name.isalnum() else None
            lines.append(f"PostgreSQL {name}: {found or 'not to be had here'}")
        except ServerError as error:
            lines.append(f"PostgreSQL {name}: {error.message} {error.server or ''}")
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests recorded; with xdist nothing that a worker prints is seen."""
    reports = [r for each in ("passed", "failed") for r in terminalreporter.stats.get(each, ())]
    for report in reports:
        for name, text in report.user_properties:
            if name == "table":
                terminalreporter.section(report.nodeid)
                terminalreporter.write_line(str(text))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that needs a server, or its programs, once for each major.

    One worker has all that need a major's server. What runs the program as a process, or starts and
    stops servers, is slow and hardly differs between majors: that is marked `ends`.
    """
    names = postgres.wanted()
    if metafunc.definition.get_closest_marker("ends"):
        names = list(dict.fromkeys((names[0], names[-1])))
    if "server" in metafunc.fixturenames:
        parameters = [
            pytest.param(name, id=f"pg{name}", marks=pytest.mark.xdist_group(name))
            for name in names
        ]
        metafunc.parametrize("server", parameters, indirect=True, scope="session")
    elif "environ" in metafunc.fixturenames:
        metafunc.parametrize("environ", names, ids=lambda name: f"pg{name}", indirect=True)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[postgres.Server]:
    """A running server; missing ones fail in CI and are skipped elsewhere."""
    name = request.param
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(postgres.serve(name))
        except ServerError as error:
            said = " ".join(error.lines())
            if postgres.must_run() and name not in postgres.OPTIONAL:
                pytest.fail(said)
            pytest.skip(said)
        yield started


@pytest.fixture(scope="session")
def bench(server: postgres.Server) -> Iterator[Bench]:
    """The server, prepared for proofs."""
    with Bench.on(server.conninfo) as made:
        yield made


@pytest.fixture(scope="module")
def standby(server: postgres.Server) -> Iterator[str]:
    """How to connect to a standby of the server."""
    with embedded.standby(server.beside("pg_basebackup"), server.conninfo) as started:
        yield started.conninfo


@pytest.fixture
def database(server: postgres.Server) -> Iterator[str]:
    """How to connect to a fresh database as its superuser."""
    with server.database() as made:
        yield made


@pytest.fixture(autouse=True)
def _majors(request: pytest.FixtureRequest) -> None:
    """Skip a test marked pg('>=16') on older majors."""
    marker = request.node.get_closest_marker("pg")
    if marker is None:
        return
    started = request.getfixturevalue("server")
    first = int(marker.args[0].removeprefix(">="))
    if started.major < first:
        pytest.skip(f"for PostgreSQL {first} and newer")
