"""Strict YAML: text to plain values plus the line of every key, with none of YAML 1.1's surprises.

Only YAML 1.2's `true`/`false`, null, plain decimal integers and floats are more than text; duplicate
keys, tags, anchors and several documents are refused. (In YAML 1.1 a key `on:` is True, `010` is 8,
`1:30` is 90, and the second of two equal keys silently wins.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from pgaudit.errors import Fault

Path = tuple[str | int, ...]
"""Where a value is: keys and list positions from the top."""

_TEXT = "tag:yaml.org,2002:str"
_CONTAINERS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
_WORDS: Mapping[str, bool | None] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The fast loader without implicit types: every scalar stays text until `_scalar` looks at it."""

    yaml_implicit_resolvers: Mapping[str, Any] = {}


@dataclass(slots=True)
class Document:
    """A file's values, the 1-based line of each, and what was wrong with its YAML."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of a path, or of the nearest thing above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: Path, what: str, hint: str = "") -> None:
        """Note something wrong at a path."""
        key = ".".join(str(p) for p in path)
        self.faults.append(Fault(self.file, self.line(path), key, what, hint))


def read(text: str, file: str) -> Document:
    """Read one YAML document; whatever is wrong is in `faults`, nothing is raised."""
    document = Document(file)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = f"is not YAML: {error.problem or error.context}"
        document.faults.append(
            Fault(file, line, "", what, "look at indentation, quotes and colons")
        )
        return document
    except (yaml.YAMLError, ValueError) as error:
        document.faults.append(Fault(file, 1, "", f"is not YAML: {error}"))
        return document
    if node is None:
        document.faults.append(Fault(file, 1, "", "is empty"))
        return document
    document.data = _Values(document).of(node, (), 1)
    return document


@dataclass(slots=True)
class _Values:
    """Walks the node tree once; a node met twice is an alias."""

    document: Document
    seen: set[int] = field(default_factory=set)

    def of(self, node: yaml.Node, path: Path, line: int) -> Any:
        # A block scalar's node starts at its `|` and its text on the line after.
        block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        self.document.lines[path] = node.start_mark.line + 2 if block else line
        if id(node) in self.seen:
            self.document.fault(path, "uses an anchor or alias", "write the value out")
            return None
        self.seen.add(id(node))
        if node.tag != _TEXT and node.tag not in _CONTAINERS:
            self.document.fault(path, f"has the tag {node.tag}", "tags are not used here")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.of(child, (*path, i), child.start_mark.line + 1)
                for i, child in enumerate(node.value)
            ]
        return _scalar(node)  # type: ignore[arg-type]  # the only kind of node that is left

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str | int) or isinstance(key, bool):
                self.document.lines[(*path, "?")] = key_node.start_mark.line + 1
                self.document.fault((*path, "?"), "is not a usable key", "put it in quotes")
                continue
            here = (*path, key)
            if key in values:
                first = self.document.line(here)
                self.document.lines[here] = key_node.start_mark.line + 1
                self.document.fault(here, f"stands twice; first on line {first}", "keep one")
                continue
            values[key] = self.of(value_node, here, key_node.start_mark.line + 1)
        return values


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style:  # quoted or a block; a plain scalar has None or, from libyaml, ''
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
