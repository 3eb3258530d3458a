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
from pgaudit.postgres import own

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
    if view in own.COLUMNS:
        return own.COLUMNS[view]
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
    if view in own.NAMES:
        return own.views()[view]
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
