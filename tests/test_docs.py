"""The documentation is what the program does: generated parts are current, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pgaudit.catalog import find, load
from pgaudit.render import json

ROOT = Path(__file__).parents[1]
TEXTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_current() -> None:
    for path, text in script("docs").generated().items():
        assert path.exists(), f"{path} is missing: run scripts/docs.py"
        assert path.read_text(encoding="utf-8") == text, f"{path} is stale: run scripts/docs.py"


def test_every_check_has_a_page_and_every_page_a_check() -> None:
    pages = {p.stem for p in (ROOT / "docs" / "reference" / "checks").glob("*.md")} - {"index"}
    assert pages == {source.stem for source in find.sources()}


def test_the_picture_is_what_the_recorded_demo_looks_like() -> None:
    assert (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8") == script("picture").drawn()


def test_the_recorded_demo_is_one_of_these_checks() -> None:
    report = json.read((ROOT / "docs" / "demo.json").read_text(encoding="utf-8"))
    asked = {r.check.id for t in report.targets for r in t.results}
    stable = {check.id for check in find.checks(find.sources()) if check.status == "stable"}
    assert asked == stable, "run scripts/picture.py --record"
    assert len({f.check for f in report.findings}) >= 20


def test_every_row_of_the_comparison_has_its_decision() -> None:
    sections = script("docs").compared()
    rows = [row for section in sections for row in section["rows"]]
    assert len({row["row"] for row in rows}) == len(rows)
    assert [row["row"] for row in rows if not (row.get("by") or row.get("because"))] == []
    assert [row["row"] for row in rows if "comes with" in row.get("because", "")] == []
    named = {name for row in rows for name in row.get("by", [])}
    assert named - {source.stem for source in find.sources()} == set()
    # As many as the catalogue of other tools has in each of its sections, 318 in all.
    assert [len(section["rows"]) for section in sections] == [
        23,
        26,
        36,
        12,
        7,
        25,
        34,
        42,
        53,
        32,
        11,
        17,
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_readme_says_what_it_must() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "not the pgAudit server extension" in "\n".join(text.splitlines()[:8])
    for name in ("demo-line", "test-line"):
        part = re.search(rf"<!-- {name} -->\n```sh\n(.*)\n```\n<!-- /{name} -->", text)
        assert part, name
        assert part[1].startswith("python3 -m venv .venv && .venv/bin/pip install -q ")


def test_the_readme_s_check_is_a_check() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = [
        b for b in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if b.startswith("format: 1")
    ]
    check, faults = load.check(example, "acme-table-without-key.yaml", origin="docs", proofs=True)
    assert faults == []
    assert check is not None
    assert len(check.proofs) == 2
