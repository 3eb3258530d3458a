"""A report → lines of fields between tabs, for pipes: nothing cut, nothing coloured, a stable order.

Fields: severity, check, object, measure, detail, database, since. A check that was not run or failed to
run is a line as well, with `skipped` or `errored` in place of a severity and the reason as detail; so
is a target that could not be reached, as `unreachable` with its label as object, and a check that found
more than is listed, as `truncated`. The last field
says what the evidence covers, and is empty where none is counted.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgaudit import units
from pgaudit.model import Finding, Reason, Report, Result, TargetReport
from pgaudit.render import text
from pgaudit.render.style import Style

Fields = tuple[str, ...]


def render(report: Report, style: Style) -> str:
    """Return one line for each finding, and for each check that was not run."""
    if style.quiet > 1:
        return ""
    lines = [line for target in report.targets for line in _target(target, style)]
    return "".join("\t".join(map(style.words, fields)).rstrip("\t") + "\n" for fields in lines)


def _target(target: TargetReport, style: Style) -> Iterator[Fields]:
    if target.failure is not None:
        said = " ".join(filter(None, (target.failure.message, target.failure.server)))
        yield "unreachable", "", target.label, "", said
    for group in text.groups(target.results):
        for finding in group.findings:
            yield _finding(finding, group.result)
        if group.result.truncated:
            count = len(group.findings)
            said = f"at least {count:,} findings"
            yield "truncated", group.check.id, "", "", said, group.result.database
    if not style.quiet:
        for result, reason in text.not_run(target.results):
            yield _not_run(result, reason)


def _finding(finding: Finding, result: Result) -> Fields:
    window = finding.window
    return (
        finding.severity.word,
        finding.check,
        finding.object.display,
        text.measured(finding),
        finding.detail,
        result.database,
        f"{units.to_json(window.start)} ({window.source})" if window else "",
    )


def _not_run(result: Result, reason: Reason) -> Fields:
    said = reason.text + (f": {reason.cure}" if reason.cure else "")
    where = f" ({reason.where})" if reason.where else ""
    return result.status.value, result.check.id, "", "", said + where, result.database
