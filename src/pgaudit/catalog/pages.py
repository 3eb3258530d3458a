"""A check → its page in Markdown; all checks → the table of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgaudit import quote, units
from pgaudit.catalog.format import CATEGORIES
from pgaudit.model import Check, Parameter

DOCUMENTATION = "docs/reference/checks"


def page(check: Check) -> str:
    """Return the page of one check, in the order of its file: what, why, evidence, fix, accept."""
    return "\n\n".join(part for part in _parts(check) if part) + "\n"


def table(checks: Iterable[Check], *, folder: str = DOCUMENTATION) -> str:
    """Return the table of checks by category, with links into `folder`."""
    ordered = sorted(checks, key=lambda c: (_rank(c.category), c.category, c.id))
    lines = ["| category | check | what it finds | severity |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {c.category} | [{c.id}]({folder}/{c.id}.md) | {c.title} | {severities(c)} |"
        for c in ordered
    ]
    return "\n".join(lines)


def _parts(check: Check) -> Iterator[str]:
    yield f"# {check.id}"
    yield f"{check.title}."
    yield _facts(check)
    yield f"## Why it matters\n\n{check.why}"
    yield f"## Evidence\n\n{_evidence(check)}"
    yield _parameters(check)
    yield _bullets("## When it is fine", check.false_positives)
    yield f"## How to fix it\n\n{_remedy(check)}"
    yield f"## How to accept it\n\n{_accepting(check)}"
    yield _bullets("## Proven by", [p.name for p in check.proofs])
    yield _bullets("## References", [f"[{r.title}]({r.url})" for r in check.references])


def _facts(check: Check) -> str:
    rows = {
        "category": check.category,
        "severity": severities(check),
        "asked": "once per server" if check.scope == "cluster" else "in each audited database",
        "on": "primary and standby" if check.role == "any" else f"a {check.role} only",
        "PostgreSQL": f"{min(check.queries)} and newer",
        "status": f"{check.status}, since {check.since}",
        "tags": ", ".join(check.tags),
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items() if value]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def severities(check: Check) -> str:
    """Write the levels in the unit of their measure."""
    rule = check.severity
    if rule.word is not None:
        return rule.word.word
    if not rule.shown:
        return ", ".join(level.word for level in sorted(rule.levels))
    kind = check.columns[rule.measure or ""]
    sign = "≥" if rule.worse == "higher" else "≤"
    return ", ".join(
        # from nothing on is simply the mildest level
        f"{level.word} {sign} {units.show(kind, border)}" if border or sign == "≤" else level.word
        for level, border in sorted(rule.levels.items())
    )


def _evidence(check: Check) -> str:
    needs = [f"the role `{name}`" for name in check.requirements.privileges]
    needs += [
        f"the extension `{name}`" + ("" if oldest == "any" else f" {oldest} or newer")
        for name, oldest in check.requirements.extensions.items()
    ]
    needs += [f"`{name} = {value}`" for name, value in check.requirements.settings.items()]
    reads = ", ".join(f"`{view}`" for view in check.reads) or "the system catalogs only"
    said = [
        f"Reads {reads}.",
        f"Measures `{check.severity.measure}`."
        if check.severity.measure and check.severity.shown
        else "",
    ]
    said.append(f"Needs {', '.join(needs)}; without it the check is not run." if needs else "")
    if check.evidence is not None and check.evidence.minimum is not None:
        least = check.parameters[check.evidence.minimum]
        said.append(
            f"Judges what `{check.evidence.view}` has counted; it is not run before that covers "
            f"{units.show('duration', least.default)} (`{check.evidence.minimum}`)."
        )
    said.append(_over_a_window(check))
    said.append(f"A finding reads: “{check.message}”")
    return " ".join(filter(None, said))


def _over_a_window(check: Check) -> str:
    """Say what `--window` and `--since` make of a check of counters."""
    evidence = check.evidence
    if evidence is None:
        return ""
    if not evidence.windowed:
        return "It judges what is now, whatever `--window` is asked for."
    if evidence.window is not None:
        shortest = units.show("duration", evidence.window)
        return f"A `--window` may be as short as {shortest}."
    return "A `--window` must be as long." if evidence.minimum is not None else ""


def _parameters(check: Check) -> str:
    if not check.parameters:
        return ""
    rows = [
        f"| `{name}` | {p.type} | {units.show(p.type, p.default)} | {p.help} |"
        for name, p in check.parameters.items()
    ]
    head = "## Parameters\n\n| parameter | type | default | meaning |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(rows)


def _remedy(check: Check) -> str:
    remedy = check.remedy
    parts = [remedy.text]
    if remedy.sql:
        parts.append(f"```sql\n{remedy.sql}\n```")
    if remedy.impact:
        parts.append(f"**Impact:** {remedy.impact}")
    if remedy.undo:
        parts.append(f"To take it back:\n\n```sql\n{remedy.undo}\n```")
    if remedy.sql:
        parts.append(
            "pgaudit fills in and quotes the names, prints the statement, and never runs it."
        )
    return "\n\n".join(parts)


def _accepting(check: Check) -> str:
    leaving = f"Leave the check out with `--ignore {check.id}`"
    name = next((n for n in check.parameters if n != "minimum_window"), None)
    if name is None:
        return f"{leaving}."
    example = quote.literal(f"{check.id}.{name}={_another(check.parameters[name])}")
    return f"{leaving}, or change from when on it is reported, for instance `--set {example}`."


def _another(parameter: Parameter) -> str:
    """Write a value that is not the default: twice or half of it, whichever is allowed."""
    default = parameter.default
    if not isinstance(default, int | float) or isinstance(default, bool):
        return str(default)
    doubled: float = 2 * default or 1
    value = (
        doubled
        if parameter.maximum is None or doubled <= float(str(parameter.maximum))
        else default / 2
    )
    exact = int(value) if value == int(value) else value
    return units.show(parameter.type, exact).replace(",", "")


def _bullets(heading: str, entries: Iterable[str]) -> str:
    lines = [f"- {entry}" for entry in entries]
    return "\n".join([heading, "", *lines]) if lines else ""


def _rank(category: str) -> int:
    return CATEGORIES.index(category) if category in CATEGORIES else len(CATEGORIES)
