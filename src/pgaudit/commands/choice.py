"""Selection options of the command line → the checks that will be asked."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from pgaudit import override
from pgaudit.catalog import find
from pgaudit.catalog.select import select
from pgaudit.commands.options import Choosing
from pgaudit.errors import UsageError
from pgaudit.model import Check


def load(choosing: Choosing) -> list[Check]:
    """Load every check, apply --set, and select; raises UsageError and CheckError."""
    overrides = [override.parse(text) for text in choosing.settings]
    sources = find.sources(choosing.folders)
    loaded = find.checks(sources, wanted=lambda s: _wanted(s, choosing))
    try:
        selected = select(
            override.apply(loaded, overrides),
            chosen=choosing.chosen,
            extended=choosing.extended,
            ignored=choosing.ignored,
            preview=choosing.preview,
        )
    except UsageError:
        # The word may be what a file left out as broken would have brought.
        find.checks(sources)
        raise
    if not selected:
        raise UsageError(
            "No check is left to run.", hint="pgaudit list shows what a selection means"
        )
    return selected


def _wanted(source: find.Source, choosing: Choosing) -> bool:
    """Guess from its name whether a file that cannot be read as a check was asked for."""
    if source.stem in choosing.ignored:
        return False
    if not choosing.chosen:
        return True
    broad = {"all", "stable", "preview", Path(source.file).parent.name}
    return any(
        token in broad or token.startswith("tag:") or fnmatch.fnmatchcase(source.stem, token)
        for token in (*choosing.chosen, *choosing.extended)
    )
