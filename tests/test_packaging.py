"""The wheel: everything that the program reads at run time is inside, and nothing that it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DATA = (
    "checks/check.schema.json",
    "demo/schema.sql",
    "postgres/counters.json",
    "postgres/views.json",
    "py.typed",
    "render/report.schema.json",
)


def run(*arguments: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYTHON"))}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=120,
        cwd=cwd, stdin=subprocess.DEVNULL, env=kept | more, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    built = run("-m", "pip", "wheel", "-q", *options, "-w", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        listed = opened.namelist()
    assert len(listed) == len(set(listed))
    return set(listed)


def read(wheel: Path, ending: str) -> str:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (n for n in opened.namelist() if n.endswith(f".dist-info/{ending}"))
        return opened.read(name).decode()


def test_every_check_is_inside(names: set[str]) -> None:
    ours = {f"pgaudit/{p.relative_to(ROOT)}" for p in (ROOT / "checks").rglob("*.yaml")}
    assert len(ours) > 10
    assert {n for n in names if n.endswith(".yaml")} == ours


@pytest.mark.parametrize("name", DATA)
def test_data_is_inside_unchanged(name: str, wheel: Path) -> None:
    source = ROOT / name if name.startswith("checks/") else ROOT / "src" / "pgaudit" / name
    with zipfile.ZipFile(wheel) as opened:
        assert opened.read(f"pgaudit/{name}") == source.read_bytes()


def test_every_module_is_inside_and_nothing_else(names: set[str]) -> None:
    source = ROOT / "src"
    modules = {str(p.relative_to(source)) for p in source.rglob("*.py")}
    assert {n for n in names if n.endswith(".py")} == modules
    assert {n.partition("/")[0].partition("-")[0] for n in names} == {"pgaudit"}
    strange = ("test", "conftest", "golden", "__pycache__", ".pyc", "scripts", "docker")
    outside = [n for n in names if not n.startswith("pgaudit/commands/test.py")]
    assert [n for n in outside if any(word in n for word in strange)] == []


def test_entry_point(wheel: Path) -> None:
    lines = read(wheel, "entry_points.txt").split("\n")
    assert [line for line in lines if line] == ["[console_scripts]", "pgaudit = pgaudit.cli:main"]


def test_metadata(wheel: Path) -> None:
    from pgaudit import __version__

    metadata = Parser().parsestr(read(wheel, "METADATA"))
    assert metadata["Name"] == "pgaudit"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "MIT"
    assert "Permission is hereby granted" in read(wheel, "licenses/LICENSE")
    always = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert len(always) == len(PROJECT["dependencies"])


def test_dependencies_are_these_six() -> None:
    declared = {name.partition(">=")[0] for name in PROJECT["dependencies"]}
    # pgparse is PostgreSQL's own grammar (libpg_query): statements cannot be read right by less, and it
    # is BSD-licensed and has no dependencies. It is imported only for checks that look into statements.
    assert declared == {"typer", "psycopg[binary]", "rich", "pyyaml", "pydantic", "pgparse"}
    assert len(PROJECT["dependencies"]) == 6


def test_unpacked_wheel_finds_its_checks(
    wheel: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = str(tmp_path)
    where = run("-c", "import pgaudit; print(pgaudit.__file__)", cwd=elsewhere, PYTHONPATH=path)
    assert where.stdout.strip() == str(tmp_path / "pgaudit" / "__init__.py")
    listed = run("-m", "pgaudit", "list", "-f", "plain", cwd=elsewhere, PYTHONPATH=path)
    assert listed.returncode == 0, listed.stderr
    here = run("-m", "pgaudit", "list", "-f", "plain", cwd=ROOT, PYTHONPATH=str(ROOT / "src"))
    assert listed.stdout == here.stdout
    stems = {p.stem for p in (ROOT / "checks").rglob("*.yaml")}
    assert {line.split("\t")[0] for line in listed.stdout.splitlines()} == stems
