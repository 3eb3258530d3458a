"""One module a format, each one function: a report and a style → text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pgaudit.model import Report
from pgaudit.render.style import Style

Renderer = Callable[[Report, Style], str]


def _table() -> Renderer:
    from pgaudit.render import table  # rich is only imported where it draws

    return table.render


def _plain() -> Renderer:
    from pgaudit.render import plain

    return plain.render


def _json() -> Renderer:
    from pgaudit.render import json

    return json.write


FORMATS: Mapping[str, Callable[[], Renderer]] = {
    "table": _table,
    "plain": _plain,
    "json": _json,
    "json-1": _json,
}
"""Every format, and how to get its renderer."""

SUFFIXES: Mapping[str, str] = {".json": "json", ".txt": "plain"}
"""What a file's ending says about its format."""
