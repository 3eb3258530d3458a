"""What can be known about a check's SQL without a server: placeholders, views read, shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_PERCENT = re.compile(r"%%|%\((\w+)\)s|%")
_STATEMENTS = ("pg_stat_statements", "pg_stat_statements_info")
BEHIND: Mapping[str, tuple[str, ...]] = {
    "user_database": ("pg_database",),
    "database_counters": (
        "pg_stat_database",
        "pg_stat_bgwriter",
        "pg_stat_archiver",
        "pg_stat_wal",
    ),
    "locked_relation": ("pg_locks",),
    "readable_sequence": ("pg_locks",),
    "role_without_timeout": ("pg_database", "pg_settings", "pg_stat_activity"),
    "matched_statement": _STATEMENTS,
    "statement_reading": _STATEMENTS,
    "statement_plan": _STATEMENTS,
    "index_advice": _STATEMENTS,
    "index_use": _STATEMENTS,
}
"""Views of pgaudit's own to what they are made of, and a proof may give canned rows for."""

_LITERAL_OR_COMMENT = re.compile(r"('(?:[^']|'')*')|--[^\n]*|/\*.*?\*/", re.DOTALL)
_VIEW = re.compile(
    r"(?<![\w.])(pg_stat_\w+|pg_statio_\w+|pg_stats|pg_locks|pg_prepared_xacts|pg_replication_slots"
    r"|pg_hba_file_rules"
    r"|matched_statement|statement_reading|statement_plan|index_advice|index_use"
    r"|user_(?:relation|function|type|schema|role|database)|postgresql_release|migration_table"
    r"|locked_relation|readable_sequence|database_counters|whole_table|role_without_timeout"
    r")\b(?!\s*\()"
    r"|(?<![\w.])(pgstattuple_approx|pgstatindex)(?=\s*\()"
)
_CALL = re.compile(r'(?<![\w"])"?([a-z_]\w*)"?\s*\(', re.IGNORECASE)

# A read-only transaction refuses to write tables and sequences; these do their work all the same.
# https://www.postgresql.org/docs/current/functions-admin.html, -monitoring-stats.html, -dblink.html
_EFFECTS = re.compile(
    r"""pg_stat_(statements_|kcache_)?reset\w* | pg_stat_force_next_flush
      | pg_(reload_conf|rotate_logfile(_old)?|promote|log_backend_memory_contexts|log_standby_snapshot)
      | pg_(cancel|terminate)_backend | pg_sleep\w* | pg_notify | set_config
      | pg_(try_)?advisory_\w+ | pg_(switch_wal|create_restore_point|export_snapshot)
      | pg_(backup_start|backup_stop|start_backup|stop_backup) | pg_wal_replay_(pause|resume)
      | pg_(create|copy)_(physical|logical)_replication_slot | pg_drop_replication_slot
      | pg_replication_slot_advance | pg_logical_slot_get\w* | pg_logical_emit_message
      | pg_replication_origin_\w+ | pg_sync_replication_slots | pg_import_system_collations
      | pg_(restore|clear)_(relation|attribute|extended)_stats | pg_prewarm | autoprewarm_\w+
      | pg_buffercache_(evict|mark_dirty)\w* | pg_file_\w+ | dblink\w* | lo_\w+ | loread | lowrite
      | brin_(de)?summarize_\w+ | gin_clean_pending_list | heap_force_\w+ | pg_repack\w*
      | query_to_xml\w* | cursor_to_xml\w* | nextval | setval | hypopg_\w+
      | pg_truncate_visibility_map
    """,
    re.VERBOSE | re.IGNORECASE,
)


def bare(sql: str) -> str:
    """Return the SQL without comments and the insides of literals.

    >>> bare("SELECT 'a -- b' -- it's c")
    "SELECT '' "
    """
    return _LITERAL_OR_COMMENT.sub(lambda found: "''" if found[1] else "", sql)


def views(sql: str) -> set[str]:
    """Name the statistics views that a query reads.

    >>> sorted(views("SELECT pg_stat_get_snapshot_timestamp() FROM pg_stat_activity, pg_locks l"))
    ['pg_locks', 'pg_stat_activity']
    """
    return {view or function for view, function in _VIEW.findall(bare(sql))}


def behind(reads: Iterable[str]) -> set[str]:
    """Name the views that stand behind those that a check reads.

    >>> sorted(behind(["user_relation", "matched_statement"]))
    ['pg_stat_statements', 'pg_stat_statements_info']
    """
    return {view for name in reads for view in BEHIND.get(name, ())}


def effects(sql: str) -> list[str]:
    """Name the functions that a query calls and that do more than read, sorted.

    >>> effects("SELECT pg_advisory_lock(1), count(*), pg_stat_reset (), 'lo_unlink(1)' FROM pg_locks")
    ['pg_advisory_lock', 'pg_stat_reset']
    """
    called = {name.lower() for name in _CALL.findall(bare(sql))}
    return sorted(name for name in called if _EFFECTS.fullmatch(name))


def stray_percents(sql: str) -> list[int]:
    """Return the positions of every `%` that is neither `%%` nor a placeholder.

    A driver that is given parameters reads `%` inside literals too, and some letters after it are
    silently taken for a placeholder, so the format refuses it.

    >>> stray_percents("a LIKE 'b%' AND mod(c, 2) = %(d)s AND 5 %% 2 = 1")
    [9]
    """
    return [m.start() for m in _PERCENT.finditer(sql) if m[0] == "%"]


def names(sql: str) -> set[str]:
    """Return the parameters that a query uses.

    >>> names("a > %(min_size)s")
    {'min_size'}
    """
    return set(PLACEHOLDER.findall(sql))


def words(sql: str) -> set[str]:
    """Return every word in a query, among them the columns that it can name.

    >>> sorted(words("SELECT a.b FROM c AS a"))
    ['AS', 'FROM', 'SELECT', 'a', 'b', 'c']
    """
    return set(re.findall(r"\w+", sql))
