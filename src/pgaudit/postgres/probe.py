"""A session → everything that is true of its server, in two round trips."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pgaudit.errors import QueryError, TargetError
from pgaudit.evidence import Window
from pgaudit.model import Extension, Server
from pgaudit.postgres import own, shape
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Given, Question, Surroundings, question

OLDEST = 13
"""The oldest major version that is not refused; 14 and newer are supported."""

PRELOADED: Mapping[str, str] = {shape.STATEMENTS: "pg_stat_statements.max"}
"""Extensions that work only if their library was preloaded, and a setting that only it defines."""

_FACTS = f"""
WITH /* pgaudit: facts */ user_relation AS ({own.views()["user_relation"]})
SELECT
       current_setting('server_version')          AS version,
       current_setting('server_version_num')::int AS version_number,
       pg_is_in_recovery()                        AS standby,
       current_database()::text                   AS database,
       current_user::text                         AS "user",
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       ARRAY(SELECT rolname::text FROM pg_roles
             WHERE starts_with(rolname, 'pg_')
             ORDER BY rolname)                    AS roles,
       ARRAY(SELECT rolname::text FROM pg_roles
             WHERE starts_with(rolname, 'pg_') AND pg_has_role(oid, 'USAGE')
             ORDER BY rolname)                    AS memberships,
       NOT EXISTS (SELECT FROM user_relation t
                   WHERE t.relkind IN ('r', 'p', 'm')
                     AND NOT has_table_privilege(t.oid, 'SELECT')) AS reads_all_tables,
       (SELECT jsonb_object_agg(e.extname, jsonb_build_array(
                 e.extversion, n.nspname, has_schema_privilege(n.oid, 'USAGE')))
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace)::text AS extensions,
       ARRAY(SELECT name::text FROM pg_available_extensions ORDER BY name) AS available,
       (SELECT jsonb_object_agg(name, setting) FROM pg_settings)::text AS settings,
       pg_postmaster_start_time()                 AS started_at,
       now()                                      AS now
"""

_SHAPES = """
SELECT /* pgaudit: views */ c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
FROM   pg_class c
JOIN   pg_namespace n ON n.oid = c.relnamespace
JOIN   pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE  c.relname = ANY ($1::text[])
  AND  (n.nspname = 'pg_catalog'
        OR EXISTS (SELECT FROM pg_depend d
                   WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                     AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'))
GROUP  BY c.relname
UNION  ALL
SELECT p.proname::text, array_agg(a.name::text ORDER BY a.place)
FROM   pg_proc p,
       unnest(p.proargnames, p.proargmodes) WITH ORDINALITY AS a(name, mode, place)
WHERE  p.proname = ANY ($2::text[]) AND p.pronargs = 1 AND p.proargtypes[0] = 'regclass'::regtype
  AND  a.mode = 'o'
  AND  has_function_privilege(p.oid, 'EXECUTE') AND has_schema_privilege(p.pronamespace, 'USAGE')
  AND  EXISTS (SELECT FROM pg_depend d
               WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                 AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
GROUP  BY p.oid
"""

# When the counters of a view were last reset. Counters without a stamp are at least as old as the
# server's start: a clean restart keeps them, so the window is never stated longer than it is.
# After a crash, which does not move the server's start, the counters begin anew and only the stamps of
# the whole server say so.
_DATABASE = """(SELECT coalesce(d.stats_reset,
                        (SELECT b.stats_reset FROM pg_stat_bgwriter b
                         WHERE b.stats_reset > pg_postmaster_start_time()))
                FROM pg_stat_database d WHERE d.datname = current_database())"""
_RESETS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "pg_stat_user_tables", "pg_stat_all_tables", "pg_stat_user_indexes",
            "pg_stat_user_functions",
            "pg_statio_user_tables", "pg_statio_user_indexes", "pg_statio_user_sequences",
            "pg_stat_database", "pg_stat_database_conflicts",
        ),
        _DATABASE,
    ),
    **{
        view: f"(SELECT min(stats_reset) FROM {view})"
        for view in (
            "pg_stat_bgwriter", "pg_stat_checkpointer", "pg_stat_archiver",
            "pg_stat_wal", "pg_stat_io", "pg_stat_slru",
        )
    },
    **dict.fromkeys(
        ("pg_stat_statements", "pg_stat_statements_info"),
        "(SELECT stats_reset FROM pg_stat_statements_info)",
    ),
}  # fmt: skip
_SOURCES = (
    "pg_stat_database", "pg_stat_bgwriter", "pg_stat_checkpointer", "pg_stat_archiver",
    "pg_stat_wal", "pg_stat_io", "pg_stat_slru", "pg_stat_statements_info",
)  # fmt: skip


def probe(session: Session, *, timeout: float) -> Server:
    """Ask what is true of this server, database and role; `timeout` is seconds a question.

    Raises TargetError if the server cannot even say that, or is too old to be asked.
    """
    try:
        facts, shapes = session.ask(
            [
                Question(_FACTS),
                Question(_SHAPES, (list(shape.names()), list(shape.FUNCTION_VIEWS))),
            ],
            timeout=timeout,
        )
    except QueryError as error:
        raise TargetError(
            f"{session.target.label} answers, but not as PostgreSQL {OLDEST} or newer would.",
            server=error.message,
            hint="is it a pooler's console, or another database that speaks the protocol?",
        ) from None
    values: dict[str, Any] = dict(zip(facts.columns, facts.rows[0], strict=True))
    if values["version_number"] // 10000 < OLDEST:
        raise TargetError(
            f"{session.target.label} is PostgreSQL {values['version']}, older than pgaudit can read.",
            hint=f"pgaudit reads PostgreSQL {OLDEST} and newer",
        )
    settings: dict[str, str] = json.loads(values["settings"])
    extensions = {
        name: Extension(
            name, version, schema, name not in PRELOADED or PRELOADED[name] in settings, usable
        )
        for name, (version, schema, usable) in (json.loads(values["extensions"] or "{}")).items()
    }
    present = _present({name: tuple(columns) for name, columns in shapes.rows}, extensions)
    windows = _windows(
        session, Surroundings(present, extensions, {}), values["started_at"], timeout
    )
    # Who may read every table of users, say their owner, sees in pg_stats what the role would show.
    reading = {"pg_read_all_data"} if values["reads_all_tables"] else set()
    return Server(
        version=values["version"],
        version_number=values["version_number"],
        standby=values["standby"],
        database=values["database"],
        user=values["user"],
        superuser=bool(values["superuser"]),
        memberships=frozenset(values["memberships"]) | reading,
        roles=frozenset(values["roles"]),
        extensions=extensions,
        available=frozenset(values["available"]),
        settings=settings,
        shapes=present,
        windows=windows,
        started_at=values["started_at"].astimezone(UTC),
        now=values["now"].astimezone(UTC),
    )


def windows(session: Session, server: Server, given: Given, *, timeout: float) -> dict[str, Window]:
    """Ask again what the counters cover, with canned rows in place of views; for proofs."""
    surroundings = Surroundings.of(server, given)
    started = server.started_at or server.now
    return _windows(session, surroundings, started, timeout)


def databases(session: Session, *, timeout: float) -> list[str]:
    """Return the names of the databases that accept connections, templates left out."""
    answer = session.ask(
        [
            Question(
                f"WITH /* pgaudit: databases */ own AS ({own.views()['user_database']}) "
                "SELECT datname::text FROM own WHERE datallowconn ORDER BY datname"
            )
        ],
        timeout=timeout,
    )[0]
    return [str(row[0]) for row in answer.rows]


def _present(
    shapes: Mapping[str, tuple[str, ...]], extensions: Mapping[str, Extension]
) -> dict[str, tuple[str, ...]]:
    """Leave out the views of an extension that cannot be read: library, or right to its schema."""
    usable = {name for name, e in extensions.items() if e.loaded and e.usable}
    return {
        view: (*shape.FUNCTION_VIEWS.get(view, ()), *columns)
        for view, columns in shapes.items()
        if view not in shape.EXTENSION_VIEWS or shape.EXTENSION_VIEWS[view] in usable
    }


def _windows(
    session: Session, surroundings: Surroundings, started: datetime, timeout: float
) -> dict[str, Window]:
    views: Sequence[str] = tuple(_RESETS)
    sql = "SELECT " + ",\n".join(f'{_RESETS[view]} AS "{view}"' for view in views)
    asked = question(
        sql, label="windows", reads=_SOURCES, parameters={}, surroundings=surroundings, limit=1
    )
    row = session.ask([asked], timeout=timeout)[0].rows[0]
    return {
        view: Window(reset.astimezone(UTC), "reset stamp")
        if reset is not None
        else Window(started.astimezone(UTC), "server's start")
        for view, reset in zip(views, row, strict=True)
    }
