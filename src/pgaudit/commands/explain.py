"""`pgaudit explain`: everything about a check, offline."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pgaudit import override
from pgaudit.catalog import find, pages
from pgaudit.commands import console, output
from pgaudit.errors import EVERY_CHECK, Exit, UsageError, did_you_mean
from pgaudit.model import Check
from pgaudit.postgres import standin
from pgaudit.units import to_json

FORMATS = ("text", "markdown", "json")


def explain(
    names: Sequence[str],
    *,
    folders: Sequence[Path],
    settings: Sequence[str],
    sql: bool,
    major: int,
    format_name: str | None,
    environ: Mapping[str, str],
) -> Exit:
    """Print the pages of checks, or with `sql` their queries for a major version, ready for psql.

    Raises UsageError for a name that is no check.
    """
    name = format_name or ("text" if sys.stdout.isatty() else "markdown")
    if name not in FORMATS:
        raise UsageError(
            f"'{name}' is no format of explain.", hint=f"known are {', '.join(FORMATS)}"
        )
    loaded = find.checks(find.sources(folders), proofs=not sql)
    changed = override.apply(loaded, [override.parse(text) for text in settings])
    checks = [_named(changed, wanted) for wanted in names]
    if sql:
        output.emit("\n".join(_query(check, major) for check in checks))
    elif name == "json":
        entries = [_entry(check) for check in checks]
        output.emit(json.dumps(entries, indent=2, ensure_ascii=False))
    else:
        text = "\n".join(pages.page(check) for check in checks)
        output.emit(_rendered(text, environ) if name == "text" else text)
    return Exit.CLEAN


def _named(checks: Sequence[Check], name: str) -> Check:
    for check in checks:
        if name in (check.id, *check.aliases):
            return check
    hint = did_you_mean(name, (c.id for c in checks), EVERY_CHECK)
    raise UsageError(f"No check is called '{name}'.", hint=hint)


def _query(check: Check, major: int) -> str:
    variant = check.variant(major)
    query = None if variant is None else check.queries[variant]
    if query is None:
        raise UsageError(
            f"{check.id} has no query for PostgreSQL {major}.",
            hint=f"it needs PostgreSQL {min(check.queries)} or newer",
        )
    head = f"-- {check.id}: {check.title}, for PostgreSQL {major}\n"
    if check.requirements.extensions:
        named = ", ".join(check.requirements.extensions)
        head += f"-- The extension {named} is taken to be in the schema public.\n"
    return head + standin.for_psql(
        query, reads=check.reads, parameters=check.parameters, major=major
    )


def _rendered(text: str, environ: Mapping[str, str]) -> str:
    from rich.console import Console
    from rich.markdown import Markdown

    out = io.StringIO()
    colored = console.colored(sys.stdout, "auto", environ)
    width = min(console.width(sys.stdout, environ), 100)
    Console(file=out, width=width, force_terminal=colored, no_color=not colored).print(
        Markdown(text)
    )
    return out.getvalue()


def _entry(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "title": check.title,
        "category": check.category,
        "tags": [*check.tags],
        "status": check.status,
        "since": check.since,
        "severity": pages.severities(check),
        "why": check.why,
        "false_positives": [*check.false_positives],
        "scope": check.scope,
        "role": check.role,
        "reads": [*check.reads],
        "requires": {
            "privileges": [*check.requirements.privileges],
            "extensions": dict(check.requirements.extensions),
            "settings": dict(check.requirements.settings),
        },
        "parameters": {
            name: {"type": p.type, "default": to_json(p.default), "help": p.help}
            for name, p in check.parameters.items()
        },
        "message": check.message,
        "remediation": {
            "text": check.remedy.text,
            "sql": check.remedy.sql,
            "undo": check.remedy.undo,
            "impact": check.remedy.impact,
        },
        "references": [{"title": r.title, "url": r.url} for r in check.references],
        "proofs": [p.name for p in check.proofs],
        "file": check.file,
    }
