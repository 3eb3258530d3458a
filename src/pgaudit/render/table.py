"""A report → what a person sees on a terminal: grouped by check, worst first, ending in a verdict."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pgaudit import units
from pgaudit.model import (
    Finding,
    Reason,
    Report,
    Result,
    Server,
    Severity,
    Status,
    TargetReport,
)
from pgaudit.render import text
from pgaudit.render.style import Style

ROWS = 10
"""Findings of one check that are listed unless --verbose asks for all."""

INDENT = 2
GAP = 3

NARROW = 70
"""Columns below which a finding's detail goes under its object instead of beside it."""

_COLORS = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}


def render(report: Report, style: Style) -> str:
    """Return the report as a terminal shows it; names are never cut, sentences fold."""
    if style.quiet > 1:
        return ""
    out = io.StringIO()
    console = Console(
        file=out,
        width=style.width,
        force_terminal=style.color,
        no_color=not style.color,
        color_system="standard" if style.color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    for block in _blocks(report, style):
        console.print(block)
    lines = (line.rstrip() for line in out.getvalue().splitlines())
    return "\n".join(lines).strip("\n") + "\n"


def _blocks(report: Report, style: Style) -> Iterator[RenderableType]:
    for target in report.targets:
        yield _header(target, style)
        yield Text()
        if target.failure is not None:
            yield from _failure(target, style)
        for group in text.groups(target.results):
            yield from _group(group, style)
            yield Text()
        yield from _not_run(target.results, style)
        if style.verbose:
            yield from _timings(target.results)
    yield from _verdict(report, style)


def _header(target: TargetReport, style: Style) -> Text:
    server = target.server
    if server is None:
        return Text(style.words(target.label), style="bold")
    parts = [
        f"{server.database} on {target.label.partition('@')[2] or target.label}",
        f"PostgreSQL {server.version}",
        server.role,
        *_ages(server),
    ]
    head = Text(style.words(parts[0]), style="bold")
    head.append(style.words("".join(f" · {part}" for part in parts[1:])), style="not bold")
    return head


def _ages(server: Server) -> Iterator[str]:
    if server.started_at is not None:
        up = max(1, round((server.now - server.started_at).total_seconds()))
        yield f"up {units.show_duration(up)}"
    window = server.windows.get("pg_stat_database")
    if window is not None:
        yield f"statistics since {window.start:%Y-%m-%d}"


def _failure(target: TargetReport, style: Style) -> Iterator[RenderableType]:
    failure = target.failure
    if failure is None:
        return
    yield Text(style.words(failure.message), style=_COLORS[Severity.CRITICAL])
    for word, said in (("server", failure.server), ("try", failure.hint)):
        if said:
            yield Padding(Text(f"{word}: {style.words(said)}"), (0, 0, 0, 2))
    yield Text()


def _group(group: text.Group, style: Style) -> Iterator[RenderableType]:
    yield _title(group, style)
    shown = group.findings if style.verbose else group.findings[:ROWS]
    yield Padding(_rows(shown, style), (0, 0, 0, INDENT))
    hidden = len(group.findings) - len(shown)
    if hidden:
        yield Text(f"  and {hidden:,} more (--verbose)", style="dim")
    if group.result.truncated:
        yield Text("  and more than pgaudit reads of one check", style="dim")
    yield from _notes(group, style)


def _title(group: text.Group, style: Style) -> Text:
    color = _COLORS[group.severity]
    count = text.many(len(group.findings), "finding")
    at_least = "at least " if group.result.truncated else ""
    return Text.assemble(
        (style.words(f"{text.SYMBOLS[group.severity]} {group.severity.word:8}  "), color),
        (group.check.id, "bold"),
        (style.words(f"   {group.check.category} · {at_least}{count}"), "dim"),
    )


def _rows(findings: Sequence[Finding], style: Style) -> RenderableType:
    """Lay out symbol, object, measure and detail; on a narrow screen the detail goes below.

    The widths are counted here: a column whose width is left to be found would be cut, not folded.
    """
    mixed = len({f.severity for f in findings}) > 1
    if style.width < NARROW:
        return Group(*(line for f in findings for line in _stacked(f, style, mixed=mixed)))
    room = style.width - INDENT - (2 if mixed else 0)
    name = min(max(cell_len(style.words(f.object.display)) for f in findings), room // 2)
    measure = max(cell_len(text.measured(f)) for f in findings)
    table = Table.grid(padding=(0, GAP, 0, 0))
    if mixed:
        table.add_column(width=1)
    table.add_column(width=name, overflow="fold")
    if measure:
        table.add_column(width=measure, justify="right", no_wrap=True)
    table.add_column(width=room - name - measure - GAP * (3 if measure else 2), overflow="fold")
    for finding in findings:
        cells = [Text(style.words(finding.object.display))]
        cells += [Text(text.measured(finding))] if measure else []
        cells.append(Text(style.words(finding.detail)))
        table.add_row(*([_symbol(finding, style)] if mixed else []), *cells)
    return table


def _stacked(finding: Finding, style: Style, *, mixed: bool) -> Iterator[RenderableType]:
    line = _symbol(finding, style).append(" ") if mixed else Text()
    line.append(style.words(finding.object.display), style="default not bold")
    measure = text.measured(finding)
    if measure:
        line.append(f"  {measure}", style="default not bold")
    line.overflow = "fold"
    yield line
    yield Padding(Text(style.words(finding.detail), overflow="fold"), (0, 0, 0, INDENT))


def _symbol(finding: Finding, style: Style) -> Text:
    return Text(style.words(text.SYMBOLS[finding.severity]), style=_COLORS[finding.severity])


def _notes(group: text.Group, style: Style) -> Iterator[RenderableType]:
    """Say once for the whole group what to do; the statement is the first finding's."""
    first, others = group.findings[0], len(group.findings) - 1
    yield Padding(Text(style.words(f"→ {first.remedy.text}")), (0, 0, 0, INDENT))
    if style.quiet:
        return
    lines: list[tuple[str, str]] = []
    if first.remedy.sql:
        lines += [(line, "cyan") for line in first.remedy.sql.splitlines()]
        rest = f"the other {others:,}" if others > 1 else "the other"
        lines += [(f"and likewise for {rest}", "dim")] if others else []
    if first.remedy.impact:
        lines.append((f"impact: {first.remedy.impact}", "dim"))
    if first.window is not None:
        lines.append((f"evidence: counted {text.since(first.window)}", "dim"))
    if style.verbose:
        lines += [(f"fine if: {said}", "dim") for said in group.check.false_positives]
    for line, look in lines:
        yield Padding(Text(style.words(line), style=look), (0, 0, 0, INDENT + 2))


def _not_run(results: Sequence[Result], style: Style) -> Iterator[RenderableType]:
    left = text.not_run(results)
    if not left or style.quiet:
        return
    yield Text(f"{text.many(len(left), 'check')} not run", style="bold")
    lines = [(Text(style.words(r.check.id)), _why(r, reason, style)) for r, reason in left]
    if style.width < NARROW:
        for name, said in lines:
            yield Padding(name, (0, 0, 0, INDENT))
            yield Padding(said, (0, 0, 0, 2 * INDENT))
    else:
        width = min(max(len(result.check.id) for result, _ in left), style.width // 2)
        table = Table.grid(padding=(0, GAP, 0, 0))
        table.add_column(width=width, overflow="fold")
        table.add_column(width=style.width - INDENT - width - 2 * GAP, overflow="fold")
        for cells in lines:
            table.add_row(*cells)
        yield Padding(table, (0, 0, 0, INDENT))
    yield Text()


def _why(result: Result, reason: Reason, style: Style) -> Text:
    said = Text(style.words(reason.text))
    if result.status is Status.ERRORED:
        said = Text("failed: ", style=_COLORS[Severity.WARNING]).append(said)
    if reason.where:
        said.append(f" ({style.words(reason.where)})", style="dim")
    if reason.cure:
        said.append(f":  {style.words(reason.cure)}")
    return said


def _timings(results: Sequence[Result]) -> Iterator[RenderableType]:
    asked = [r for r in results if r.status is not Status.SKIPPED]
    if not asked:
        return
    yield Text("time for each question", style="bold")
    for result in sorted(asked, key=lambda r: -r.seconds):
        yield Text(f"  {result.check.id:36} {units.show_duration(result.seconds):>10}")
    yield Text()


def _verdict(report: Report, style: Style) -> Iterator[RenderableType]:
    if report.interrupted:
        yield Text("Interrupted: this is what was known by then.", style=_COLORS[Severity.WARNING])
    yield Text(text.findings_line(report), style="bold")
    seconds = units.show_duration(float(f"{report.seconds:.2g}"))
    yield Text(f"{text.checks_line(report)}   {seconds}")
    worst = max(report.findings, key=lambda f: f.severity, default=None)
    if worst is not None:
        line = f"Worst: {worst.check} on {style.words(worst.object.display)}."
        yield Text(f"{line}   pgaudit explain {worst.check}")
    if not report.complete:
        yield Text(
            "Incomplete: not everything could be looked at.", style=_COLORS[Severity.WARNING]
        )
    elif not report.gated:
        gate = (
            f"Nothing at or above {report.fail_on.word}." if report.fail_on else "No gate was set."
        )
        yield Text(gate, style="green")
