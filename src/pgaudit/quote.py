"""The only SQL quoting in the program: identifiers, literals, and names for people to read."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")


def identifier(name: str) -> str:
    r"""Quote a name as an SQL identifier, always, so that no list of reserved words is needed.

    What a terminal would not show as itself (control characters, line ends, bidirectional marks)
    is written in PostgreSQL's Unicode escapes, so that a printed statement is one line and safe
    to look at, and still runs: https://www.postgresql.org/docs/current/sql-syntax-lexical.html

    >>> print(identifier("Orders by note"), identifier('a"b'), identifier("x\x1b[2J"))
    "Orders by note" "a""b" U&"x\001b[2J"
    """
    return _quoted(name, '"')


def literal(value: str) -> str:
    r"""Quote text as an SQL string literal, under standard_conforming_strings.

    >>> print(literal("it's"), literal("C:\\new"), literal("a\nb"))
    'it''s' 'C:\new' U&'a\000ab'
    """
    return _quoted(value, "'")


def qualified(parts: Sequence[str], kind: str = "") -> str:
    """Quote a qualified name for SQL.

    A function's third part is its argument list, which the server's own deparser wrote.

    >>> qualified(["public", "orders"]), qualified(["public", "due", "day date"], "function")
    ('"public"."orders"', '"public"."due"(day date)')
    """
    names, arguments = _signature(parts, kind)
    return ".".join(map(identifier, names)) + arguments


NUMBERED = frozenset({"query", "session", "setting", "server"})
"""Kinds of objects whose names are no SQL identifiers, such as a statement's number."""


def display(parts: Sequence[str], kind: str = "") -> str:
    """Write a qualified name for people, quoted only where PostgreSQL would otherwise misread it.

    >>> display(["public", "orders"]), display(["public", "Old name"]), display(["42"], "query")
    ('public.orders', 'public."Old name"', '42')
    >>> display(["public", "due", "day date, integer"], "function")
    'public.due(day date, integer)'
    """
    if kind in NUMBERED:
        return " ".join(parts)
    names, arguments = _signature(parts, kind)
    return ".".join(p if _PLAIN.match(p) else identifier(p) for p in names) + arguments


def _signature(parts: Sequence[str], kind: str) -> tuple[Sequence[str], str]:
    """Part a name from the argument list that tells a function from others of that name."""
    if kind == "function" and len(parts) == 3:
        return parts[:2], f"({printable(parts[2])})"
    return parts, ""


_TOKEN = re.compile(
    r"""(?P<escaped>[eE]'(?:[^'\\]|''|\\.)*')
      | (?P<literal>'(?:[^']|'')*')
      | (?P<identifier>"(?:[^"]|"")*")
      | [^'"eE]+ | .""",
    re.DOTALL | re.VERBOSE,
)


def printable(sql: str) -> str:
    r"""Rewrite the quoted parts of a definition that a terminal would not show as themselves.

    PostgreSQL's deparser leaves a line end inside a quoted name as it is, so that what was part of
    a name would be printed as a line of its own, and pasted as one. `sql` is the server's own
    deparser's, so its tokens are well formed; what it means stays the same.

    >>> print(printable('CREATE INDEX "a\nDROP TABLE b; --" ON t (c)'))
    CREATE INDEX U&"a\000aDROP TABLE b; --" ON t (c)
    >>> print(printable("CREATE INDEX i ON t (c) WHERE d = 'x\ty' AND e = E'\\\\a\nb'"))
    CREATE INDEX i ON t (c) WHERE d = U&'x\0009y' AND e = E'\\a\U0000000ab'
    """
    return sql if sql.isprintable() else _TOKEN.sub(_shown, sql)


def _shown(token: re.Match[str]) -> str:
    text = token[0]
    if text.isprintable() or token.lastgroup is None:
        return text
    if token.lastgroup == "escaped":
        return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    mark = text[0]
    return _quoted(text[1:-1].replace(mark * 2, mark), mark)


def _quoted(text: str, mark: str) -> str:
    doubled = text.replace(mark, mark * 2)
    if text.isprintable():
        return f"{mark}{doubled}{mark}"
    return f"U&{mark}{''.join(map(_escaped, doubled))}{mark}"


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\{code:04x}" if code < 0x10000 else f"\\+{code:06x}"
