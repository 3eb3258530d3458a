"""`pgaudit check`: audit each target, print the report, answer with a verdict."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

from pgaudit import __version__, audit, window
from pgaudit.commands import choice, console, output, target, watch
from pgaudit.commands.once import Once
from pgaudit.commands.options import Options
from pgaudit.errors import Exit, TargetError, UsageError
from pgaudit.model import (
    Check,
    Failure,
    Reason,
    Report,
    Result,
    Server,
    Status,
    Target,
    TargetReport,
)
from pgaudit.plan import PlannedTarget
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Question


def check(options: Options, environ: Mapping[str, str]) -> Exit:
    """Audit and report. Raises UsageError and CheckError before anything is connected to."""
    wanted = output.destinations(options.showing)
    writes_json = any(d.format.startswith("json") for d in wanted)
    if options.dry_run and options.showing.files:
        raise UsageError(
            "--dry-run writes no report.", hint="leave out --output; the plan goes to stdout"
        )
    checks = choice.load(options.choosing)
    targets = target.resolve(options.connecting, environ)
    watching = watch.watch(options, checks, writes_json=writes_json)
    if options.dry_run:
        return _plan(targets, checks, options, environ, watching)
    report = run(targets, checks, options, environ, watching)
    if report.interrupted or any(t.server is not None for t in report.targets):
        output.write(report, wanted, options.showing, environ)
    return verdict(report)


def verdict(report: Report) -> Exit:
    """Turn a report into an exit code; an incomplete audit outranks what it found."""
    if report.interrupted:
        return Exit.INTERRUPTED
    if not report.complete:
        return Exit.INCOMPLETE
    return Exit.FINDINGS if report.gated else Exit.CLEAN


def run(
    targets: Sequence[Target],
    checks: Sequence[Check],
    options: Options,
    environ: Mapping[str, str],
    watching: watch.Watch | None = None,
) -> Report:
    """Audit targets one after the other; what cannot be connected to is said on stderr and kept.

    With a window all databases are sampled first, so that they share one wait.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    quiet = options.showing.quiet
    with console.Progress(shown=console.watched(environ, quiet=quiet)) as progress:
        watching = watching or watch.watch(options, checks)
        running = _Run(checks, options, progress, watching)
        try:
            if options.window is not None:
                for one in targets:
                    watching.take(one, options, progress)
                watching.wait(lambda text: watch.announced(text, progress, environ, quiet))
            for one in targets:
                running.target(one)
        except KeyboardInterrupt:
            running.interrupted = True
            running.unasked()
    return Report(
        version=__version__,
        started_at=started,
        seconds=time.monotonic() - clock,
        fail_on=options.fail_on,
        targets=tuple(running.reports),
        strict=options.strict,
        interrupted=running.interrupted,
    )


class _Run:
    """The state of one run: reports so far, and whether the user stopped it."""

    def __init__(
        self,
        checks: Sequence[Check],
        options: Options,
        progress: console.Progress,
        watching: watch.Watch,
    ) -> None:
        self.checks = checks
        self.options = options
        self.progress = progress
        self.watching = watching
        self.reports: list[TargetReport] = []
        self.interrupted = False

    def target(self, one: Target) -> None:
        self.progress.say(
            f"connecting to {one.label}" + (f" (from {one.origin})" if one.origin else "")
        )
        if self.options.showing.verbose and one.origin:
            print(f"{one.label} comes from {one.origin}", file=sys.stderr)
        before, once = len(self.reports), Once()
        try:
            with closing(target.sessions(one, self.options.connecting)) as opened:
                for session in opened:
                    if isinstance(session, tuple):
                        self.failed(session[0].label, session[1])
                    else:
                        self.database(session, once)
        except TargetError as error:
            self.failed(one.label, error)
        finally:
            self.reports[before:] = _settled(self.reports[before:], once)

    def database(self, session: Session, once: Once) -> None:
        """Audit one database; checks of the whole server are asked where they first can be."""
        try:
            server = target.described(session, self.options.connecting)
            difference, sample = self.watching.compared(
                session, server, keep=self.options.with_samples
            )
        except TargetError as error:
            self.failed(session.place, error)
            return
        notes = difference.notes if difference is not None else ()
        for note in notes:
            self.noted(f"{session.place}: {note}")
        asked = once.due(self.checks)
        limits = audit.Limits(self.options.connecting.timeout)
        progress = audit.Progress(on_start=self.progress.checking, on_question=self.question)
        try:
            audit.audit(session, server, asked, limits, progress, difference)
        except KeyboardInterrupt:
            progress.results += _stopped(asked[len(progress.results) :], server)
            raise
        finally:
            once.note((r.check, r.reason) for r in progress.results)
            seen = server
            if difference is not None:
                said = {"pg_stat_database": difference.window}  # what a report says in its head
                windows = {**server.windows, **said, **difference.windows}
                seen = dataclasses.replace(server, windows=windows)
            self.reports.append(
                TargetReport(
                    session.place, seen, tuple(progress.results), notes=notes, sample=sample
                )
            )

    def unasked(self) -> None:
        """Report the databases that were sampled, but not audited before the interruption."""
        known, once = {report.label for report in self.reports}, Once()
        for place, server in self.watching.seen:
            if place not in known:
                results = tuple(_stopped(once.due(self.checks), server))
                self.reports.append(TargetReport(place, server, results))

    def noted(self, text: str) -> None:
        if not self.options.showing.quiet:
            self.progress.clear()
            print(f"pgaudit: {text}", file=sys.stderr)

    def question(self, check: Check, question: Question) -> None:
        if self.options.showing.verbose > 1:
            self.progress.clear()
            print(f"-- {check.id}\n{question.text};", file=sys.stderr)

    def failed(self, label: str, error: TargetError) -> None:
        self.progress.clear()
        print(*error.lines(), sep="\n", file=sys.stderr)
        failure = Failure(error.message, error.server, error.hint)
        self.reports.append(TargetReport(label, None, failure=failure))


def _stopped(checks: Iterable[Check], server: Server) -> list[Result]:
    stopped = Reason("interrupted", "the audit was interrupted before it was asked")
    return [Result(c, Status.SKIPPED, server.database, reason=stopped) for c in checks]


def _settled(reports: Sequence[TargetReport], once: Once) -> list[TargetReport]:
    """Take out the checks of the whole server that another of its databases speaks for."""
    redundant = once.redundant([[(r.check, r.reason) for r in one.results] for one in reports])
    return [
        dataclasses.replace(one, results=tuple(r for r in one.results if r.check.id not in left))
        for one, left in zip(reports, redundant, strict=True)
    ]


def _plan(
    targets: Sequence[Target],
    checks: Sequence[Check],
    options: Options,
    environ: Mapping[str, str],
    watching: watch.Watch,
) -> Exit:
    """Print what would run and what would not, and ask no check."""
    from pgaudit.render import plan

    planned: list[PlannedTarget] = []
    for one in targets:
        planned += _planned(one, checks, options, watching)
    if all(p.server is None for p in planned):
        return Exit.INCOMPLETE
    showing = options.showing
    style = console.style(
        sys.stdout, environ, color=showing.color, verbose=showing.verbose, quiet=showing.quiet
    )
    written = plan.write_json if (showing.format or "").startswith("json") else plan.render
    output.emit(written(planned, style))
    return Exit.INCOMPLETE if any(p.failure for p in planned) else Exit.CLEAN


def _planned(
    one: Target, checks: Sequence[Check], options: Options, watching: watch.Watch
) -> list[PlannedTarget]:
    planned: list[PlannedTarget] = []
    once = Once()
    try:
        with closing(target.sessions(one, options.connecting)) as opened:
            for session in opened:
                if isinstance(session, tuple):
                    planned.append(_unreachable(session[0].label, session[1]))
                else:
                    planned.append(_planned_in(session, once, checks, options, watching))
    except TargetError as error:
        planned.append(_unreachable(one.label, error))
    redundant = once.redundant([p.entries for p in planned])
    return [
        dataclasses.replace(p, entries=tuple(e for e in p.entries if e[0].id not in left))
        for p, left in zip(planned, redundant, strict=True)
    ]


def _planned_in(
    session: Session,
    once: Once,
    checks: Sequence[Check],
    options: Options,
    watching: watch.Watch,
) -> PlannedTarget:
    try:
        server = target.described(session, options.connecting)
    except TargetError as error:
        return _unreachable(session.place, error)
    over = watching.expected(server, session.place)
    entries = tuple((c, window.why_not(c, server, over)) for c in once.due(checks))
    once.note(entries)
    return PlannedTarget(session.place, server, entries, None)


def _unreachable(label: str, error: TargetError) -> PlannedTarget:
    print(*error.lines(), sep="\n", file=sys.stderr)
    return PlannedTarget(label, None, (), Failure(error.message, error.server, error.hint))
