"""Strict YAML: what it reads, and what it refuses with a line."""

from __future__ import annotations

import pytest

from pgaudit.catalog import yamlfile


def test_only_yaml_1_2_types() -> None:
    text = "on: 010\nyes: 1:30\nday: 2025-01-01\nnumber: 12\nshare: 1.5\n"
    text += "true_word: true\nquoted: '12'\nnone: ~\n"
    document = yamlfile.read(text, "f.yaml")
    assert document.faults == []
    assert document.data == {
        "on": "010", "yes": "1:30", "day": "2025-01-01", "number": 12, "share": 1.5,
        "true_word": True, "quoted": "12", "none": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "stands twice; first on line 1"),
        ("a: &x 1\nb: *x\n", 2, "anchor or alias"),
        ("a: !!python/object:os.system 1\n", 1, "has the tag"),
        ("a: [1, 2\nb: 3\n", 2, "is not YAML"),
        ("", 1, "is empty"),
        ("a: 1\n---\nb: 2\n", 2, "is not YAML"),
        ("? [1, 2]\n: 3\n", 1, "usable key"),
        ("a: \x00\n", 1, "is not YAML"),
    ],
)
def test_refuses(text: str, line: int, said: str) -> None:
    document = yamlfile.read(text, "f.yaml")
    assert [(f.line, said in f.what) for f in document.faults] == [(line, True)]


def test_lines_of_keys_and_blocks() -> None:
    document = yamlfile.read("a:\n  b: |\n    one\n    two\n  c: [x, y]\n", "f.yaml")
    assert document.line(("a", "b")) == 3
    assert document.line(("a", "c", 1)) == 5
    assert document.line(("a", "nowhere")) == 1
