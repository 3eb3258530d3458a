"""Messages and remedies: text with {placeholders}, parsed once, filled with a row's values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgaudit import quote, units
from pgaudit.units import Value

SHORT = 100
"""How many characters of a long text `{column:short}` keeps."""

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `{name}` or `{name:form}` of a template."""

    name: str
    form: str = ""


Part = str | Placeholder


def parse(text: str) -> tuple[Part, ...]:
    """Split a template into text and placeholders; raises ValueError on a stray brace.

    >>> parse("{object} takes {size}.")
    (Placeholder(name='object', form=''), ' takes ', Placeholder(name='size', form=''), '.')
    >>> parse("array literal '{{}}'")
    ("array literal '", '{', '}', "'")
    """
    parts: list[Part] = []
    end = 0
    for found in _PART.finditer(text):
        parts.append(text[end : found.start()])
        end = found.end()
        if found[0] in ("{{", "}}"):
            parts.append(found[0][0])
        elif found[1] is None or not found[1].strip():
            raise ValueError(f"'{found[0]}' is no placeholder; write a brace itself twice")
        else:
            name, _, form = found[1].partition(":")
            parts.append(Placeholder(name.strip(), form.strip()))
    parts.append(text[end:])
    return tuple(p for p in parts if p != "")


def placeholders(text: str) -> tuple[Placeholder, ...]:
    """Return the placeholders of a template, in order.

    >>> [p.name for p in placeholders("{a} and {b:literal}")]
    ['a', 'b']
    """
    return tuple(p for p in parse(text) if isinstance(p, Placeholder))


@dataclass(frozen=True, slots=True)
class Values:
    """What a template can be filled with: typed values, the names of object and parent, its kind."""

    kinds: Mapping[str, str]
    values: Mapping[str, Value]
    object: tuple[str, ...]
    parent: tuple[str, ...] = ()
    kind: str = ""

    def name(self, which: str) -> tuple[str, ...] | None:
        """Return the parts of `object` or `parent`, or None for any other placeholder."""
        return {"object": self.object, "parent": self.parent}.get(which)


def fill_text(text: str, values: Values) -> str:
    r"""Fill a sentence for people: numbers with units, names quoted only where needed.

    >>> row = Values({"size": "size"}, {"size": 2048}, ("public", "Old idx"))
    >>> fill_text("{object} takes {size}.", row)
    'public."Old idx" takes 2 KiB.'
    """
    return _fill(text, lambda p: _for_people(p, values))


def fill_sql(text: str, values: Values) -> str:
    r"""Fill a statement: every placeholder becomes an identifier, a literal, a number, a definition.

    `{x}` is an identifier, `{x:literal}` a string literal, numbers and booleans are written as SQL
    numbers and booleans, a column of type `sql` (the server's own deparser made it) is inserted as
    it is, but for unprintable characters inside quotes. Nothing else can be inserted raw.

    >>> row = Values({"n": "text", "pid": "count"}, {"n": "it's", "pid": 42}, ("public", "t"))
    >>> fill_sql("DROP TABLE {object}; -- {n} {n:literal} {pid}", row)
    'DROP TABLE "public"."t"; -- "it\'s" \'it\'\'s\' 42'
    """
    return _fill(text, lambda p: _for_sql(p, values))


def _fill(text: str, write: Callable[[Placeholder], str]) -> str:
    return "".join(p if isinstance(p, str) else write(p) for p in parse(text))


def _for_people(placeholder: Placeholder, values: Values) -> str:
    parts = values.name(placeholder.name)
    if parts is not None:
        return quote.display(parts, _kind(placeholder, values))
    shown = units.show(values.kinds[placeholder.name], values.values[placeholder.name])
    if placeholder.form == "short":
        shown = units.one_line(shown, SHORT)
    return shown


def _kind(placeholder: Placeholder, values: Values) -> str:
    return values.kind if placeholder.name == "object" else ""


def _for_sql(placeholder: Placeholder, values: Values) -> str:
    parts = values.name(placeholder.name)
    if parts is not None:
        name = quote.qualified(parts, _kind(placeholder, values))
        return quote.literal(name) if placeholder.form else name
    kind, value = values.kinds[placeholder.name], values.values[placeholder.name]
    if value is None:
        return "NULL"
    if kind == "sql":
        return quote.printable(str(value))
    if kind == "boolean":
        return "true" if value else "false"
    if units.KINDS[kind].numeric and not placeholder.form:
        return str(value)
    return (
        quote.literal(str(value)) if placeholder.form == "literal" else quote.identifier(str(value))
    )
