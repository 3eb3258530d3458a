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
from pgaudit.render.fold import fold
from pgaudit.render.style import Style

ROWS = 10
"""Findings of one check that are listed unless --verbose asks for all."""

INDENT = 2
GAP = 3

READABLE = 30
"""Columns that a detail needs, where it is that long, before names get lines of their own."""

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
        console.print(block, crop=False)
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
        f"{server.database} on {target.label.rpartition('@')[2] or target.label}",
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
        yield f"statistics {window.brief}"


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
    yield from _title(group, style)
    shown = group.findings if style.verbose else group.findings[:ROWS]
    yield Padding(_rows(shown, style), (0, 0, 0, INDENT))
    hidden = len(group.findings) - len(shown)
    if hidden:
        yield Text(f"  and {hidden:,} more (--verbose)", style="dim")
    if group.result.truncated:
        yield Text("  and more than pgaudit reads of one check", style="dim")
    yield from _notes(group, style)


def _title(group: text.Group, style: Style) -> Iterator[Text]:
    color = _COLORS[group.severity]
    count = text.many(len(group.findings), "finding")
    at_least = "at least " if group.result.truncated else ""
    head = Text.assemble(
        (style.words(f"{text.SYMBOLS[group.severity]} {group.severity.word:8}  "), color),
        (group.check.id, "bold"),
    )
    tail = Text(style.words(f"{group.check.category} · {at_least}{count}"), style="dim")
    if head.cell_len + GAP + tail.cell_len <= style.width:
        yield Text.assemble(head, " " * GAP, tail)
    else:
        yield head
        yield Text(" " * INDENT).append_text(tail)


def _rows(findings: Sequence[Finding], style: Style) -> RenderableType:
    """Lay out symbol, object, measure and detail in columns.

    Names stay whole: one that would leave no room for its detail gets a line of its own, as all do
    on a narrow screen. The widths are counted here: a column left to find its own would cut.
    """
    mixed = len({f.severity for f in findings}) > 1
    indent = 2 if mixed else 0
    measure = max(cell_len(text.measured(f)) for f in findings)
    room = style.width - INDENT - indent - (GAP + measure if measure else 0) - GAP
    detail = max(cell_len(style.words(f.detail)) for f in findings)
    longest = max(room // 2, room - min(detail, READABLE))
    fitting = [n for f in findings if (n := cell_len(style.words(f.object.display))) <= longest]
    column = 0 if style.width < NARROW else max(fitting, default=0)
    widths = [column, *([measure] if measure else []), room - column]
    blocks: list[RenderableType] = []
    for finding in findings:
        name = Text(style.words(finding.object.display))
        lines = (
            _stacked(finding, name, style) if column == 0 else _beside(finding, name, style, widths)
        )
        symbol = _symbol(finding, style)
        for line in lines:
            cells = [symbol, line] if mixed else [line]
            blocks.append(
                _columns([1] * (len(cells) - 1) + [style.width - INDENT - indent], cells, 1)
            )
            symbol = Text()
    return Group(*blocks)


def _beside(
    finding: Finding, name: Text, style: Style, widths: Sequence[int]
) -> Iterator[RenderableType]:
    """Put a finding on one line, or two if its name is wider than the column for names."""
    if name.cell_len > widths[0]:
        yield name
        name = Text()
    measure = [Text(text.measured(finding), justify="right")] if len(widths) > 2 else []
    yield _columns(widths, [name, *measure, Text(style.words(finding.detail))], GAP)


def _stacked(finding: Finding, name: Text, style: Style) -> Iterator[RenderableType]:
    """Put a finding on lines of its own; the measure stays with the name where there is room."""
    measure, detail = text.measured(finding), style.words(finding.detail)
    room = style.width - 2 * INDENT
    if measure and name.cell_len + 2 + cell_len(measure) <= room:
        name.append(f"  {measure}")
    elif measure:
        detail = f"{measure}  {detail}"
    yield name
    yield Padding(Text(detail, overflow="fold"), (0, 0, 0, INDENT))


def _columns(widths: Sequence[int], cells: Sequence[RenderableType], gap: int) -> Table:
    """Put cells beside each other; what is too long folds inside its column."""
    table = Table.grid(padding=0)
    spaced: list[RenderableType] = []
    for width, cell in zip(widths, cells, strict=True):
        if spaced:
            table.add_column(width=gap)
            spaced.append(Text())
        table.add_column(width=width, overflow="fold")
        spaced.append(cell)
    table.add_row(*spaced)
    return table


def _symbol(finding: Finding, style: Style) -> Text:
    return Text(style.words(text.SYMBOLS[finding.severity]), style=_COLORS[finding.severity])


def _notes(group: text.Group, style: Style) -> Iterator[RenderableType]:
    """Say once for the whole group what to do; the statement is the first finding's."""
    first, others = group.findings[0], len(group.findings) - 1
    yield Padding(Text(style.words(f"→ {first.remedy.text}")), (0, 0, 0, INDENT))
    if style.quiet:
        return
    for line in (first.remedy.sql or "").splitlines():
        yield _statement(line, style)
    said = []
    if first.remedy.sql and others:
        said.append(f"and likewise for the other{f' {others:,}' if others > 1 else ''}")
    if first.remedy.impact:
        said.append(f"impact: {first.remedy.impact}")
    counted = text.covered(group.findings)
    if counted:
        said.append(f"evidence: counted {counted}")
    if style.verbose:
        said += [f"fine if: {one}" for one in group.check.false_positives]
    for line in said:
        yield Padding(Text(style.words(line), style="dim"), (0, 0, 0, 2 * INDENT))


def _statement(sql: str, style: Style) -> RenderableType:
    """Write SQL that can be copied: what cannot be folded safely is left to the terminal."""
    lines = fold(style.words(sql), style.width - 2 * INDENT)
    # In a group, because a console joins bare texts and then forgets that these must not fold.
    return Group(
        *(
            Text(" " * 2 * INDENT + line, style="cyan", no_wrap=True, overflow="ignore")
            for line in lines
        )
    )


def _not_run(results: Sequence[Result], style: Style) -> Iterator[RenderableType]:
    left = text.not_run(results)
    if not left or style.quiet:
        return
    yield Text(f"{text.many(len(left), 'check')} not run", style="bold")
    column = min(max(len(result.check.id) for result, _ in left), style.width // 2)
    room = style.width - INDENT - column - GAP
    for result, reason in left:
        name, said = Text(style.words(result.check.id)), _why(result, reason, style)
        cure = style.words(reason.cure) if reason.cure else ""
        beside = style.width >= NARROW and said.cell_len + 3 + cell_len(cure) <= room
        if cure and beside:
            said.append(f":  {cure}")
        if style.width < NARROW:
            yield Padding(name, (0, 0, 0, INDENT))
            yield Padding(said, (0, 0, 0, 2 * INDENT))
        else:
            yield Padding(_columns([column, room], [name, said], GAP), (0, 0, 0, INDENT))
        if cure and not beside:
            yield _statement(cure, style)
    yield Text()


def _why(result: Result, reason: Reason, style: Style) -> Text:
    said = Text(style.words(reason.text))
    if result.status is Status.ERRORED:
        said = Text("failed: ", style=_COLORS[Severity.WARNING]).append(said)
    if reason.where:
        said.append(f" ({style.words(reason.where)})", style="dim")
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
        # A statement's number tells a reader nothing.
        where = "" if worst.object.kind == "query" else f" on {style.words(worst.object.display)}"
        line = f"Worst: {worst.check}{where}."
        yield Text(line)
        yield Text(f"pgaudit explain {worst.check}")
    if not report.complete:
        yield Text(
            "Incomplete: not everything could be looked at.", style=_COLORS[Severity.WARNING]
        )
    elif not report.gated:
        gate = (
            f"Nothing at or above {report.fail_on.word}." if report.fail_on else "No gate was set."
        )
        yield Text(gate, style="green")
