"""Who may import whom, who may print, and how long a module may be: the house, as a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "pgaudit"

ALLOWED = {
    "errors": set(),
    "units": set(),
    "quote": set(),
    "sqltext": set(),
    "template": {"quote", "units"},
    "evidence": {"units"},
    "model": {"evidence", "quote", "units"},
    "plan": {"model", "whynot"},
    "override": {"errors", "model", "units"},
    "catalog": {
        "catalog", "errors", "model", "quote", "sqltext", "statements", "template", "units",
    },
    "made": {"advise", "errors", "model", "postgres", "sqltext", "statements"},
    "postgres": {"postgres", "errors", "evidence", "model", "quote", "sqltext", "statements", "units"},
    "statements": {"statements"},
    "advise": {"advise", "errors", "model", "postgres", "quote", "statements"},
    "judge": {"evidence", "model", "template", "units"},
    "whynot": {"model", "quote", "statements", "units"},
    "render": {"render", "advise", "errors", "evidence", "model", "plan", "units"},
    "window": {"errors", "evidence", "model", "postgres", "sqltext", "whynot"},
    "audit": {"made", "errors", "judge", "model", "postgres", "window"},
    "proof": {"audit", "errors", "judge", "model", "postgres", "units"},
    "demo": {"demo", "postgres"},
    "commands": {
        "", "commands", "advise", "audit", "catalog", "demo", "errors", "evidence", "judge", "model",
        "override", "plan", "postgres", "proof", "render", "units", "whynot", "window",
    },
    "cli": {"", "catalog", "commands", "errors", "model", "units"},
    "__main__": {"cli"},
    "": set(),
}  # fmt: skip
"""Each top-level part of the package, and the parts that it may import."""

CONNECTS = {"postgres", "demo", "proof"}
"""Parts that may import psycopg; demo and proof only ever reach throwaway servers."""

PRINTS = {"cli", "commands", "demo"}
LONGEST = 460
OPTIONS = 600
"""How long the module may be that declares every option of every command."""

MODULES = sorted(ROOT.rglob("*.py"))


def part(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path: Path) -> set[str]:
    found = set()
    for name in imports(path):
        pieces = name.split(".")
        if pieces[0] == "pgaudit":
            known = len(pieces) > 1 and pieces[1] in ALLOWED
            found.add(pieces[1] if known else "")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    assert ours(path) <= ALLOWED[part(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_door_connects(path: Path) -> None:
    if part(path) not in CONNECTS:
        assert not any(name.split(".")[0] == "psycopg" for name in imports(path))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_commands_print_exit_or_read_the_environment(path: Path) -> None:
    if part(path) in PRINTS:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "exit", "input"}
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {
                ("os", "environ"), ("os", "getenv"), ("sys", "exit"), ("sys", "stdout"), ("sys", "stderr"),
            }  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_are_small_and_described(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), (
        "a module says in one sentence what it turns into what"
    )
    assert len(text.splitlines()) <= (OPTIONS if part(path) == "cli" else LONGEST)


def test_every_part_has_its_arrows() -> None:
    assert {part(path) for path in MODULES} == set(ALLOWED)


def test_no_package_is_called_checks() -> None:
    """In the wheel that name belongs to the folder of check files."""
    assert not (ROOT / "checks" / "__init__.py").exists()
    assert not (ROOT / "checks.py").exists()
