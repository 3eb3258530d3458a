"""`pgaudit version`: what this installation is made of, without importing what it is made of."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import platform
import sys

from pgaudit import __version__
from pgaudit.catalog import find
from pgaudit.errors import Exit

REPORT_FORMAT = 1
CHECK_FORMAT = 1


def version(format_name: str) -> Exit:
    """Print versions as lines, or as JSON."""
    facts: dict[str, str | int | None] = {
        "pgaudit": __version__,
        "python": platform.python_version(),
        "psycopg": _installed("psycopg"),
        "libpq": _libpq(),
        "check_format": CHECK_FORMAT,
        "report_format": REPORT_FORMAT,
        "checks": len(find.sources()),
    }
    if format_name == "json":
        text = json.dumps(facts, indent=2)
    else:
        width = max(map(len, facts))
        text = "\n".join(
            f"{name.replace('_', ' '):{width}}  {'unknown' if value is None else value}"
            for name, value in facts.items()
        )
    sys.stdout.write(text + "\n")
    return Exit.CLEAN


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _libpq() -> str | None:
    """Ask the libpq that psycopg's wheel brings for its number, without loading psycopg around it.

    PQlibVersion: https://www.postgresql.org/docs/current/libpq-misc.html
    """
    try:
        files = importlib.metadata.files("psycopg-binary") or []
        found = next(f for f in files if f.name.startswith("libpq") and ".so" in f.name)
        number = int(ctypes.CDLL(str(found.locate())).PQlibVersion())
    except (importlib.metadata.PackageNotFoundError, StopIteration, OSError, AttributeError):
        return None
    return f"{number // 10000}.{number % 10000}"
