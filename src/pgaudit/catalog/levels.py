"""The `severity` key, in a check or in a proof → a `SeverityRule`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from pgaudit.catalog.format import SeverityEntry
from pgaudit.catalog.yamlfile import Document, Path
from pgaudit.model import Severity, SeverityRule
from pgaudit.units import KINDS, Value


def severity_rule(
    document: Document, path: Path, entry: str | SeverityEntry, columns: Mapping[str, str]
) -> SeverityRule:
    """Read a severity; the measure must be a number, the levels must rise in the worse direction.

    Faults go into the document; the rule returned is then incomplete.
    """
    if isinstance(entry, str):
        return SeverityRule(word=Severity[entry.upper()])
    kind = columns.get(entry.measure)
    if kind is None or not KINDS[kind].numeric:
        what = "is no column" if kind is None else f"is a {kind}, which is no number"
        document.fault((*path, "measure"), f"'{entry.measure}' {what}")
        return SeverityRule(measure=entry.measure, worse=entry.worse)
    levels: dict[Severity, Value] = {}
    for severity in Severity:
        amount = getattr(entry, severity.word)
        if amount is None:
            continue
        try:
            levels[severity] = KINDS[kind].read(amount)
        except ValueError as error:
            document.fault((*path, severity.word), str(error))
    if not any(getattr(entry, s.word) is not None for s in Severity):
        document.fault(path, "has no level", "give info, warning or critical a value")
    _rising(document, path, entry.worse, levels)
    return SeverityRule(measure=entry.measure, worse=entry.worse, levels=levels, shown=entry.shown)


def _rising(document: Document, path: Path, worse: str, levels: Mapping[Severity, Value]) -> None:
    ordered = [(s, float(str(levels[s]))) for s in sorted(levels)]
    for (mild, first), (bad, second) in pairwise(ordered):
        if (second <= first) if worse == "higher" else (second >= first):
            direction = "above" if worse == "higher" else "below"
            document.fault((*path, bad.word), f"is not {direction} {mild.word}")
