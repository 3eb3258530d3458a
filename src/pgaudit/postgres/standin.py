"""A check's SQL, its parameters and a server → the one statement that is sent.

The SQL is never sent bare. It becomes the inside of `WITH <stand-ins> SELECT * FROM ( … ) AS finding`,
so that the server itself refuses a second statement, a data-modifying WITH, COPY, SET and COMMIT. Each
statistics view that it reads is replaced by a common table expression of the same name: the
view in its newest shape, or the canned rows of a proof.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pgaudit import quote, sqltext
from pgaudit.model import Extension, Parameter, Server
from pgaudit.postgres import counters, own, shape
from pgaudit.postgres.difference import Difference
from pgaudit.units import KINDS, Value

Given = Mapping[str, Sequence[Mapping[str, object]]]
"""Canned rows for views: view to rows, each a mapping of column to a JSON value."""


@dataclass(frozen=True, slots=True)
class Question:
    """One statement with `$1` parameters; `offset` is where the check's own SQL starts in it."""

    text: str
    parameters: tuple[object, ...] = ()
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the stand-ins of a question are made of: the server's views, canned rows, or a window."""

    shapes: Mapping[str, tuple[str, ...]]
    extensions: Mapping[str, Extension]
    given: Given
    window: Difference | None = None

    @classmethod
    def of(
        cls, server: Server, given: Given | None = None, window: Difference | None = None
    ) -> Surroundings:
        """Return those of a server, with canned rows or a window if there are any."""
        return cls(server.shapes, server.extensions, given or {}, window)

    @property
    def schemas(self) -> dict[str, str]:
        """Each extension's schema."""
        return {name: extension.schema for name, extension in self.extensions.items()}


def question(
    sql: str,
    *,
    label: str,
    reads: Sequence[str],
    parameters: Mapping[str, Parameter],
    surroundings: Surroundings,
    limit: int,
) -> Question:
    """Wrap a check's SQL; `label` is shown to whoever watches the server, `limit` caps the rows."""
    values: list[object] = []
    functions = [view for view in reads if view in shape.FUNCTION_VIEWS]
    standins = [
        _standin(view, surroundings, values, sql)
        for view in _in_order(_with_those_behind(reads))
        if view not in functions or view in surroundings.given
    ]
    mark = f"/* pgaudit: {label} */"
    head = f"WITH {mark} {', '.join(standins)}\nSELECT * FROM (\n" if standins else (
        f"SELECT {mark} * FROM (\n"
    )  # fmt: skip
    body = _schemas(sql, surroundings.schemas)
    body = _called(body, functions, surroundings.shapes, surroundings.schemas, surroundings.given)
    body = _numbered(body, parameters, values)
    return Question(f"{head}{body}\n) AS finding LIMIT {limit}", tuple(values), len(head))


def for_psql(
    sql: str, *, reads: Sequence[str], parameters: Mapping[str, Parameter], major: int
) -> str:
    """Return a check's SQL with parameters as literals, ready for psql on a major version.

    Extensions are taken to be in `public`, with the version that belongs to that major; those
    that a check can do without are taken to be absent.
    """
    shapes = {
        view: shape.of_major(view, major)
        for view in shape.names()
        if view not in shape.FUNCTION_VIEWS
    }
    schemas = dict.fromkeys(shape.EXTENSION_VIEWS.values(), "public")
    functions = [view for view in reads if view in shape.FUNCTION_VIEWS]
    standins = [
        _named(view, shape.select(view, shapes, schemas))
        for view in _in_order(_with_those_behind(reads))
        if view not in functions
    ]
    body = _schemas(sql, _all_public(sql))
    body = _called(body, functions, shapes, schemas, {})
    body = sqltext.PLACEHOLDER.sub(lambda m: _literal(parameters[m[1]]), body).replace("%%", "%")
    head = f"WITH {', '.join(standins)}\n" if standins else ""
    return (
        "SET search_path = pg_catalog, pg_temp;\n"
        f"{head}SELECT * FROM (\n{body.rstrip()}\n) AS finding;\n"
    )


def _with_those_behind(reads: Sequence[str]) -> list[str]:
    """Add what pgaudit's own views read: it may be canned, of a window, or older than the newest shape."""
    return [*dict.fromkeys((*reads, *sorted(sqltext.behind(own.NAMES.intersection(reads)))))]


def _in_order(reads: Sequence[str]) -> list[str]:
    """Put views of pgaudit's own last: they read others, and canned rows where there are any."""
    return sorted(reads, key=lambda view: view in own.NAMES)


def _standin(view: str, surroundings: Surroundings, values: list[object], sql: str) -> str:
    if view not in surroundings.given:
        select = shape.select(view, surroundings.shapes, surroundings.schemas)
        window = surroundings.window
        if window is not None and view in window.views:
            select = _windowed(view, select, window, values, sqltext.words(sql))
        return _named(view, select)
    values.append(json.dumps(list(surroundings.given[view])))
    columns = shape.newest(view)
    typed = ", ".join(f"{quote.identifier(c)} {shape.writable(k)}" for c, k in columns.items())
    # jsonb_to_recordset types the canned rows as the view would.
    return _named(
        view, f"SELECT * FROM jsonb_to_recordset(${len(values)}::jsonb) AS canned ({typed})"
    )


def _windowed(
    view: str, select: str, window: Difference, values: list[object], named: Collection[str]
) -> str:
    """Put what was counted inside a window in the place of a view's counters.

    The rows themselves, their names and what is no counter come from the view as it is now, so that
    only rows that counted something are sent. A column that the check does not name is not sent, and
    shown as NULL rather than as a false zero.
    """
    kind, types = counters.cumulative()[view], shape.newest(view)
    sent = [c for c in (*kind.counters, *kind.derived) if c in named]
    values += [window.views[view].text(sent), window.seconds]
    rows, seconds = f"${len(values) - 1}::jsonb", f"${len(values)}::float8"

    def column(name: str, kind_of: str) -> str:
        quoted = quote.identifier(name)
        if name in kind.starts:
            # Not the sample's own moment: rates are counted until now(), and asking takes its time.
            return f"now() - make_interval(secs => coalesce(d.row_age, {seconds})) AS {quoted}"
        if name in kind.kept or name in kind.key:
            return f"v.{quoted}"
        if name not in sent:
            return f"NULL::{kind_of} AS {quoted}"
        if name in kind.derived:
            return f"d.{quoted}"
        return f"CASE WHEN v.{quoted} IS NOT NULL THEN coalesce(d.{quoted}, 0) END AS {quoted}"

    listed = ", ".join(column(name, kind_of) for name, kind_of in types.items())
    typed = "".join(f", {quote.identifier(c)} {types[c]}" for c in sent)
    return (
        f"SELECT {listed} FROM ({select}) AS v {'' if kind.happened else 'LEFT '}JOIN "
        f"jsonb_to_recordset({rows}) AS d (row_key text, row_age float8{typed}) "
        f"ON d.row_key = {kind.identity('v')}"
    )


def _named(view: str, select: str) -> str:
    """Make a common table expression: shared memory is read once, catalogs keep their indexes."""
    how = "MATERIALIZED "
    if view in own.NAMES:
        how = "NOT MATERIALIZED "
    elif view in shape.OF_CATALOGS:
        how = ""
    return f"{quote.identifier(view)} AS {how}({select})"


def _called(
    sql: str,
    views: Sequence[str],
    shapes: Mapping[str, tuple[str, ...]],
    schemas: Mapping[str, str],
    given: Given,
) -> str:
    """Put a relation's function, or what stands in for it, where a check calls it.

    A common table expression would not do: one with a volatile function is never inlined, and would
    measure every relation there is before the check's condition on one of them is looked at.
    """
    for view in views:
        call = re.compile(rf"(?<![\w.]){view}\s*\(")
        found = call.search(sql)
        while found is not None:
            end = _closing(sql, found.end())
            relation = sql[found.end() : end]
            if view in given:
                key = quote.identifier(shape.FUNCTION_VIEWS[view][0])
                placed = f"(SELECT * FROM {quote.identifier(view)} WHERE {key} = {relation})"
            else:
                placed = shape.call(view, relation, shapes, schemas)
            sql = sql[: found.start()] + placed + sql[end + 1 :]
            found = call.search(sql, found.start() + len(placed))
    return sql


def _closing(sql: str, start: int) -> int:
    """Return where the bracket that was opened before `start` is closed.

    >>> _closing("f(a(b), c) d", 2)
    9
    """
    depth = 1
    for place in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[place], 0)
        if depth == 0:
            return place
    return len(sql)


def _numbered(sql: str, parameters: Mapping[str, Parameter], values: list[object]) -> str:
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        name = found[1]
        if name not in numbers:
            values.append(_adapted(parameters[name]))
            numbers[name] = len(values)
        return f"${numbers[name]}::{KINDS[parameters[name].type].sql}"

    return sqltext.PLACEHOLDER.sub(number, sql).replace("%%", "%")


def _schemas(sql: str, schemas: Mapping[str, str]) -> str:
    """Fill `{extension}` with the quoted schema of an extension that the server has."""
    for extension, schema in schemas.items():
        sql = sql.replace(f"{{{extension}}}", quote.identifier(schema))
    return sql


def _all_public(sql: str) -> dict[str, str]:
    return dict.fromkeys(re.findall(r"\{([a-z_]\w*)\}\.", sql), "public")


def _adapted(parameter: Parameter) -> object:
    value = parameter.default
    if parameter.type == "duration":
        return timedelta(seconds=float(str(value)))
    if parameter.type == "percent":
        return Decimal(str(value))
    return value


def _literal(parameter: Parameter) -> str:
    kind = KINDS[parameter.type]
    value: Value = parameter.default
    text = f"{value} seconds" if parameter.type == "duration" else str(value)
    return f"{quote.literal(text)}::{kind.sql}"
