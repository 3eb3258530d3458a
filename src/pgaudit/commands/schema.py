"""`pgaudit schema`: the JSON Schemas that this version speaks."""

from __future__ import annotations

import importlib.resources
import json
import sys

from pgaudit.errors import Exit, UsageError

NAMES = ("check", "report")


def schema(name: str) -> Exit:
    """Print the schema of check files or of JSON reports. Raises UsageError for another name."""
    if name == "check":
        from pgaudit.catalog import format as check_format

        text = json.dumps(check_format.schema(), indent=2) + "\n"
    elif name == "report":
        found = importlib.resources.files("pgaudit.render") / "report.schema.json"
        text = found.read_text(encoding="utf-8")
    else:
        raise UsageError(f"There is no schema '{name}'.", hint=f"known are {', '.join(NAMES)}")
    sys.stdout.write(text)
    return Exit.CLEAN
