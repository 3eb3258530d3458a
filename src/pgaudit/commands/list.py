"""`pgaudit list`: every check with severity, category and status."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from pgaudit.catalog import find, pages
from pgaudit.catalog.select import select
from pgaudit.commands import console, output
from pgaudit.commands.options import Choosing
from pgaudit.errors import Exit, UsageError
from pgaudit.model import Check

FORMATS = ("table", "plain", "json")


def list_checks(
    choosing: Choosing, format_name: str | None, *, origin: bool, environ: Mapping[str, str]
) -> Exit:
    """Print the selected checks, or all of them where nothing was selected. Raises UsageError."""
    name = format_name or ("table" if sys.stdout.isatty() else "plain")
    if name not in FORMATS:
        raise UsageError(f"'{name}' is no format of list.", hint=f"known are {', '.join(FORMATS)}")
    checks = find.checks(find.sources(choosing.folders))
    chosen = select(
        checks,
        chosen=choosing.chosen or ("all",),
        extended=choosing.extended,
        ignored=choosing.ignored,
        preview=choosing.preview,
    )
    if name == "json":
        output.emit(json.dumps([_entry(c) for c in chosen], indent=2, ensure_ascii=False))
        return Exit.CLEAN
    rows = [(c.id, c.category, pages.severities(c), c.status, c.title, *((c.origin,) if origin else ()))
            for c in chosen]  # fmt: skip
    heads = ("check", "category", "severity", "status", "title", *(("origin",) if origin else ()))
    if name == "plain":
        output.emit("\n".join("\t".join(row) for row in rows))
    else:
        _table(heads, rows, environ)
    return Exit.CLEAN


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], environ: Mapping[str, str]) -> None:
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        made.add_column(head, no_wrap=head in ("check", "category"), overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    made.caption = f"{len(rows)} checks. pgaudit explain CHECK tells more."
    made.caption_justify = "left"
    text = io.StringIO()
    colored = console.colored(sys.stdout, "auto", environ)
    Console(
        file=text, width=console.width(sys.stdout, environ), force_terminal=colored, no_color=not colored,
        highlight=False,
    ).print(made)  # fmt: skip
    output.emit("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def _entry(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "title": check.title,
        "category": check.category,
        "tags": [*check.tags],
        "severity": pages.severities(check),
        "status": check.status,
        "since": check.since,
        "scope": check.scope,
        "role": check.role,
        "origin": check.origin,
        "file": check.file,
    }
