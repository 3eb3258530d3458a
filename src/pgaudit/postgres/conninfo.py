"""What a person calls a target → what libpq needs, and a label that never shows a password."""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg
from psycopg import conninfo

from pgaudit.errors import UsageError
from pgaudit.model import Target

_URI = re.compile(r"^(postgres|postgresql)(\+\w+)?://")


def target(text: str | None, options: Mapping[str, str | None], *, origin: str = "") -> Target:
    """Make a target of a URI, a libpq string or a database name, with options on top.

    `options` are libpq keywords (host, port, user, dbname); None values are left out. `origin` says
    where the text came from when that was not the command line. Raises UsageError where libpq
    cannot read the text; the message never repeats it, because it may hold a password.
    """
    given = {key: value for key, value in options.items() if value is not None}
    try:
        # SQLAlchemy and Django write the driver into the scheme; libpq does not know that form.
        base = _URI.sub(r"postgresql://", text) if text and _URI.match(text) else _named(text)
        made = conninfo.make_conninfo(base, **given)
    except psycopg.ProgrammingError as error:
        raise UsageError(
            f"The target{' from ' + origin if origin else ''} is no connection string.",
            server=_safe(str(error)),
            hint="use postgresql://user@host:port/database, 'service=name', or a database name",
        ) from None
    return Target(label(made), made, origin)


def with_database(base: Target, database: str) -> Target:
    """Return the same target, another database."""
    made = conninfo.make_conninfo(base.conninfo, dbname=database)
    return Target(label(made), made, base.origin)


def with_password(base: Target, password: str) -> Target:
    """Return the same target with a password that was asked for."""
    return Target(base.label, conninfo.make_conninfo(base.conninfo, password=password), base.origin)


def label(text: str) -> str:
    """Name a target for people: database@host:port, as far as it is known before connecting.

    >>> label("postgresql://me:secret@db1:5433/shop")
    'shop@db1:5433'
    >>> label("service=shop")
    'service shop'
    """
    parts = conninfo.conninfo_to_dict(text)
    defaults = _defaults()
    service = parts.get("service") or defaults.get("service")
    known = {**defaults, **{k: str(v) for k, v in parts.items() if v}}
    database = known.get("dbname") or known.get("user") or ""
    host = known.get("host") or known.get("hostaddr")
    if service and not parts.get("host") and not parts.get("dbname"):
        return f"service {service}"
    place = f"{host}:{known.get('port', '5432')}" if host else "local socket"
    return f"{database}@{place}" if database else place


def _named(text: str | None) -> str:
    """Tell a bare database name from a libpq string by the equals sign, as psql does."""
    if text is None or "=" in text:
        return text or ""
    return conninfo.make_conninfo("", dbname=text)


def _defaults() -> dict[str, str]:
    """Return what libpq takes from the environment and from where it was built."""
    found = psycopg.pq.Conninfo.get_defaults()
    return {o.keyword.decode(): o.val.decode() for o in found if o.val}


def _safe(text: str) -> str:
    """Keep libpq's first words; what follows may quote the string itself."""
    return text.split(":", maxsplit=1)[0].split('"', maxsplit=1)[0].strip()
