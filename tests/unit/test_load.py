"""A check file with a fault names file, line, key and cure; with several, all of them at once."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pgaudit.catalog import find, load
from pgaudit.catalog import format as check_format
from pgaudit.errors import CheckError

ROOT = Path(__file__).parents[2]

GOOD = """\
format: 1
id: big-table
title: Table that is big
category: tables
since: 0.1.0
status: stable
why: It is big.
scope: database
reads: [pg_stat_user_tables]
parameters:
  min_size: {type: size, default: 1 MiB, help: Smaller ones do not count.}
columns: {name: text, table_size: size}
sql:
  14: |
    SELECT relname AS name, 5::bigint AS table_size
    FROM   pg_stat_user_tables
    WHERE  5 >= %(min_size)s
    ORDER  BY name
object: {kind: table, name: [name]}
severity: {measure: table_size, warning: 1 GiB, critical: 10 GiB}
message: "{object} takes {table_size}."
remediation: {text: Look at it., sql: "VACUUM {object};"}
tests:
  - {name: fires, rows: [{name: a, table_size: 2 GiB}], expect: [{object: a, severity: warning}]}
  - {name: is silent, rows: [{name: a, table_size: 1 B}], expect: []}
"""


def faults(text: str, file: str = "tables/big-table.yaml") -> list[str]:
    _, wrong = load.check(text, file, proofs=True)
    return [str(fault) for fault in sorted(wrong)]


def test_good() -> None:
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format: 1", "format: 2", ":1: format: was written for a newer pgaudit"),
        ("id: big-table", "id: Big", ":2: id: "),
        ("id: big-table", "id: small-table", ":2: id: is not the file's name, big-table"),
        ("title: Table that is big", "titel: x y z", "did you mean 'title'?"),
        ("title: Table that is big", "title: It is big.", ":3: title: ends in a full stop"),
        ("category: tables", "category: indexes", ":4: category: is not the folder, tables"),
        (
            "status: stable",
            "status: good",
            ":6: status: must be 'preview', 'stable' or 'deprecated'",
        ),
        ("1 MiB", "1 MB", "did you mean '1 MiB'?"),
        ("reads: [pg_stat_user_tables]", "reads: []", "does not list pg_stat_user_tables"),
        (
            "reads: [pg_stat_user_tables]",
            "reads: [pg_stat_user_tables, pg_locks]",
            "lists pg_locks",
        ),
        ("%(min_size)s", "%(min_siz)s", "did you mean 'min_size'?"),
        ("5 >= %(min_size)s", "relname LIKE 'a%' AND 5 >= %(min_size)s", "has a '%'"),
        ("    ORDER  BY name\n", "", "has no ORDER BY"),
        ("ORDER  BY name", "ORDER  BY name;", "ends in a semicolon"),
        ("ORDER  BY name", "AND pg_try_advisory_lock(1) ORDER  BY name", "does more than read"),
        ("name: [name]", "name: [nam]", "'nam' is no column (did you mean 'name'?)"),
        ("measure: table_size", "measure: name", "'name' is a text, which is no number"),
        ("critical: 10 GiB", "critical: 1 MiB", "severity.critical: is not above warning"),
        ("warning: 1 GiB, critical: 10 GiB", "worse: higher", "has no level"),
        ("{table_size}.", "{tabel_size}.", "did you mean 'table_size'?"),
        ("{table_size}.", "{table_size.", "is no placeholder"),
        ("VACUUM {object}", "VACUUM {object:raw}", "asks for {object:raw}"),
        ("table_size: 2 GiB", "table_sise: 2 GiB", "has the unknown columns table_sise"),
        ("severity: warning}", "severity: bad}", "must be 'info', 'warning' or 'critical'"),
        ("type: size", "type: sise", "parameters.min_size.type: must be"),
        ("  14: |", "  14: null\n  15: |", "is null"),
        ("scope: database\n", "", ":1: scope: is missing"),
    ],
)
def test_faults(old: str, new: str, said: str) -> None:
    assert old in GOOD
    found = faults(GOOD.replace(old, new, 1))
    assert any(said in fault for fault in found), found
    assert all(fault.startswith("tables/big-table.yaml:") for fault in found)


def test_all_at_once_in_the_order_of_lines() -> None:
    text = GOOD.replace("1 MiB", "1 MB").replace("titl", "tilt").replace("{table_size}.", "{sise}.")
    text = text.replace("severity: warning}", "severity: bad}").replace("1 B}", "1 b}")
    found = faults(text)
    lines = [int(fault.split(":")[1]) for fault in found]
    assert lines == sorted(lines)
    assert len(found) == 6


def test_the_proofs_are_read_only_when_asked_for() -> None:
    check, wrong = load.check(GOOD.replace("name: fires", "nam: fires"), "tables/big-table.yaml")
    assert wrong == []
    assert check is not None
    assert check.proofs == ()


def test_the_line_of_the_query() -> None:
    check, _ = load.check(GOOD, "tables/big-table.yaml")
    assert check is not None
    assert GOOD.splitlines()[check.query_lines[14] - 1].strip().startswith("SELECT")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.integers(0, len(GOOD)), st.integers(0, 40))
def test_no_text_is_an_exception(text: str, at: int, cut: int) -> None:
    """Whatever stands in a file: faults or a check, never a traceback."""
    load.check(GOOD[:at] + text + GOOD[at + cut :], "tables/big-table.yaml", proofs=True)


KEYS = [
    "sql",
    "tests",
    "severity",
    "object",
    "columns",
    "parameters",
    "message",
    "requires",
    "evidence",
]
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(SHAPES, st.sampled_from(KEYS))
def test_no_shape_is_an_exception(value: object, key: str) -> None:
    data = yaml.safe_load(GOOD.replace("%", "%%").replace("%%(", "%(")) | {key: value}
    load.check(json.dumps(data), "tables/big-table.yaml", proofs=True)


def test_two_checks_with_one_id(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "big-table.yaml").write_text(GOOD)
    with pytest.raises(CheckError) as caught:
        find.checks(find.in_path(tmp_path))
    assert "is also the id of" in str(caught.value)
    assert str(tmp_path / "one") in str(caught.value)
    assert str(tmp_path / "two") in str(caught.value)


def test_built_in_files_agree_with_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(check_format.schema())
    for source in find.sources():
        data = yaml.load(source.content.read_text(encoding="utf-8"), Loader=_Plain)
        errors = [error.message for error in validator.iter_errors(data)]
        assert errors == [], source.file


class _Plain(yaml.SafeLoader):
    """YAML as an editor's language server reads it: 1.2, so that moments stay text."""


_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith("timestamp")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def test_built_in_files_keep_the_order_of_keys_and_the_schema_line() -> None:
    order = list(check_format.CheckFile.model_fields)
    for source in find.sources():
        text = source.content.read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server: $schema=../check.schema.json\n"), (
            source.file
        )
        keys = [line.split(":")[0] for line in text.splitlines() if line and line[0].isalpha()]
        assert keys[-1] == "tests", source.file
        assert set(keys) <= set(order), source.file
