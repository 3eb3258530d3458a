"""A check and the rows of its query → findings. Pure: no server, no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pgaudit import template
from pgaudit.evidence import Window
from pgaudit.model import (
    Check,
    Finding,
    Measure,
    NamedObject,
    Remedy,
    Row,
    Severity,
    SeverityRule,
)
from pgaudit.units import KINDS, Value


class ContractError(Exception):
    """The query did not return what its check file declares."""


def rows(check: Check, columns: Sequence[str], answers: Iterable[Sequence[Any]]) -> list[Row]:
    """Turn what the driver returned into rows in the units of the check's columns.

    Raises ContractError unless the columns are exactly the declared ones, in their order.
    """
    declared = tuple(check.columns)
    if tuple(columns) != declared:
        raise ContractError(
            f"the query returned the columns {', '.join(columns)}; "
            f"the check declares {', '.join(declared)}"
        )
    try:
        return [
            {
                name: KINDS[check.columns[name]].from_server(value)
                for name, value in zip(declared, answer, strict=True)
            }
            for answer in answers
        ]
    except (TypeError, ValueError) as error:
        raise ContractError(f"a column does not have its declared type: {error}") from None


def judge(check: Check, given: Iterable[Row], window: Window | None = None) -> tuple[Finding, ...]:
    """Turn rows into findings, in their order; a row below the mildest level is none.

    `window` is what the check's counters cover; a row's own start, where the check names one, wins.
    """
    found = (_finding(check, row, window) for row in given)
    return tuple(finding for finding in found if finding is not None)


def severity(rule: SeverityRule, value: Value) -> Severity | None:
    """Return the worst level that a measured value reaches; None below the mildest or for NULL.

    >>> levels = {Severity.INFO: 50, Severity.WARNING: 200}
    >>> [severity(SeverityRule(measure="n", levels=levels), n) for n in (49, 50, 200, None)]
    [None, <Severity.INFO: 1>, <Severity.WARNING: 2>, None]
    >>> severity(SeverityRule(measure="n", worse="lower", levels={Severity.CRITICAL: 10}), 10)
    <Severity.CRITICAL: 3>
    """
    if rule.measure is None:
        return rule.word
    if value is None:
        return None
    amount = float(str(value))
    reached = (
        level
        for level, border in rule.levels.items()
        if (
            amount >= float(str(border)) if rule.worse == "higher" else amount <= float(str(border))
        )
    )
    return max(reached, default=None)


def _finding(check: Check, row: Row, window: Window | None) -> Finding | None:
    rule = check.severity
    worst = severity(rule, row[rule.measure] if rule.measure else None)
    if worst is None:
        return None
    named = NamedObject(
        check.object.kind, _parts(row, check.object.name), _parts(row, check.object.parent)
    )
    values = _values(check, row, named)
    message = template.fill_text(check.message, values)
    return Finding(
        check=check.id,
        severity=worst,
        object=named,
        message=message,
        detail=template.fill_text(check.detail, values) if check.detail else message,
        row=row,
        kinds=check.columns,
        remedy=_remedy(check, values),
        measure=Measure(rule.measure, check.columns[rule.measure], row[rule.measure])
        if rule.measure and rule.shown
        else None,
        window=_window(check, row, window),
    )


def _values(check: Check, row: Row, named: NamedObject) -> template.Values:
    parameters = check.parameters
    kinds: Mapping[str, str] = {n: p.type for n, p in parameters.items()} | dict(check.columns)
    values: Mapping[str, Value] = check.values() | dict(row)
    return template.Values(kinds, values, named.name, named.parent, named.kind)


def _remedy(check: Check, values: template.Values) -> Remedy:
    rule = check.remedy
    return Remedy(
        text=template.fill_text(rule.text, values),
        sql=template.fill_sql(rule.sql, values) if rule.sql else None,
        undo=template.fill_sql(rule.undo, values) if rule.undo else None,
        impact=template.fill_text(rule.impact, values) if rule.impact else None,
    )


def _window(check: Check, row: Row, window: Window | None) -> Window | None:
    since = check.evidence.since if check.evidence else None
    own = row[since] if since else None
    if own is not None and not isinstance(own, str | int | float | bool):
        return Window(own, "entry's own stamp")
    return window


def _parts(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple("" if row[column] is None else str(row[column]) for column in columns)
