"""A document's plain values → the fields of check format 1, and every structural fault at once."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pgaudit.catalog.format import CheckFile, ProofEntry
from pgaudit.catalog.yamlfile import Document, Path

Fields = Mapping[str, Any]
"""The valid top-level fields of a file, defaults filled in; invalid ones are absent."""

_SAYINGS = {
    "missing": "is missing",
    "string_type": "is not text; put it in quotes",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "bool_type": "is neither true nor false",
    "list_type": "is not a list",
    "dict_type": "is not a mapping of keys to values",
    "model_type": "is not a mapping of keys to values",
    "string_too_short": "is too short",
    "string_too_long": "is longer than {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "has more than {max_length} entries",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "does not match {pattern}",
}


def fields(document: Document, *, proofs: bool) -> Fields:
    """Validate a document against the format; faults go into the document.

    Without `proofs` the key `tests` is neither needed nor looked at.
    """
    data = document.data
    if not isinstance(data, dict):
        document.fault((), "is not a mapping of keys to values", "start with 'format: 1'")
        return {}
    if data.get("format") not in (None, 1):
        document.fault(("format",), "was written for a newer pgaudit", "this one knows format 1")
        return {}
    data = dict(data)
    if not proofs:
        data["tests"] = []
    try:
        whole = CheckFile.model_validate(data)
    except ValidationError as error:
        return _by_field(document, data, error)
    return {name: getattr(whole, name) for name in CheckFile.model_fields}


def _by_field(document: Document, data: dict[str, Any], error: ValidationError) -> Fields:
    """Say every fault, then keep the fields that are valid once unknown keys are left out."""
    details = error.errors(include_url=False)
    for detail in details:
        _say(document, detail)
    pruned = copy.deepcopy(data)
    for detail in details:
        if detail["type"] == "extra_forbidden":
            _remove(pruned, _path(document, detail["loc"]))
    valid: dict[str, Any] = {}
    for name, field in CheckFile.model_fields.items():
        if name not in pruned:
            if not field.is_required():
                valid[name] = field.get_default(call_default_factory=True)
            continue
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            valid[name] = adapter.validate_python(pruned[name], strict=True)
        except ValidationError:
            continue
    if "tests" not in valid and isinstance(pruned.get("tests"), list):
        valid["tests"] = [_case(value) for value in pruned["tests"]]
    return valid


def _case(value: object) -> ProofEntry | None:
    """Keep a case that is valid by itself, so that another's fault hides nothing."""
    try:
        return ProofEntry.model_validate(value)
    except ValidationError:
        return None


def _remove(data: Any, path: Path) -> None:
    for step in path[:-1]:
        data = data[step]
    del data[path[-1]]


def _path(document: Document, location: tuple[int | str, ...]) -> Path:
    """Drop what pydantic adds to a location (union branches, "[key]") and the file does not have."""
    data = document.data
    path: list[str | int] = []
    for step in location:
        inside = isinstance(data, dict) and step in data
        if inside or (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            path.append(step)
            data = data[step]
        elif step == location[-1] and step != "[key]":
            path.append(step)
    return tuple(path)


def _say(document: Document, detail: ErrorDetails) -> None:
    path = _path(document, detail["loc"])
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), sorted(_known(path)), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "see docs/reference/check-format.md"
        document.fault(path, "is not a key of the format", hint)
        return
    if detail["loc"] and detail["loc"][-1] == "[key]":
        document.fault(path, f"has the key {detail['input']!r}, which cannot be used", "lower case")
        return
    said = _SAYINGS.get(kind)
    document.fault(path, said.format(**context) if said else detail["msg"])


def _known(path: Path) -> set[str]:
    """Collect the keys that the format knows beside the last step of a path."""
    model: Any = CheckFile
    for step in path[:-1]:
        if isinstance(step, int):
            continue
        field = getattr(model, "model_fields", {}).get(step)
        model = _model_in(field.annotation) if field else model
    return set(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """Find the model inside a type such as list[X], dict[str, X] or X | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
