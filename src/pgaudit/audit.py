"""Selected checks against one database → a result for each; nothing here prints or exits."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pgaudit import judge, made, window
from pgaudit.errors import QueryError, TargetError
from pgaudit.model import Check, Reason, Result, Row, Server, Status
from pgaudit.postgres.difference import Difference
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Given, Question, Surroundings, question

ROW_LIMIT = 1000
"""Rows of one check that are judged; more are said, not listed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one question may take, in seconds, unless its check says otherwise."""

    timeout: float = 10.0
    rows: int = ROW_LIMIT


@dataclass(slots=True)
class Progress:
    """What a run has finished, so that an interruption loses nothing.

    `on_start` is called with the number of checks done, of all, and the next check; `on_question`
    with the check and the statement about to be sent.
    """

    results: list[Result] = field(default_factory=list)
    on_start: Callable[[int, int, Check], None] = lambda _done, _all, _check: None
    on_question: Callable[[Check, Question], None] = lambda _check, _question: None


def audit(
    session: Session,
    server: Server,
    checks: Sequence[Check],
    limits: Limits = Limits(),
    progress: Progress | None = None,
    difference: Difference | None = None,
) -> tuple[Result, ...]:
    """Ask each check and judge what it returns; a refused question is a result, never an exception.

    With a `difference` of two samples checks of counters judge what was counted between those.
    A lost connection is reopened once; if that fails, or it is lost again, the rest is errored.
    """
    progress = progress or Progress()
    kept = made.Kept()
    lost: Reason | None = None
    reopened = False
    for number, check in enumerate(checks):
        progress.on_start(number, len(checks), check)
        if lost is not None:
            progress.results.append(Result(check, Status.ERRORED, server.database, reason=lost))
            continue
        result = ask(
            session,
            server,
            check,
            limits,
            difference=difference,
            kept=kept,
            on_question=progress.on_question,
        )
        progress.results.append(result)
        if result.reason is not None and result.reason.kind == "lost":
            lost = None if not reopened and _reopen(session) else result.reason
            reopened = True
    return tuple(progress.results)


def ask(
    session: Session,
    server: Server,
    check: Check,
    limits: Limits = Limits(),
    *,
    given: Given | None = None,
    difference: Difference | None = None,
    kept: made.Kept | None = None,
    on_question: Callable[[Check, Question], None] = lambda _check, _question: None,
) -> Result:
    """Ask one check: skipped with a reason, errored with a reason, passed, or failed with findings.

    `given` replaces statistics views by canned rows; only proofs use it. `difference` replaces counters
    by what they counted between two samples, for checks that a window bears on. `kept` holds what was
    read and made for other checks of the same run.
    """
    reason = window.why_not(check, server, difference)
    if reason is not None:
        return Result(check, Status.SKIPPED, server.database, reason=reason)
    if difference is not None and window.applies(check):
        check, server = window.seen(check, server, difference)
    else:
        difference = None
    started = time.monotonic()
    surroundings = Surroundings.of(server, given, difference)
    try:
        timeout = check.timeout or limits.timeout
        asking = made.Asking(session, server, check, surroundings, timeout, kept or made.Kept())
        surroundings = dataclasses.replace(surroundings, given=made.given(asking))
        rows = _rows(session, server, check, limits, surroundings, on_question)
    except QueryError as error:
        seconds = time.monotonic() - started
        reason = _refused(check, server, error)
        return Result(check, Status.ERRORED, server.database, reason=reason, seconds=seconds)
    except judge.ContractError as error:
        seconds = time.monotonic() - started
        reason = Reason("error", str(error), where=_where(check, server, None))
        return Result(check, Status.ERRORED, server.database, reason=reason, seconds=seconds)
    seconds = time.monotonic() - started
    covered = server.windows.get(check.evidence_view)
    findings = judge.judge(check, rows[: limits.rows], covered)
    return Result(
        check=check,
        status=Status.FAILED if findings else Status.PASSED,
        database=server.database,
        findings=findings,
        seconds=seconds,
        truncated=len(rows) > limits.rows,
    )


def _rows(
    session: Session,
    server: Server,
    check: Check,
    limits: Limits,
    surroundings: Surroundings,
    on_question: Callable[[Check, Question], None],
) -> list[Row]:
    variant = check.variant(server.major)
    sql = check.queries[variant] if variant is not None else None
    if sql is None:
        raise AssertionError(f"{check.id} was asked although why_not refuses it")
    asked = question(
        sql,
        label=check.id,
        reads=check.reads,
        parameters=check.parameters,
        surroundings=surroundings,
        limit=limits.rows + 1,
    )
    on_question(check, asked)
    answer = session.ask([asked], timeout=check.timeout or limits.timeout)[0]
    return judge.rows(check, answer.columns, answer.rows)


_SQLSTATES: Mapping[str, str] = {
    "57014": "took longer than its timeout and was cancelled",
    "55P03": "waited too long for a lock and gave up",
}
"""What a user should read instead of PostgreSQL's words, by SQLSTATE (PostgreSQL's appendix A)."""


def _refused(check: Check, server: Server, error: QueryError) -> Reason:
    if error.lost:
        return Reason("lost", f"the connection was lost: {error.message}", sqlstate=error.sqlstate)
    said = _SQLSTATES.get(error.sqlstate or "", error.message)
    where = _where(check, server, error.position)
    return Reason("error", said, sqlstate=error.sqlstate, where=where)


def _where(check: Check, server: Server, position: int | None) -> str:
    """Point at the line of the check file that a 1-based character of its query stands on."""
    variant = check.variant(server.major)
    line = check.query_lines.get(variant, 1) if variant is not None else 1
    if position is not None and variant is not None:
        # Placeholders were renumbered and schemas filled in, but neither adds or removes a line.
        sent = (check.queries[variant] or "")[: position - 1]
        line += sent.count("\n")
    return f"{check.file}:{line}"


def _reopen(session: Session) -> bool:
    try:
        session.reopen()
    except TargetError:
        return False
    return True
