"""Words that several renderers share: safe text, windows, groups, totals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pgaudit import units
from pgaudit.evidence import Window
from pgaudit.model import Check, Finding, Reason, Report, Result, Severity, Status

_ASCII = str.maketrans(
    {"●": "i", "▲": "!", "✖": "x", "→": "->", "·": "-", "…": "...", "≥": ">=", "≤": "<=", "✓": "ok"}
)
SYMBOLS = {Severity.INFO: "●", Severity.WARNING: "▲", Severity.CRITICAL: "✖"}


def safe(text: str) -> str:
    r"""Escape whatever a terminal would not show as itself, so that a name can draw nothing.

    >>> print(safe("a\x1b[2Jb\nc\u202ed"))
    a\x1b[2Jb\nc\u202ed
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def ascii_only(text: str) -> str:
    r"""Replace symbols that have an ASCII form and escape the rest.

    >>> print(ascii_only("✖ critical · → é"))
    x critical - -> \xe9
    """
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def many(count: int, noun: str) -> str:
    """Count things.

    >>> many(1, "finding"), many(1200, "finding")
    ('1 finding', '1,200 findings')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def since(window: Window) -> str:
    """Say what the counters cover.

    >>> from datetime import UTC, datetime
    >>> since(Window(datetime(2025, 9, 1, tzinfo=UTC), "reset stamp"))
    'since 2025-09-01 00:00 UTC (reset stamp)'
    """
    return window.words


def covered(findings: Iterable[Finding]) -> str:
    """Say what the counters of several findings cover; entries may have starts of their own."""
    windows = sorted({f.window for f in findings if f.window is not None}, key=_start)
    if len(windows) < 2:
        return since(windows[0]) if windows else ""
    first, last = (units.show("timestamp", w.start) for w in (windows[0], windows[-1]))
    sources = ", ".join(dict.fromkeys(w.source for w in windows))
    between = f"{first} at the earliest, {last} at the latest" if first != last else first
    return f"since {between} ({sources})"


def _start(window: Window) -> tuple[datetime, str]:
    return window.start, window.source


def measured(finding: Finding) -> str:
    """Write a finding's measure with its unit, or nothing."""
    return units.show(finding.measure.kind, finding.measure.value) if finding.measure else ""


@dataclass(frozen=True, slots=True)
class Group:
    """The findings of one check in one target, worst first."""

    result: Result
    findings: tuple[Finding, ...]

    @property
    def check(self) -> Check:
        """The check."""
        return self.result.check

    @property
    def severity(self) -> Severity:
        """The worst severity of the group."""
        return self.findings[0].severity


def groups(results: Iterable[Result]) -> list[Group]:
    """Group findings by check, worst group first; inside, worst first, else as the check ordered them."""
    made = [
        Group(r, tuple(sorted(r.findings, key=lambda f: -f.severity)))
        for r in results
        if r.findings
    ]
    return sorted(made, key=lambda g: -g.severity)


def not_run(results: Iterable[Result]) -> list[tuple[Result, Reason]]:
    """Return what was skipped or errored, with the reason; errors first."""
    left = [(r, r.reason) for r in results if r.reason is not None]
    return sorted(left, key=lambda pair: pair[0].status is not Status.ERRORED)


def findings_line(report: Report) -> str:
    """Count the findings; the parts add up to the whole."""
    counts = {s: sum(f.severity is s for f in report.findings) for s in reversed(Severity)}
    parts = ", ".join(f"{count:,} {s.word}" for s, count in counts.items() if count)
    total = many(len(report.findings), "finding")
    return f"{total}: {parts}" if parts else "No findings"


def checks_line(report: Report) -> str:
    """Count the checks by what became of them, over all targets."""
    counts = report.count(Status)
    words = {
        Status.PASSED: "passed",
        Status.FAILED: "with findings",
        Status.SKIPPED: "not run",
        Status.ERRORED: "failed to run",
    }
    parts = ", ".join(f"{counts[s]:,} {word}" for s, word in words.items() if counts[s])
    return f"{many(sum(counts.values()), 'check')}: {parts}" if parts else "0 checks"
