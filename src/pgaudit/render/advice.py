"""Index advice → text for people, JSON for programs, or a script for psql; nothing is created."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from pgaudit import units
from pgaudit.advise.model import Advice, Advised, Helped
from pgaudit.render import text
from pgaudit.render.style import Style

STATEMENTS = 5
"""Statements helped that are listed for each index, unless --verbose asks for all."""

ONE_LINE = 100
"""Characters of a statement that are shown."""


def render(place: str, advised: Advised, style: Style) -> str:
    """Return the advice as people read it; `place` is the database."""
    return "".join(style.words(line) + "\n" for line in _lines(place, advised, style))


def write_sql(place: str, advised: Advised, _style: Style) -> str:
    """Return a script that makes the indexes; everything else in it is a comment."""
    lines = [f"-- Index advice for {text.safe(place)}. Read it before you run it."]
    if advised.unconfirmed:
        lines.append(f"-- Not confirmed by the planner: {text.safe(advised.unconfirmed)}.")
    if advised.hidden:
        lines.append(f"-- {text.safe(_hidden(advised))}.")
    if not advised.advice and not advised.unread:
        lines.append("-- No index earns what it costs.")
    for one in advised.advice:
        lines += ["", *(f"-- {text.safe(line)}" for line in _about(one, advised))]
        if one.candidate.needs:
            lines.append(f"CREATE EXTENSION IF NOT EXISTS {one.candidate.needs};")
        lines.append(f"{one.sql};")
    return "\n".join(lines) + "\n"


def write_json(place: str, advised: Advised, style: Style) -> str:
    """Return the advice as one JSON document."""
    document = {
        "format": 1,
        "database": place,
        "statements": advised.statements,
        "hidden": advised.hidden,
        "planned": advised.planned,
        "not_planned": dict(advised.reasons),
        "unconfirmed": advised.unconfirmed,
        "weight": {"unit": advised.unit, "before": advised.before, "after": advised.after},
        "advice": [_document(one, advised) for one in advised.advice],
    }
    return json.dumps(document, indent=2 if style.indent else None, ensure_ascii=False)


FORMATS: Mapping[str, Callable[[str, Advised, Style], str]] = {
    "table": render,
    "json": write_json,
    "sql": write_sql,
}
"""Format to renderer."""


def _lines(place: str, advised: Advised, style: Style) -> Iterator[str]:
    looked = text.many(advised.statements, "statement")
    yield f"{place}: {looked}, {advised.planned} of them planned"
    if advised.unconfirmed:
        yield f"Not confirmed by the planner: {advised.unconfirmed}."
    if advised.hidden:
        yield f"{_hidden(advised)}."
    if style.verbose:
        for reason, count in sorted(advised.reasons.items(), key=lambda r: (-r[1], r[0])):
            yield f"  not planned: {text.many(count, 'statement')}, {reason}"
    if advised.unread:
        return
    yield ""
    if not advised.advice:
        yield "No index earns what it costs."
        return
    for number, one in enumerate(advised.advice, 1):
        yield f"{number}. {one.sql};"
        yield from (f"   {line}" for line in _about(one, advised))
        shown = one.helped if style.verbose else one.helped[:STATEMENTS]
        width = max(len(_costs(h)) for h in shown)
        yield from (
            f"   {_costs(h):{width}}  {units.one_line(h.work.asked.text, ONE_LINE)}" for h in shown
        )
        if len(shown) < len(one.helped):
            yield f"   and {text.many(len(one.helped) - len(shown), 'more statement')}"
        yield ""
    part = 100 * (1 - advised.after / advised.before) if advised.before else 0.0
    yield f"Together they save {units.show_percent(part)} of {_whole(advised)}. Nothing was created."


def _about(one: Advice, advised: Advised) -> Iterator[str]:
    """Say what an index brings and what it costs, a sentence a line."""
    how = "confirmed by the planner" if one.confirmed else "estimated, not confirmed by the planner"
    saved = units.show_percent(100 * one.share)
    yield f"Saves {saved} of {_whole(advised)}; about {units.show_size(one.size)}; {how}."
    if one.evidence:
        yield f"Now: {one.evidence}."
    if one.writes:
        slower = f"Written along with {text.many(one.writes, 'row')}"
        if one.loses_hot:
            slower += f"; {text.many(one.loses_hot, 'update')} would no longer be heap-only"
        yield f"{slower}."
    if one.redundant:
        yield f"Makes redundant: {', '.join(index.name for index in one.redundant)}."


def _hidden(advised: Advised) -> str:
    """Say how many texts were not shown, and what shows them."""
    of = text.many(advised.statements, "statement")
    verb = "is" if advised.statements == 1 else "are"
    return f"{advised.hidden:,} of {of} {verb} hidden from this role: {advised.grant}"


def _whole(advised: Advised) -> str:
    if advised.unit == "ms":
        return f"{units.show_duration(advised.before / 1000)} of statements"
    return "the statements' cost"


def _costs(helped: Helped) -> str:
    calls = text.many(helped.work.calls, "call")
    return f"cost {helped.before:,.0f} → {helped.after:,.0f}, {calls}"


def _document(one: Advice, advised: Advised) -> dict[str, object]:
    return {
        "sql": one.sql,
        "needs_extension": one.candidate.needs,
        "schema": one.table.schema,
        "table": one.table.name,
        "index": one.name,
        "method": one.candidate.method,
        "confirmed": one.confirmed,
        "size": one.size,
        "share": round(one.share, 6),
        "evidence": one.evidence,
        "rows_written": one.writes,
        "updates_no_longer_hot": one.loses_hot,
        "redundant": [index.name for index in one.redundant],
        "helped": [_helped(h, advised) for h in one.helped],
    }


def _helped(helped: Helped, advised: Advised) -> dict[str, object]:
    return {
        "queryid": helped.work.queryid if advised.unit == "ms" else None,
        "statement": helped.work.asked.text,
        "calls": helped.work.calls,
        "cost_before": helped.before,
        "cost_after": helped.after,
    }
