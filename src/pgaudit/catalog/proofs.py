"""The `tests` key of a check file → `Proof` values, every amount read in its unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgaudit import sqltext, units
from pgaudit.catalog import amounts, structure
from pgaudit.catalog.format import ParameterEntry, ProofEntry
from pgaudit.catalog.levels import severity_rule
from pgaudit.catalog.yamlfile import Document, Path
from pgaudit.model import ExpectedFinding, Proof, Row, Severity


def convert(document: Document, fields: structure.Fields) -> tuple[Proof, ...]:
    """Turn the cases into proofs; faults go into the document.

    Rows must have exactly the declared columns, `given` only views under `reads`, parameters must be
    declared, and a remedy that is to be proven must have SQL.
    """
    made = []
    names: dict[str, int] = {}
    for position, entry in enumerate(fields["tests"]):
        if entry is None:
            continue
        at: Path = ("tests", position)
        if entry.name in names:
            document.fault((*at, "name"), "is the name of an earlier case too")
        names[entry.name] = position
        made.append(_proof(document, at, entry, fields))
    return tuple(made)


def _proof(document: Document, at: Path, entry: ProofEntry, fields: structure.Fields) -> Proof:
    columns: Mapping[str, str] = fields["columns"]
    given = {*fields["reads"], *sqltext.behind(fields["reads"])}
    for view in entry.given:
        if view not in given:
            document.fault((*at, "given", view), "is not listed under reads")
    if entry.rows is not None and (entry.setup or entry.given or entry.sessions):
        document.fault(
            (*at, "rows"), "stands instead of setup, sessions and given, not beside them"
        )
    remediation = fields.get("remediation")
    if entry.remedied and remediation is not None and remediation.sql is None:
        document.fault((*at, "remedied"), "needs remediation.sql")
    return Proof(
        name=entry.name,
        line=document.line((*at, "name")),
        expect=None if isinstance(entry.expect, str) else tuple(
            ExpectedFinding(e.object, Severity[e.severity.upper()], e.message) for e in entry.expect
        ),
        setup=entry.setup,
        teardown=entry.teardown,
        sessions=tuple(entry.sessions),
        given={view: tuple(rows) for view, rows in entry.given.items()},
        rows=_rows(document, at, entry.rows, columns),
        parameters=_parameters(document, at, entry.parameters, fields["parameters"]),
        severity=severity_rule(document, (*at, "severity"), entry.severity, columns)
        if entry.severity is not None
        else None,
        since=entry.since,
        remedied=entry.remedied,
    )  # fmt: skip


def _rows(
    document: Document, at: Path, rows: list[dict[str, Any]] | None, columns: Mapping[str, str]
) -> tuple[Row, ...] | None:
    if rows is None:
        return None
    return tuple(_row(document, (*at, "rows", i), row, columns) for i, row in enumerate(rows))


def _row(document: Document, at: Path, row: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    missing, unknown = sorted(columns.keys() - row.keys()), sorted(row.keys() - columns.keys())
    if missing:
        document.fault(at, "lacks the columns " + ", ".join(missing))
    if unknown:
        document.fault(at, "has the unknown columns " + ", ".join(unknown))
    return {
        name: amounts.read(document, (*at, name), kind, row[name])
        for name, kind in columns.items()
        if name in row
    }


def _parameters(
    document: Document, at: Path, given: Mapping[str, Any], declared: Mapping[str, ParameterEntry]
) -> dict[str, units.Value]:
    read: dict[str, units.Value] = {}
    for name, amount in given.items():
        where = (*at, "parameters", name)
        if name in declared:
            read[name] = amounts.read(document, where, declared[name].type, amount)
        else:
            document.fault(where, "is no parameter of this check")
    return read
