"""Selection tokens → the checks that are asked for."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence

from pgaudit.catalog.format import CATEGORIES
from pgaudit.errors import EVERY_CHECK, UsageError
from pgaudit.model import Check

STATUSES = ("stable", "preview")


def select(
    checks: Sequence[Check],
    *,
    chosen: Sequence[str] = (),
    extended: Sequence[str] = (),
    ignored: Sequence[str] = (),
    preview: bool = False,
) -> list[Check]:
    """Return the checks that tokens choose, in the order of categories and ids.

    `chosen` replaces the default (stable), `extended` adds, `ignored` removes and wins. A token is an
    id, an alias, a category, `tag:word`, a glob, `stable`, `preview` or `all`. Deprecated checks
    run only by name. Raises UsageError for a token that matches nothing.
    """
    for token in (*chosen, *extended, *ignored):
        if not any(_matches(token, check) for check in checks) and token not in known(checks):
            raise UsageError(f"No check is called '{token}'.", hint=_suggestion(token, checks))
    base = (*(chosen or ("stable",)), *(("preview",) if preview else ()), *extended)
    kept = [
        check
        for check in checks
        if any(_matches(token, check) for token in base)
        and not any(_matches(token, check) for token in ignored)
    ]
    return sorted(kept, key=lambda check: (_rank(check.category), check.category, check.id))


def known(checks: Iterable[Check]) -> set[str]:
    """Return every word that can be selected by, globs apart."""
    words = {"all", *STATUSES}
    for check in checks:
        words |= {check.id, *check.aliases, check.category, *(f"tag:{tag}" for tag in check.tags)}
    return words


def _matches(token: str, check: Check) -> bool:
    if token in (check.id, *check.aliases):
        return True
    if check.status == "deprecated":
        return False
    if token in (check.category, check.status, "all"):
        return True
    if token.startswith("tag:"):
        return token.removeprefix("tag:") in check.tags
    return any(c in token for c in "*?[") and fnmatch.fnmatchcase(check.id, token)


def _rank(category: str) -> int:
    return CATEGORIES.index(category) if category in CATEGORIES else len(CATEGORIES)


def _suggestion(token: str, checks: Sequence[Check]) -> str:
    words = sorted(known(checks))
    near = difflib.get_close_matches(token, words, n=3, cutoff=0.5)
    near += [w for w in words if token and token in w and w not in near][: 3 - len(near)]
    return f"did you mean {', '.join(near)}?" if near else EVERY_CHECK
