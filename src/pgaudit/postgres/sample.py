"""A session → a sample of cumulative views: their counters at one moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC

from pgaudit import quote
from pgaudit.errors import QueryError, TargetError
from pgaudit.evidence import Sample, SampledRow, SampledView
from pgaudit.model import Server
from pgaudit.postgres import counters, shape
from pgaudit.postgres.counters import Cumulative
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Question, Surroundings

_NOW = """
SELECT /* pgaudit: sample */ now(), pg_postmaster_start_time(),
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database())
"""
_SYSTEM = "SELECT /* pgaudit: system */ system_identifier::text FROM pg_control_system()"


def sample(session: Session, server: Server, wanted: Sequence[str], *, timeout: float) -> Sample:
    """Read cumulative views as wholes, in their newest shape and in one transaction.

    `timeout` is in seconds, for each view. Raises TargetError where the server refuses.
    """
    present = [view for view in wanted if _there(view, server)]
    questions = [Question(_NOW), *(Question(_reading(view, server)) for view in present)]
    try:
        now, *answers = session.ask(questions, timeout=timeout)
    except QueryError as error:
        raise TargetError(
            f"The counters of {session.place} could not be sampled.", server=error.message
        ) from None
    taken_at, started_at, database = now.rows[0]
    return Sample(
        taken_at=taken_at.astimezone(UTC),
        system=_system(session, timeout),
        database=database,
        started_at=started_at.astimezone(UTC),
        views={view: SampledView(counters.cumulative()[view].sampled, {}) for view in wanted}
        | {
            view: _sampled(counters.cumulative()[view], answer.rows[0][0])
            for view, answer in zip(present, answers, strict=True)
        },
    )


def _there(view: str, server: Server) -> bool:
    return bool(server.shapes.get(view) or server.shapes.get(shape.FORMER_VIEW.get(view, "")))


def _reading(view: str, server: Server) -> str:
    """Return the question for all rows of a view as one JSON text: fast to make, and to read."""
    kind = counters.cumulative()[view]
    schemas = Surroundings.of(server).schemas
    columns = ", ".join(f"v.{quote.identifier(column)}" for column in kind.sampled)
    where = ""
    if kind.sparse:
        counted = ", ".join(f"nullif(v.{quote.identifier(name)}, 0)" for name in kind.counters)
        where = f"\nWHERE num_nonnulls({counted}) > 0"
    elif kind.happened:
        where = f"\nWHERE v.{quote.identifier(kind.key[-1])} IS NOT NULL"
    return (
        f"SELECT /* pgaudit: sample */ coalesce(json_agg(json_build_array("
        f"{kind.identity('v')}, {columns})), '[]')::text\n"
        f"FROM ({shape.select(view, server.shapes, schemas)}) AS v{where}"
    )


def _sampled(kind: Cumulative, text: str) -> SampledView:
    return SampledView(kind.sampled, {key: SampledRow(values) for key, *values in json.loads(text)})


def _system(session: Session, timeout: float) -> str | None:
    try:
        return str(session.ask([Question(_SYSTEM)], timeout=timeout)[0].rows[0][0])
    except QueryError:
        return None
