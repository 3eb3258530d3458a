"""The name of a view of pgaudit's own → the SELECT that stands for it.

So that every check means the same by what is a user's, how old counters are, and what may be looked at
without waiting. Databases, settings, sessions, locks and counters are read by the names of their views,
for which a proof's canned rows, or a window, may stand in; catalogs by their full names.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping

NAMES = frozenset(
    {
        "postgresql_release", "migration_table", "user_relation", "user_function", "user_type",
        "user_schema", "user_role", "user_database", "locked_relation", "readable_sequence",
        "database_counters", "whole_table", "role_without_timeout",
    }
)  # fmt: skip
"""The names of `views()`."""

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "postgresql_release": {
        "major": "integer", "newest_minor": "integer", "first_released": "date",
        "end_of_life": "date", "as_of": "date",
    },
}  # fmt: skip
"""The columns of a view of pgaudit's own that proofs may give canned rows for."""

SERVICE_ROLES = (
    "rdsadmin", "cloudsqladmin", "cloudsqlagent", "cloudsqlimportexport", "alloydbadmin", "azuresu",
    "cloud_admin", "supabase_admin", "supabase_auth_admin", "supabase_storage_admin",
    "supabase_realtime_admin", "supabase_functions_admin", "supabase_replication_admin", "pgbouncer",
)  # fmt: skip
"""Roles in whose name managed services keep schemas of their own.

Names of schemas would not do: customers have an `auth` and a `storage` of their own.
"""

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


def _releases() -> str:
    """Return the SELECT of the releases that this version of pgaudit knows, with the table's date."""
    text = (importlib.resources.files(__package__) / "releases.json").read_text(encoding="utf-8")
    known = json.loads(text)
    rows = ", ".join(
        f"({r['major']}, {r['newest_minor']}, '{r['first_released']}'::date, "
        f"'{r['end_of_life']}'::date, '{known['as_of']}'::date)"
        for r in known["releases"]
    )
    return f"SELECT * FROM (VALUES {rows}) AS known ({', '.join(COLUMNS['postgresql_release'])})"


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


_AGAINST_WRITERS = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")


def _locked(*modes: str) -> str:
    """Return the SELECT of this database's relations that others hold, or await, in one of the modes."""
    # A prepared transaction that holds a lock has no process.
    return f"""
        SELECT DISTINCT l.relation FROM pg_locks l
        WHERE  l.mode = ANY ('{{{",".join(modes)}}}') AND l.relation IS NOT NULL
          AND  l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                             WHERE  d.datname = current_database())
          AND  l.pid IS DISTINCT FROM pg_backend_pid()"""


@functools.cache
def views() -> Mapping[str, str]:
    """Return the SELECT of each view."""
    user_database = f"""
        SELECT d.* FROM pg_database d
        WHERE  NOT d.datistemplate AND d.datname <> {_theirs(*SERVICE_DATABASES)}"""
    user_role = f"""
        SELECT r.* FROM pg_roles r
        WHERE  NOT starts_with(r.rolname, 'pg_') AND r.rolname <> {_theirs(*SERVICE_ROLES)}
          AND  r.rolname !~ '^(alloydb|cloudsql|rds|azure_?pg|azuresu|supabase_)'"""
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
        # Those that have rows here, and how many: a partitioned table, and a partition that is one, has
        # its partitions'. By what VACUUM and ANALYZE noted; pg_relation_size() would wait for a lock.
        "whole_table": f"""
        SELECT r.oid, r.nspname, r.relname,
               coalesce(l.rows, greatest(r.reltuples, 0)) AS rows,
               coalesce(l.pages, greatest(r.relpages, 0)) AS pages,
               coalesce(l.toast_pages, greatest(t.relpages, 0)) AS toast_pages
        FROM   ({user_relation}) r
        LEFT   JOIN pg_catalog.pg_class t ON t.oid = r.reltoastrelid
        LEFT   JOIN (SELECT a.relid, sum(greatest(c.reltuples, 0)::float8) AS rows,
                            sum(greatest(c.relpages, 0)) AS pages,
                            sum(greatest(t.relpages, 0)) AS toast_pages
                     FROM   pg_catalog.pg_class c
                     CROSS  JOIN LATERAL pg_partition_ancestors(c.oid) AS a (relid)
                     LEFT   JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
                     WHERE  c.relispartition AND c.relkind = 'r' AND a.relid <> c.oid
                     GROUP  BY a.relid) l ON l.relid = r.oid
        WHERE  r.relkind IN ('r', 'p', 'm')""",
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
        # it, would wait.
        "locked_relation": _locked("AccessExclusiveLock"),
        # Sequences whose last value may be read, and how many of them at once: reading takes a lock
        # that is kept to the end of the transaction, and waits for who alters the sequence.
        "readable_sequence": f"""
        SELECT q.seqrelid AS oid,
               current_setting('max_locks_per_transaction')::bigint
               * (current_setting('max_connections')::bigint
                  + current_setting('max_prepared_transactions')::bigint) / 4 AS most
        FROM   pg_catalog.pg_sequence q
        JOIN   pg_catalog.pg_class c ON c.oid = q.seqrelid
        WHERE  c.relpersistence <> 't' AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
          AND  has_sequence_privilege(q.seqrelid, 'SELECT, USAGE')
          AND  q.seqrelid NOT IN ({_locked(*_AGAINST_WRITERS)})""",
        # Roles of this server's users: predefined roles and those of services left out.
        "user_role": user_role,
        "user_database": user_database,
        "role_without_timeout": _role_without_timeout(user_role, user_database),
    }


def _role_without_timeout(user_role: str, user_database: str) -> str:
    """Return the SELECT of the roles of applications that no timeout of a name bounds, and where.

    `databases` are those that say nothing either, `places` their number; `everywhere` is whether that
    is all of them; `sessions` are the role's now. `hidden` is whether what the server has is not seen.
    """
    return f"""
        WITH timeout (name, bounding) AS (
          -- transaction_timeout (17+) bounds a statement, and an idle transaction, as well.
          VALUES ('lock_timeout', 'lock_timeout'),
                 ('statement_timeout', 'statement_timeout'),
                 ('statement_timeout', 'transaction_timeout'),
                 ('idle_in_transaction_session_timeout', 'idle_in_transaction_session_timeout'),
                 ('idle_in_transaction_session_timeout', 'transaction_timeout')
        ), entry AS (
          SELECT t.name, t.bounding, c.setrole, c.setdatabase
          FROM   pg_catalog.pg_db_role_setting c
          CROSS  JOIN LATERAL unnest(c.setconfig) AS e (entry)
          JOIN   timeout t ON t.bounding = split_part(e.entry, '=', 1)
        ), server AS (
          -- pgaudit sets timeouts for itself, so the value is what RESET would return to. That is the
          -- server's own unless the role or the database of this session has another, which hides it.
          SELECT t.name, bool_or(s.reset_val <> '0' AND o.name IS NULL) AS bounded,
                 bool_or(t.bounding = t.name AND o.name IS NOT NULL) AS hidden
          FROM   timeout t
          JOIN   pg_settings s ON s.name = t.bounding
          LEFT   JOIN (SELECT DISTINCT e.name, e.bounding
                       FROM   entry e
                       WHERE  e.setrole IN (0, (SELECT r.oid FROM pg_roles r
                                                WHERE r.rolname = session_user))
                         AND  e.setdatabase IN (0, (SELECT d.oid FROM pg_database d
                                                    WHERE d.datname = current_database()))
                      ) o ON o.name = t.name AND o.bounding = t.bounding
          GROUP  BY t.name
        ), place AS (
          -- Everybody may connect to the database postgres, and it is hardly ever anybody's.
          SELECT s.name, d.oid, d.datname, EXISTS (SELECT FROM entry e
                                                   WHERE  e.name = s.name AND e.setrole = 0
                                                     AND  e.setdatabase = d.oid) AS bounded
          FROM   (SELECT b.oid, b.datname, count(*) OVER () AS number
                  FROM   ({user_database}) b
                  WHERE  b.datallowconn) d
          CROSS  JOIN server s
          WHERE  d.datname <> 'postgres' OR d.number = 1
        )
        SELECT s.name AS timeout, s.hidden, r.oid, r.rolname,
               coalesce(a.sessions, 0) AS sessions, p.databases, p.places,
               NOT EXISTS (SELECT FROM place b WHERE b.name = s.name AND b.bounded) AS everywhere
        FROM   server s
        CROSS  JOIN ({user_role}) r
        CROSS  JOIN LATERAL (SELECT count(*) AS places,
                                    string_agg(p.datname, ', ' ORDER BY p.datname) AS databases
                             FROM   place p
                             WHERE  p.name = s.name AND NOT p.bounded
                               AND  has_database_privilege(r.oid, p.oid, 'CONNECT')) p
        LEFT   JOIN (SELECT a.usename, count(*) AS sessions
                     FROM   pg_stat_activity a
                     WHERE  a.backend_type = 'client backend'
                     GROUP  BY a.usename) a ON a.usename = r.rolname
        WHERE  NOT s.bounded
          AND  r.rolcanlogin AND NOT r.rolsuper AND NOT r.rolreplication AND r.rolconnlimit <> 0
          AND  (r.rolvaliduntil IS NULL OR r.rolvaliduntil > now())
          AND  r.rolname <> session_user
          AND  p.places > 0
          -- Whoever has a value of his own, even 0, somebody has thought about.
          AND  NOT EXISTS (SELECT FROM entry e
                           WHERE  e.name = s.name
                             AND (e.setrole = r.oid OR e.setrole = 0 AND e.setdatabase = 0))"""
