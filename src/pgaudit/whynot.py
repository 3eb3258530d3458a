"""A check and a server → the reason why the check cannot be asked there, or None."""

from __future__ import annotations

from collections.abc import Iterator

from pgaudit import quote, units
from pgaudit.model import Check, Reason, Server
from pgaudit.statements import tree, vocabulary


def why_not(check: Check, server: Server) -> Reason | None:
    """Return the first reason why a check is not run, with the one statement that would change it.

    In the order in which a person would have to deal with them: what the server is, what it has,
    what it is set to, what this role may see, how long the counters have been counting.
    """
    return next(_reasons(check, server), None)


def missing_privileges(check: Check, server: Server) -> list[Reason]:
    """Return every privilege that a check lacks here, also where something else stands before it."""
    return [r for name in check.requirements.privileges for r in _privilege(name, server)]


def _reasons(check: Check, server: Server) -> Iterator[Reason]:
    yield from _version(check, server)
    if check.role not in ("any", server.role):
        yield Reason("role", f"only on a {check.role}")
    for name, oldest in check.requirements.extensions.items():
        yield from _extension(name, oldest, server)
    for name, wanted in check.requirements.settings.items():
        actual = server.settings.get(name)
        if actual is not None and actual != wanted:
            cure = f"ALTER SYSTEM SET {quote.identifier(name)} = {quote.literal(wanted)};"
            yield Reason("setting", f"needs {name} = {wanted}, which is {actual}", cure)
    for name in check.requirements.privileges:
        yield from _privilege(name, server)
    missing = tree.missing() if vocabulary.MADE_VIEWS.intersection(check.reads) else None
    if missing is not None:
        yield Reason("package", missing, f"pip install {tree.LIBRARY}")
    yield from _window(check, server)


def _version(check: Check, server: Server) -> Iterator[Reason]:
    variant = check.variant(server.major)
    if variant is None:
        yield Reason("version", f"needs PostgreSQL {min(check.queries)} or newer")
    elif check.queries[variant] is None:
        yield Reason("version", f"does not apply to PostgreSQL {variant} or newer")


def _extension(name: str, oldest: str, server: Server) -> Iterator[Reason]:
    extension = server.extensions.get(name)
    quoted = quote.identifier(name)
    if extension is None:
        if name in server.available:
            yield Reason(
                "extension",
                f"needs the extension {name} in this database",
                f"CREATE EXTENSION {quoted};",
            )
        else:
            yield Reason(
                "extension", f"needs the extension {name}, which this server does not have"
            )
    elif not extension.loaded:
        libraries = server.settings.get("shared_preload_libraries")
        cure = None
        if libraries is not None:
            entries = [part.strip() for part in libraries.split(",") if part.strip()]
            listed = ", ".join(quote.literal(library) for library in (*entries, name))
            cure = f"ALTER SYSTEM SET shared_preload_libraries = {listed};"
        yield Reason(
            "extension", f"needs {name} in shared_preload_libraries, and then a restart", cure
        )
    elif not extension.usable:
        schema = quote.identifier(extension.schema)
        cure = f"GRANT USAGE ON SCHEMA {schema} TO {quote.identifier(server.user)};"
        yield Reason(
            "privilege", f"needs USAGE on the schema {extension.schema}, where {name} is", cure
        )
    elif oldest != "any" and _numbers(extension.version) < _numbers(oldest):
        yield Reason(
            "extension",
            f"needs {name} {oldest} or newer, which is {extension.version}",
            f"ALTER EXTENSION {quoted} UPDATE;",
        )


def _privilege(name: str, server: Server) -> Iterator[Reason]:
    if server.superuser or name in server.memberships:
        return
    if name == "superuser":
        yield Reason("privilege", "needs a superuser")
    elif name not in server.roles:
        yield Reason("version", f"needs the role {name}, which this version does not have")
    else:
        cure = f"GRANT {name} TO {quote.identifier(server.user)};"
        yield Reason("privilege", f"needs {name}", cure, privilege=name)


def _window(check: Check, server: Server) -> Iterator[Reason]:
    evidence = check.evidence
    if evidence is None or evidence.minimum is None:
        return
    window = server.windows.get(evidence.view)
    if window is None:
        return
    needed = float(str(check.parameters[evidence.minimum].default))
    covered = (server.now - window.start).total_seconds()
    if covered < needed:
        least = f"needs {units.show_duration(needed)} ({evidence.minimum})"
        if window.asked:
            said = f"would judge what {evidence.view} counted {window.source}"
        else:
            counted = units.show_duration(max(0, round(covered)))
            said = f"{evidence.view} has counted for {counted} (since the {window.source})"
        yield Reason("window", f"{said}, {least}")


def _numbers(version: str) -> tuple[int, ...]:
    """Read a version that counts in whole numbers, so that 1.10 is newer than 1.9.

    >>> _numbers("1.10") > _numbers("1.9")
    True
    """
    return tuple(int(part) for part in version.split(".") if part.isdigit())
