"""One check file → one `Check`; all faults of the file at once, by line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from pgaudit import model, sqltext, template, units
from pgaudit.catalog import amounts, structure, yamlfile
from pgaudit.catalog import proofs as proof_cases
from pgaudit.catalog.format import CATEGORIES, ParameterEntry, SeverityEntry
from pgaudit.catalog.levels import severity_rule
from pgaudit.catalog.yamlfile import Document, Path
from pgaudit.errors import Fault

_TESTS = re.compile(r"^tests:", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^(?!tests:)[^\s#-]", re.MULTILINE)


def check(
    text: str, file: str, *, origin: str = "built-in", proofs: bool = False
) -> tuple[model.Check | None, list[Fault]]:
    """Turn the text of a check file into a check, or None and what is wrong with it.

    The proofs are most of a file, so they are only read when `proofs` is set; `file` is the path
    that faults and errors name.
    """
    document = yamlfile.read(text if proofs else _head(text), file)
    if document.faults:
        return None, document.faults
    fields = structure.fields(document, proofs=proofs)
    _Rules(document, fields, origin).apply()
    made: tuple[model.Proof, ...] = ()
    if proofs and {"columns", "reads", "parameters", "tests"} <= fields.keys():
        made = proof_cases.convert(document, fields)
    if document.faults:
        return None, document.faults
    return _check(document, fields, origin, made), []


def _head(text: str) -> str:
    """Return the text before `tests:` where that is the last key, which is where it belongs."""
    tests = _TESTS.search(text)
    if tests is None or _TOP_LEVEL.search(text, tests.end()):
        return text
    return text[: tests.start()]


class _Rules:
    """What the types of the format cannot say: references between keys, units, templates, SQL."""

    def __init__(self, document: Document, fields: structure.Fields, origin: str) -> None:
        self.document = document
        self.fields = fields
        self.origin = origin

    def apply(self) -> None:
        """Apply every rule whose keys are valid themselves."""
        for rule, keys in (
            (self.identity, ("id",)),
            (self.category, ("category",)),
            (self.title, ("title",)),
            (self.parameters, ("parameters",)),
            (self.sql, ("sql", "parameters", "reads")),
            (self.object, ("object", "columns")),
            (self.severity, ("severity", "columns")),
            (self.evidence, ("evidence", "reads", "parameters", "columns")),
            (
                self.templates,
                ("object", "columns", "parameters", "message", "remediation", "detail"),
            ),
            (self.timeout, ("timeout",)),
        ):
            if all(key in self.fields for key in keys):
                rule(*(self.fields[key] for key in keys))

    def identity(self, identifier: str) -> None:
        stem = PurePath(self.document.file).stem
        if identifier != stem:
            self.document.fault(("id",), f"is not the file's name, {stem}", "rename one")

    def category(self, category: str) -> None:
        path = PurePath(self.document.file)
        if self.origin == "built-in":
            if category not in CATEGORIES:
                self.document.fault(("category",), "is none of " + ", ".join(CATEGORIES))
            elif path.parent.name != category:
                self.document.fault(("category",), f"is not the folder, {path.parent.name}")

    def title(self, title: str) -> None:
        if title.endswith("."):
            self.document.fault(("title",), "ends in a full stop", "it is a noun phrase")

    def parameters(self, parameters: Mapping[str, ParameterEntry]) -> None:
        for name, entry in parameters.items():
            at = ("parameters", name)
            default, low, high = (
                amounts.read(self.document, (*at, key), entry.type, amount)
                for key, amount in (
                    ("default", entry.default),
                    ("minimum", entry.minimum),
                    ("maximum", entry.maximum),
                )
            )
            if not within(default, low, high):
                self.document.fault((*at, "default"), "is outside minimum and maximum")

    def sql(
        self, sql: Mapping[int, str | None], parameters: Mapping[str, Any], reads: list[str]
    ) -> None:
        used: set[str] = set()
        if sql[min(sql)] is None:
            self.document.fault(("sql", min(sql)), "is null", "leave the key out")
        for first, query in sql.items():
            if query is None:
                continue
            at = ("sql", first)
            used |= sqltext.views(query)
            if sqltext.stray_percents(query):
                self.document.fault(at, "has a '%' that is not %(parameter)s", "write '%%'")
            for name in sorted(sqltext.names(query) - parameters.keys()):
                self.document.fault(
                    at, f"uses %({name})s, which is no parameter", _near(name, parameters)
                )
            for name in sqltext.effects(query):
                self.document.fault(
                    at, f"calls {name}(), which does more than read", "a check only ever reads"
                )
            if query.rstrip().endswith(";"):
                self.document.fault(at, "ends in a semicolon", "one statement, without it")
            if not re.search(r"\border\s+by\b", sqltext.bare(query), re.IGNORECASE):
                self.document.fault(at, "has no ORDER BY", "findings come in a stable order")
        for name in sorted(used - set(reads)):
            self.document.fault(("reads",), f"does not list {name}, which the SQL reads", "add it")
        text = " ".join(query for query in sql.values() if query)
        text += " ".join(sqltext.BEHIND.get(name, "") for name in reads)
        for position, name in enumerate(reads):
            if not re.search(rf"\b{re.escape(name)}\b", text):
                self.document.fault(
                    ("reads", position), f"lists {name}, which the SQL does not read"
                )

    def object(self, entry: Any, columns: Mapping[str, str]) -> None:
        for key in ("name", "parent"):
            for position, column in enumerate(getattr(entry, key)):
                if column not in columns:
                    at = ("object", key, position)
                    self.document.fault(at, f"'{column}' is no column", _near(column, columns))

    def severity(self, severity: str | SeverityEntry, columns: Mapping[str, str]) -> None:
        severity_rule(self.document, ("severity",), severity, columns)

    def evidence(
        self,
        evidence: Any,
        reads: list[str],
        parameters: Mapping[str, ParameterEntry],
        columns: Mapping[str, str],
    ) -> None:
        if evidence is None:
            return
        if evidence.view not in reads:
            self.document.fault(("evidence", "view"), "is not listed under reads")
        if evidence.since is not None and columns.get(evidence.since) != "timestamp":
            self.document.fault(("evidence", "since"), "is no column of type timestamp")
        if evidence.minimum is not None and (
            evidence.minimum not in parameters or parameters[evidence.minimum].type != "duration"
        ):
            self.document.fault(("evidence", "minimum"), "is no parameter of type duration")

    def templates(
        self,
        entry: Any,
        columns: Mapping[str, str],
        parameters: Mapping[str, ParameterEntry],
        message: str,
        remediation: Any,
        detail: str | None,
    ) -> None:
        kinds = {name: p.type for name, p in parameters.items()} | dict(columns)
        known = {*kinds, "object", *(("parent",) if entry.parent else ())}
        texts: list[tuple[Path, str | None, tuple[str, ...]]] = [
            (("message",), message, ("", "short")),
            (("detail",), detail, ("", "short")),
            (("remediation", "text"), remediation.text, ("", "short")),
            (("remediation", "impact"), remediation.impact, ("", "short")),
            (("remediation", "sql"), remediation.sql, ("", "literal")),
            (("remediation", "undo"), remediation.undo, ("", "literal")),
        ]
        for path, text, forms in texts:
            if text is not None:
                self._template(path, text, known, forms)

    def _template(self, path: Path, text: str, known: Iterable[str], forms: Iterable[str]) -> None:
        try:
            found = template.placeholders(text)
        except ValueError as error:
            self.document.fault(path, str(error))
            return
        for placeholder in found:
            if placeholder.name not in known:
                what = f"names {{{placeholder.name}}}, which is no column or parameter"
                self.document.fault(path, what, _near(placeholder.name, known))
            elif placeholder.form not in forms:
                what = f"asks for {{{placeholder.name}:{placeholder.form}}}"
                self.document.fault(
                    path, what, "here it can be " + " or ".join(filter(None, forms))
                )

    def timeout(self, timeout: str | None) -> None:
        amounts.read(self.document, ("timeout",), "duration", timeout)


def within(value: Any, low: Any, high: Any) -> bool:
    """Say whether a value is inside bounds that may be None.

    >>> within(5, None, 4), within(5, 5, None), within(None, 1, 2)
    (False, True, True)
    """
    if value is None:
        return True
    return (low is None or value >= low) and (high is None or value <= high)


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean '{near[0]}'?" if near else ""


def _check(
    document: Document, fields: structure.Fields, origin: str, proofs: tuple[model.Proof, ...]
) -> model.Check:
    columns: Mapping[str, str] = fields["columns"]
    requires, entry, remedy = fields["requires"], fields["object"], fields["remediation"]
    evidence, timeout = fields["evidence"], fields["timeout"]
    return model.Check(
        id=fields["id"],
        title=fields["title"],
        category=fields["category"],
        tags=tuple(fields["tags"]),
        since=fields["since"],
        status=fields["status"],
        why=_prose(fields["why"]),
        scope=fields["scope"],
        role=fields["role"],
        reads=tuple(fields["reads"]),
        columns=columns,
        queries=dict(sorted(fields["sql"].items())),
        query_lines={first: document.line(("sql", first)) for first in fields["sql"]},
        object=model.ObjectRule(entry.kind, tuple(entry.name), tuple(entry.parent)),
        severity=severity_rule(document, ("severity",), fields["severity"], columns),
        message=_prose(fields["message"]),
        detail=_prose(fields["detail"]) if fields["detail"] else None,
        remedy=model.RemedyRule(
            text=_prose(remedy.text),
            sql=remedy.sql.strip() if remedy.sql else None,
            undo=remedy.undo.strip() if remedy.undo else None,
            impact=_prose(remedy.impact) if remedy.impact else None,
        ),
        file=document.file,
        aliases=tuple(fields["aliases"]),
        false_positives=tuple(map(_prose, fields["false_positives"])),
        references=tuple(model.Reference(r.title, r.url) for r in fields["references"]),
        requirements=model.Requirements(
            tuple(requires.privileges), requires.extensions, requires.settings
        ),
        parameters={n: _parameter(document, n, p) for n, p in fields["parameters"].items()},
        evidence=model.Evidence(evidence.view, evidence.since, evidence.minimum)
        if evidence
        else None,
        timeout=units.read_duration(timeout) if timeout else None,
        proofs=proofs,
        origin=origin,
    )


def _parameter(document: Document, name: str, entry: ParameterEntry) -> model.Parameter:
    def read(key: str, amount: object) -> units.Value:
        return amounts.read(document, ("parameters", name, key), entry.type, amount)

    return model.Parameter(
        type=entry.type,
        default=read("default", entry.default),
        help=_prose(entry.help),
        minimum=read("minimum", entry.minimum),
        maximum=read("maximum", entry.maximum),
    )


def _prose(text: str) -> str:
    """Make one paragraph of text that was folded to fit a file."""
    return " ".join(text.split())
