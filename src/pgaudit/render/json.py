"""A report → report format 1, one JSON document, and back.

Within format 1 keys are only added. Every check that was selected appears, passed ones too, so that
absence means something. The schema is report.schema.json beside this module.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pgaudit import units
from pgaudit.errors import UsageError
from pgaudit.evidence import Sample, SampledRow, SampledView, Window
from pgaudit.model import (
    Check,
    Failure,
    Finding,
    Measure,
    NamedObject,
    ObjectRule,
    Reason,
    Reference,
    Remedy,
    RemedyRule,
    Report,
    Result,
    Server,
    Severity,
    SeverityRule,
    Status,
    TargetReport,
)
from pgaudit.render.fits import fits
from pgaudit.render.style import Style

FORMAT = 1

Document = dict[str, Any]
Made = TypeVar("Made")


def write(report: Report, style: Style) -> str:
    """Return the report as JSON: indented where people read it, compact where programs do."""
    separators = None if style.indent else (",", ":")
    return json.dumps(
        document(report),
        indent=2 if style.indent else None,
        separators=separators,
        ensure_ascii=style.ascii_only,
    )


def document(report: Report) -> Document:
    """Return the report as plain values, keys in the order in which people look for them."""
    counts = report.count(Status)
    return {
        "format": FORMAT,
        "tool": {"name": "pgaudit", "version": report.version},
        "started_at": units.to_json(report.started_at),
        "seconds": round(report.seconds, 3),
        "fail_on": report.fail_on.word if report.fail_on else "never",
        "strict": report.strict,
        "interrupted": report.interrupted,
        "summary": {
            "worst": report.worst.word if report.worst else None,
            "complete": report.complete,
            "checks": {status.value: counts[status] for status in Status},
            "findings": {
                s.word: sum(f.severity is s for f in report.findings) for s in reversed(Severity)
            },
        },
        "checks": {
            check.id: _check(check)
            for check in sorted(
                {r.check.id: r.check for t in report.targets for r in t.results}.values(),
                key=lambda c: c.id,
            )
        },
        "targets": [_target(target) for target in report.targets],
    }


def _check(check: Check) -> Document:
    return {
        "title": check.title,
        "category": check.category,
        "tags": [*check.tags],
        "why": check.why,
        "references": [{"title": r.title, "url": r.url} for r in check.references],
        "columns": dict(check.columns),
    }


def _target(target: TargetReport) -> Document:
    failure = target.failure
    return {
        "label": target.label,
        "server": _server(target.server) if target.server else None,
        "failure": {"message": failure.message, "server": failure.server, "hint": failure.hint}
        if failure
        else None,
        "results": [_result(result) for result in target.results],
        **({"notes": [*target.notes]} if target.notes else {}),
        **({"sample": _sample(target.sample)} if target.sample else {}),
    }


def _server(server: Server) -> Document:
    window = server.windows.get("pg_stat_database")
    return {
        "version": server.version,
        "version_number": server.version_number,
        "role": server.role,
        "database": server.database,
        "user": server.user,
        "now": units.to_json(server.now),
        "started_at": units.to_json(server.started_at),
        "statistics_since": _window(window),
    }


def _sample(sample: Sample) -> Document:
    return {
        "taken_at": sample.taken_at.isoformat(),
        "system": sample.system,
        "database": sample.database,
        "started_at": sample.started_at.isoformat(),
        "views": {
            name: {
                "columns": [*view.columns],
                "rows": [[key, *values] for key, values in view.rows.items()],
            }
            for name, view in sample.views.items()
        },
    }


def _result(result: Result) -> Document:
    reason = result.reason
    return {
        "check": result.check.id,
        "database": result.database,
        "status": result.status.value,
        "reason": {
            "kind": reason.kind,
            "text": reason.text,
            "cure": reason.cure,
            "privilege": reason.privilege,
            "sqlstate": reason.sqlstate,
            "where": reason.where,
        }
        if reason
        else None,
        "seconds": round(result.seconds, 6),
        "truncated": result.truncated,
        "findings": [_finding(finding) for finding in result.findings],
    }


def _finding(finding: Finding) -> Document:
    measure, remedy = finding.measure, finding.remedy
    return {
        "key": finding.key,
        "fingerprint": finding.fingerprint,
        "severity": finding.severity.word,
        "object": {
            "kind": finding.object.kind,
            "name": [*finding.object.name],
            "parent": [*finding.object.parent],
            "display": finding.object.display,
        },
        "message": finding.message,
        "detail": finding.detail,
        "measure": {
            "column": measure.column,
            "value": units.to_json(measure.value),
            "unit": units.KINDS[measure.kind].unit,
        }
        if measure
        else None,
        "window": _window(finding.window),
        "row": {column: units.to_json(value) for column, value in finding.row.items()},
        "remediation": {
            "text": remedy.text,
            "sql": remedy.sql,
            "undo": remedy.undo,
            "impact": remedy.impact,
        },
    }


def _window(window: Window | None) -> Document | None:
    return {"start": units.to_json(window.start), "source": window.source} if window else None


def read(text: str) -> Report:
    """Return the report that a document holds; what the document does not have stays empty.

    Raises UsageError for text that is no report, or one of a newer format.
    """
    hint = "a report is what pgaudit check --format json prints"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"This is no JSON report: {error}.", hint=hint) from None
    if not isinstance(found, dict) or not fits(found.get("format"), int):
        raise UsageError("This is JSON, but no pgaudit report.", hint=hint)
    if found["format"] != FORMAT:
        raise UsageError(
            f"This report has format {found['format']}; this pgaudit reads format {FORMAT}.",
            hint="read it with the pgaudit that wrote it, or a newer one",
        )
    try:
        json.dumps(found, ensure_ascii=False).encode()  # half a character can be escaped in JSON
        report = _report(found)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(f"This report is damaged: {error!r}.", hint=hint) from None
    if not fits(report, Report):
        raise UsageError("This report is damaged: a value has the wrong type.", hint=hint)
    return report


def _report(found: Document) -> Report:
    checks = {identifier: _read_check(identifier, c) for identifier, c in found["checks"].items()}
    fail_on = found["fail_on"]
    return Report(
        version=found["tool"]["version"],
        started_at=_moment(found["started_at"]),
        seconds=found["seconds"],
        fail_on=None if fail_on == "never" else Severity[fail_on.upper()],
        targets=tuple(_read_target(target, checks) for target in found["targets"]),
        strict=found["strict"],
        interrupted=found["interrupted"],
    )


def _read_check(identifier: str, found: Document) -> Check:
    return Check(
        id=identifier,
        title=found["title"],
        category=found["category"],
        tags=tuple(found["tags"]),
        since="",
        status="stable",
        why=found["why"],
        scope="database",
        role="any",
        reads=(),
        columns=found["columns"],
        queries={},
        object=ObjectRule("server", ()),
        severity=SeverityRule(word=Severity.INFO),
        message="",
        remedy=RemedyRule(""),
        file="",
        references=tuple(Reference(r["title"], r["url"]) for r in found["references"]),
    )


def _read_target(found: Document, checks: Mapping[str, Check]) -> TargetReport:
    failure = found["failure"]
    return TargetReport(
        label=found["label"],
        server=_read_server(found["server"]) if found["server"] else None,
        results=tuple(_read_result(result, checks) for result in found["results"]),
        failure=_picked(Failure, failure) if failure else None,
        notes=tuple(found.get("notes", ())),
        sample=_read_sample(found["sample"]) if found.get("sample") else None,
    )


def _read_sample(found: Document) -> Sample:
    return Sample(
        taken_at=_moment(found["taken_at"]),
        system=found["system"],
        database=found["database"],
        started_at=_moment(found["started_at"]),
        views={
            name: SampledView(
                tuple(view["columns"]),
                {key: _sampled_row(values, len(view["columns"])) for key, *values in view["rows"]},
            )
            for name, view in found["views"].items()
        },
    )


def _sampled_row(values: list[Any], size: int) -> SampledRow:
    """Return a row of a sample; raises ValueError for one of another size, or not of plain values."""
    numbers = [value for value in values if type(value) is float]
    if len(values) != size or not {type(value) for value in values} <= _PLAIN:
        raise ValueError(f"{values!r} is no row of {size} columns")
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{values!r} holds what is no number")
    return SampledRow(values)


_PLAIN = {int, float, str, type(None)}


def _read_server(found: Document) -> Server:
    window = _read_window(found["statistics_since"])
    return Server(
        version=found["version"],
        version_number=found["version_number"],
        standby=found["role"] == "standby",
        database=found["database"],
        user=found["user"],
        superuser=False,
        memberships=frozenset(),
        roles=frozenset(),
        extensions={},
        available=frozenset(),
        settings={},
        shapes={},
        windows={"pg_stat_database": window} if window else {},
        started_at=_moment(found["started_at"]) if found["started_at"] else None,
        now=_moment(found["now"]),
    )


def _read_result(found: Document, checks: Mapping[str, Check]) -> Result:
    check = checks[found["check"]]
    reason = found["reason"]
    return Result(
        check=check,
        status=Status(found["status"]),
        database=found["database"],
        findings=tuple(_read_finding(finding, check) for finding in found["findings"]),
        reason=_picked(Reason, reason) if reason else None,
        seconds=found["seconds"],
        truncated=found["truncated"],
    )


def _read_finding(found: Document, check: Check) -> Finding:
    kinds, named, measure = check.columns, found["object"], found["measure"]
    row = {column: _value(kinds[column], value) for column, value in found["row"].items()}
    return Finding(
        check=check.id,
        severity=Severity[found["severity"].upper()],
        object=NamedObject(named["kind"], tuple(named["name"]), tuple(named["parent"])),
        message=found["message"],
        detail=found["detail"],
        row=row,
        kinds=kinds,
        remedy=_picked(Remedy, found["remediation"]),
        measure=Measure(measure["column"], kinds[measure["column"]], row[measure["column"]])
        if measure
        else None,
        window=_read_window(found["window"]),
    )


def _read_window(found: Document | None) -> Window | None:
    return Window(_moment(found["start"]), found["source"]) if found else None


def _picked(kind: type[Made], found: Document) -> Made:
    """Make a value of the keys that this version knows; a later one may have added some."""
    return kind(**{name: found[name] for name in (f.name for f in dataclasses.fields(kind))})  # type: ignore[arg-type]


def _value(kind: str, value: Any) -> units.Value:
    """Return a column's value; raises KeyError or TypeError if it is not one of its kind."""
    made: units.Value = _moment(value) if kind == "timestamp" and value is not None else value
    if not fits(made, _TYPES[kind]):
        raise TypeError(f"{value!r} is no {kind}")
    return made


_TYPES: Mapping[str, Any] = {
    "size": int | None,
    "duration": float | None,
    "percent": float | None,
    "count": int | None,
    "timestamp": datetime | None,
    "text": str | None,
    "boolean": bool | None,
    "sql": str | None,
}
"""What a column of each of `units.KINDS` holds."""


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return moment.astimezone(UTC)
