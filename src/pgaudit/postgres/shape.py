"""A statistics view as this server has it → a SELECT that presents it in its newest shape.

Columns and whole views come, go and are renamed between majors and extension versions; most tools
that read them break there. `views.json` says what each view's columns are in the newest release that
pgaudit knows, with the first (and last) major that has them; `FORMER` says where an older server
keeps the same fact. What an older server cannot know is NULL, a view that it does not have is empty.
Columns that only older servers have follow the newest ones, so that a query for those can use them.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping

from pgaudit import quote

Columns = Mapping[str, str]
"""Column name to type, in order."""

STATEMENTS = "pg_stat_statements"
EXTENSION_VIEWS: Mapping[str, str] = {
    "pg_stat_statements": STATEMENTS,
    "pg_stat_statements_info": STATEMENTS,
    "pgstattuple_approx": "pgstattuple",
    "pgstatindex": "pgstattuple",
}
"""Views that an extension brings, and which."""

FUNCTION_VIEWS: Mapping[str, tuple[str]] = {
    "pgstattuple_approx": ("relid",),
    "pgstatindex": ("indexrelid",),
}
"""Functions of one relation that a check can do without, and what canned rows call the relation.

Where the extension, or the right to call it, is missing, a call gives no row.
"""

SERVICE_ROLES = (
    "rdsadmin", "cloudsqladmin", "cloudsqlagent", "cloudsqlimportexport", "alloydbadmin", "azuresu",
    "cloud_admin", "supabase_admin", "supabase_auth_admin", "supabase_storage_admin",
    "supabase_realtime_admin", "supabase_functions_admin", "supabase_replication_admin", "pgbouncer",
)  # fmt: skip
"""Roles in whose name managed services keep schemas of their own.

Names of schemas would not do: customers have an `auth` and a `storage` of their own.
"""


def _releases() -> str:
    """Return the SELECT of the releases that this version of pgaudit knows, with the table's date."""
    text = (importlib.resources.files(__package__) / "releases.json").read_text(encoding="utf-8")
    known = json.loads(text)
    rows = ", ".join(
        f"({r['major']}, {r['newest_minor']}, '{r['first_released']}'::date, "
        f"'{r['end_of_life']}'::date, '{known['as_of']}'::date)"
        for r in known["releases"]
    )
    return (
        f"SELECT * FROM (VALUES {rows}) AS known ({', '.join(OWN_COLUMNS['postgresql_release'])})"
    )


OWN_COLUMNS: Mapping[str, Columns] = {
    "postgresql_release": {
        "major": "integer", "newest_minor": "integer", "first_released": "date",
        "end_of_life": "date", "as_of": "date",
    },
}  # fmt: skip
"""The columns of a view of pgaudit's own that proofs may give canned rows for."""

MADE_COLUMNS: Mapping[str, Columns] = {
    "matched_statement": {
        "pattern": "text", "relid": "oid", "column_name": "text", "other_relid": "oid",
        "other_column": "text", "expression": "text", "number": "bigint", "fingerprint": "text",
        "counted_since": "timestamp with time zone", "load": "numeric",
    },
    "index_advice": {
        "relid": "oid", "schemaname": "name", "relname": "name", "indexname": "name",
        "definition": "text", "keys": "text", "method": "text", "confirmed": "boolean",
        "unconfirmed": "text", "size": "bigint", "share": "numeric",
        "saved_time": "double precision", "calls": "bigint",
        "statements": "bigint", "queryid": "text", "query": "text",
        "cost_before": "double precision", "cost_after": "double precision", "evidence": "text",
        "rows_written": "bigint", "updates_not_hot": "bigint", "redundant": "text",
    },
    "index_use": {
        "indexrelid": "oid", "statements": "bigint", "queryid": "text", "query": "text",
        "cost": "double precision", "cost_without": "double precision",
    },
    "statement_plan": {
        "queryid": "bigint", "cost": "double precision", "worst": "text", "reason": "text",
    },
    "statement_reading": {
        "kind": "text", "reason": "text", "entries": "bigint", "calls": "bigint",
        "total_exec_time": "double precision",
    },
}  # fmt: skip
"""The columns of views that pgaudit makes by reading statements; see `newest` for one that has more."""

LIKE_STATEMENTS = frozenset(("matched_statement",))
"""Made views that have the columns of pg_stat_statements as well."""

MIGRATION_TABLES = (
    "databasechangelog", "databasechangeloglock", "flyway_schema_history", "schema_migrations",
    "ar_internal_metadata", "django_migrations", "_prisma_migrations", "alembic_version",
    "knex_migrations", "knex_migrations_lock", "__EFMigrationsHistory", "goose_db_version",
    "_sqlx_migrations", "sequelizemeta", "SequelizeMeta",
)  # fmt: skip
"""Tables that Liquibase, Flyway, Rails, Django, Prisma and others keep of the migrations they made."""

SERVICE_DATABASES = (
    "rdsadmin", "cloudsqladmin", "azure_maintenance", "azure_sys", "alloydbadmin",
    "alloydbmetadata",
)  # fmt: skip
"""Databases that managed services keep for themselves; no customer can connect to them."""


def _theirs(*names: str) -> str:
    return f"ALL ('{{{','.join(names)}}}')"


# Schemas of users. `public` is the customer's, whoever owns it (rdsadmin does on RDS).
_USER_SCHEMA = f"""
    NOT starts_with(n.nspname, 'pg_') AND n.nspname <> 'information_schema'
    AND NOT starts_with(n.nspname, '_timescaledb_')
    AND n.nspname <> ALL ('{{timescaledb_information,timescaledb_experimental,_heroku}}')
    AND (n.nspname = 'public' OR o.rolname <> {_theirs(*SERVICE_ROLES)})"""


def _of_users(catalog: str, alias: str, schema: str, condition: str = "true") -> str:
    """Return the SELECT of a catalog's rows in schemas of users, without members of extensions."""
    return f"""
        SELECT {alias}.*, n.nspname
        FROM   pg_catalog.{catalog} {alias}
        JOIN   pg_catalog.pg_namespace n ON n.oid = {alias}.{schema}
        JOIN   pg_catalog.pg_roles o ON o.oid = n.nspowner
        WHERE  {condition} AND {_USER_SCHEMA}
          AND  {_no_member(catalog, alias)}"""


def _no_member(catalog: str, alias: str) -> str:
    return f"""NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                           WHERE d.classid = 'pg_catalog.{catalog}'::regclass
                             AND d.objid = {alias}.oid AND d.deptype = 'e')"""


@functools.cache
def own_views() -> Mapping[str, str]:
    """Return the views of pgaudit's own, so that every check means the same by what is a user's.

    Each is the SELECT that stands for it. Roles and databases are read by names that a proof's
    canned rows may stand in for.
    """
    user_relation = _of_users(
        "pg_class",
        "c",
        "relnamespace",
        "c.relkind IN ('r', 'p', 'f', 'm', 'v', 'S') AND c.relpersistence <> 't'",
    )
    return {
        "postgresql_release": _releases(),
        # Tables, partitioned tables, foreign tables, materialized views, views and sequences. A
        # member's indexes are no members themselves, so indexes are reached through their table.
        "user_relation": user_relation,
        # Those that have rows, and how many: a partitioned table has its partitions'. By what VACUUM
        # and ANALYZE noted; pg_relation_size() would wait for a locked table.
        "whole_table": f"""
        SELECT r.oid, r.nspname, r.relname,
               coalesce(l.rows, greatest(r.reltuples, 0)) AS rows,
               coalesce(l.pages, greatest(r.relpages, 0)) AS pages,
               coalesce(l.toast_pages, greatest(t.relpages, 0)) AS toast_pages
        FROM   ({user_relation}) r
        LEFT   JOIN pg_catalog.pg_class t ON t.oid = r.reltoastrelid
        LEFT   JOIN (SELECT pg_partition_root(c.oid) AS root, sum(greatest(c.reltuples, 0)) AS rows,
                            sum(greatest(c.relpages, 0)) AS pages,
                            sum(greatest(t.relpages, 0)) AS toast_pages
                     FROM   pg_catalog.pg_class c
                     LEFT   JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
                     WHERE  c.relispartition AND c.relkind IN ('r', 'f')
                     GROUP  BY 1) l ON l.root = r.oid
        WHERE  r.relkind IN ('r', 'p', 'f', 'm')""",
        # What tools for migrations keep for themselves: nobody may change it but they.
        "migration_table": f"""
        SELECT c.oid
        FROM   pg_catalog.pg_class c
        WHERE  c.relkind IN ('r', 'p')
          AND  (c.relname = ANY ('{{{",".join(MIGRATION_TABLES)}}}')
                OR c.relname = 'migrations'
                   AND (SELECT array_agg(a.attname::text ORDER BY a.attnum)
                        FROM pg_catalog.pg_attribute a
                        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
                       = '{{id,migration,batch}}')""",
        "user_function": _of_users("pg_proc", "p", "pronamespace"),
        "user_type": _of_users("pg_type", "t", "typnamespace"),
        "user_schema": f"""
        SELECT n.*
        FROM   pg_catalog.pg_namespace n
        JOIN   pg_catalog.pg_roles o ON o.oid = n.nspowner
        WHERE  {_USER_SCHEMA} AND {_no_member("pg_namespace", "n")}""",
        # pg_stat_database, with the shortest and the longest time that a database's counters can cover.
        # It has no stamp until it is reset (15+); a clean restart keeps the counters, and whatever
        # discards them, such as a crash, stamps those of the server: the oldest of their stamps is
        # wrong only where each was reset by hand since.
        "database_counters": """
        SELECT d.*,
               coalesce(d.stats_reset,
                        greatest(pg_postmaster_start_time(), b.stats_reset)) AS surely_since,
               coalesce(d.stats_reset,
                        least(pg_postmaster_start_time(), b.stats_reset, a.stats_reset,
                              w.stats_reset)) AS perhaps_since
        FROM   pg_stat_database d
        CROSS  JOIN (SELECT min(b.stats_reset) AS stats_reset FROM pg_stat_bgwriter b) b
        CROSS  JOIN (SELECT min(a.stats_reset) AS stats_reset FROM pg_stat_archiver a) a
        CROSS  JOIN (SELECT min(w.stats_reset) AS stats_reset FROM pg_stat_wal w) w""",
        # What somebody else has, or awaits, for himself alone: deparsing what is in it, and measuring
        # it, would wait. A prepared transaction that holds a lock has no process.
        "locked_relation": """
        SELECT DISTINCT l.relation FROM pg_locks l
        WHERE  l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL
          AND  l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                             WHERE  d.datname = current_database())
          AND  l.pid IS DISTINCT FROM pg_backend_pid()""",
        # Sequences whose last value may be read, and how many of them at once: reading takes a lock
        # that is kept to the end of the transaction, and waits for who alters the sequence.
        "readable_sequence": """
        SELECT q.seqrelid AS oid,
               current_setting('max_locks_per_transaction')::bigint
               * (current_setting('max_connections')::bigint
                  + current_setting('max_prepared_transactions')::bigint) / 4 AS most
        FROM   pg_catalog.pg_sequence q
        JOIN   pg_catalog.pg_class c ON c.oid = q.seqrelid
        WHERE  NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
          AND  has_sequence_privilege(q.seqrelid, 'SELECT, USAGE')
          AND  q.seqrelid NOT IN (SELECT l.relation FROM pg_locks l
                             WHERE  l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                                               'AccessExclusiveLock')
                               AND  l.relation IS NOT NULL
                               AND  l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                                                  WHERE  d.datname = current_database())
                               AND  l.pid IS DISTINCT FROM pg_backend_pid())""",
        # Roles of this server's users: predefined roles and those of services left out.
        "user_role": f"""
        SELECT r.* FROM pg_roles r
        WHERE  NOT starts_with(r.rolname, 'pg_') AND r.rolname <> {_theirs(*SERVICE_ROLES)}
          AND  r.rolname !~ '^(alloydb|cloudsql|rds|azure_?pg|azuresu|supabase_)'""",
        "user_database": f"""
        SELECT d.* FROM pg_database d
        WHERE  NOT d.datistemplate AND d.datname <> {_theirs(*SERVICE_DATABASES)}""",
    }


OWN_VIEWS = frozenset(
    {
        "postgresql_release", "migration_table", "user_relation", "user_function", "user_type",
        "user_schema", "user_role", "user_database", "locked_relation", "readable_sequence",
        "database_counters", "whole_table",
    }
)  # fmt: skip
"""The names of `own_views()`."""

OF_CATALOGS = frozenset(
    {
        "pg_database", "pg_stats", "pg_stat_all_tables", "pg_stat_user_tables",
        "pg_stat_user_indexes", "pg_stat_user_functions", "pg_statio_user_tables",
        "pg_statio_user_indexes", "pg_statio_user_sequences",
    }
)  # fmt: skip
"""Views with a row for each row of a catalog, which the planner reads by that catalog's indexes.

All others copy shared memory, or a file, each time that they are read.
"""

FORMER: Mapping[str, Mapping[str, str]] = {
    # pg_stat_statements 1.11 (PostgreSQL 17) told shared from local block times.
    "pg_stat_statements": {
        "shared_blk_read_time": "blk_read_time",
        "shared_blk_write_time": "blk_write_time",
    },
    # PostgreSQL 18 counts bytes instead of operations of op_bytes each.
    "pg_stat_io": {
        "read_bytes": "reads * op_bytes",
        "write_bytes": "writes * op_bytes",
        "extend_bytes": "extends * op_bytes",
    },
    # PostgreSQL 17 moved these from pg_stat_bgwriter to a view of their own.
    "pg_stat_checkpointer": {
        "num_timed": "checkpoints_timed",
        "num_requested": "checkpoints_req",
        "write_time": "checkpoint_write_time",
        "sync_time": "checkpoint_sync_time",
        "buffers_written": "buffers_checkpoint",
        "stats_reset": "stats_reset",
    },
    # PostgreSQL 17 renamed it; the meaning (dead items collected so far) is the same.
    "pg_stat_progress_vacuum": {"num_dead_item_ids": "num_dead_tuples"},
    # PostgreSQL 19 tells tables from sequences.
    "pg_stat_subscription_stats": {"sync_table_error_count": "sync_error_count"},
}
"""View to column to the expression that an older server has for it."""

FORMER_VIEW: Mapping[str, str] = {"pg_stat_checkpointer": "pg_stat_bgwriter"}
"""Where an older server keeps what is now a view of its own."""


@functools.cache
def _known() -> Mapping[str, Mapping[str, list[str | int]]]:
    text = (importlib.resources.files(__package__) / "views.json").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, list[str | int]]] = json.loads(text)
    return loaded


def newest(view: str) -> Columns:
    """Return the columns of a view in its newest shape, then those that only older servers have.

    Empty for a view that pgaudit does not know.
    """
    if view in OWN_COLUMNS:
        return OWN_COLUMNS[view]
    if view in MADE_COLUMNS:
        beside = newest(STATEMENTS) if view in LIKE_STATEMENTS else {}
        return {**beside, **MADE_COLUMNS[view]}
    return {name: str(entry[0]) for name, entry in _known().get(view, {}).items()}


def of_major(view: str, major: int) -> tuple[str, ...]:
    """Return the columns that a view has on a major version with its own extension versions."""
    return tuple(
        name
        for name, (_, first, *last) in _known().get(view, {}).items()
        if int(first) <= major and all(major <= int(end) for end in last)
    )


def names() -> tuple[str, ...]:
    """Return every statistics view that pgaudit knows."""
    return tuple(_known())


def select(view: str, shapes: Mapping[str, tuple[str, ...]], schemas: Mapping[str, str]) -> str:
    """Return the SELECT that presents `view` in its newest shape on a server with `shapes`.

    `shapes` maps each view to its columns there, `schemas` an extension to its schema.
    """
    if view in OWN_VIEWS:
        return own_views()[view]
    source = view if shapes.get(view) else FORMER_VIEW.get(view, view)
    present = shapes.get(source, ())
    columns = newest(view) or dict.fromkeys(present, "")
    listed = ", ".join(_column(view, name, kind, present) for name, kind in columns.items())
    if not present:
        return f"SELECT {listed} WHERE false"
    schema = schemas.get(EXTENSION_VIEWS.get(source, ""), "pg_catalog")
    return f"SELECT {listed} FROM {quote.qualified((schema, source))}"


def call(
    view: str, relation: str, shapes: Mapping[str, tuple[str, ...]], schemas: Mapping[str, str]
) -> str:
    """Return the call of one of FUNCTION_VIEWS on a relation, or what gives no row of its shape."""
    if not shapes.get(view):
        return f"({select(view, {}, {})})"
    return f"{quote.qualified((schemas[EXTENSION_VIEWS[view]], view))}({relation})"


def _column(view: str, name: str, kind: str, present: tuple[str, ...]) -> str:
    quoted = quote.identifier(name)
    former = FORMER.get(view, {}).get(name)
    # "stats_reset" stands in both the old and the new view, so a column of that name comes first.
    if name in present:
        return quoted
    if former and former.split()[0] in present:
        return f"{former} AS {quoted}"
    return f"NULL::{writable(kind)} AS {quoted}"


def writable(kind: str) -> str:
    """Return a type that a NULL or a canned value can be written in.

    `anyarray` is a pseudo-type that only pg_stats may use.
    """
    return "text" if kind == "anyarray" else kind
