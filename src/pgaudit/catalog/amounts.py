"""A value that a person wrote in a unit → the value, or a fault at its line."""

from __future__ import annotations

from pgaudit import units
from pgaudit.catalog.yamlfile import Document, Path


def read(document: Document, path: Path, kind: str, value: object) -> units.Value:
    """Read a value in the unit `kind`; None stays None; what is no such value becomes a fault."""
    if value is None:
        return None
    try:
        return units.KINDS[kind].read(value)
    except ValueError as error:
        document.fault(path, str(error))
        return None
