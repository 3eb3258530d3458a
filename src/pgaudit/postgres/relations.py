"""Oids of tables → what index advice needs to know of them, asked in one question."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgaudit.postgres import own
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Question


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what pg_stats says of it; the statistics are None where the role may not read them.

    `type` is the type's name in pg_type; `distinct` is n_distinct (negative: a share of the rows);
    `common` maps the most common values, as text, to their share of the rows; `ordered` and
    `containing` say whether the type has a default B-tree and GIN operator class.
    """

    name: str
    type: str
    ordered: bool = True
    containing: bool = False
    width: int = 8
    nulls: float | None = None
    distinct: float | None = None
    correlation: float | None = None
    common: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Index:
    """An index that exists. Keys are column names, or expressions as the server writes them."""

    oid: int
    name: str
    method: str
    keys: tuple[str, ...]
    included: tuple[str, ...] = ()
    predicate: str | None = None
    unique: bool = False
    constraint: bool = False
    plain: bool = True
    size: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table: how large, what it holds, how it is written, and the indexes that it has.

    `leaves` are the schema and name of each partition that holds rows, for a partitioned table;
    `updates` and `hot_updates` are counters, of which only the proportion is used.
    """

    oid: int
    schema: str
    name: str
    rows: float
    pages: int
    columns: Mapping[str, Column]
    indexes: tuple[Index, ...] = ()
    updates: int = 0
    hot_updates: int = 0
    leaves: tuple[tuple[str, str], ...] = ()
    partitioned: bool = False

    @property
    def hot(self) -> float:
        """The share of its updates that were heap-only; all of them where none was counted."""
        return self.hot_updates / self.updates if self.updates else 1.0


# Sizes come from relpages, and partitions from pg_inherits, since pg_partition_tree() locks each. The
# server's deparser waits for whoever holds ACCESS EXCLUSIVE, so tables that somebody does are left out.
_SQL = f"""
WITH /* pgaudit: relations */ RECURSIVE below (top, oid) AS (
    SELECT c.oid, c.oid FROM pg_class c WHERE c.oid = ANY ($1::oid[])
    UNION  ALL
    SELECT b.top, h.inhrelid FROM below b JOIN pg_inherits h ON h.inhparent = b.oid
), locked AS MATERIALIZED ({own.views()["locked_relation"]}), busy AS (
    SELECT b.top FROM below b JOIN locked k ON k.relation = b.oid
    UNION
    SELECT b.top
    FROM   below b JOIN pg_index x ON x.indrelid = b.oid JOIN locked k ON k.relation = x.indexrelid
), named AS (
    SELECT c.* FROM pg_class c
    WHERE  c.oid = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'm')
      AND  c.oid NOT IN (SELECT y.top FROM busy y)
), leaf AS (
    SELECT c.oid AS top, l.oid, l.relname, n.nspname, l.reltuples, l.relpages
    FROM   named c
    JOIN   below p ON p.top = c.oid
    JOIN   pg_class l ON l.oid = p.oid
    JOIN   pg_namespace n ON n.oid = l.relnamespace
    WHERE  c.relkind = 'p' AND l.relkind <> 'p'
)
SELECT jsonb_build_object(
         'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'partitioned', c.relkind = 'p',
         'rows', greatest(CASE WHEN c.relkind = 'p' THEN l.rows ELSE c.reltuples END, 0),
         'pages', CASE WHEN c.relkind = 'p' THEN l.pages ELSE c.relpages END,
         'updates', coalesce(s.n_tup_upd, 0), 'hot_updates', coalesce(s.n_tup_hot_upd, 0),
         'leaves', coalesce(l.leaves, '[]'),
         'columns', k.columns, 'indexes', coalesce(i.indexes, '[]'))::text
FROM   named c
JOIN   pg_namespace n ON n.oid = c.relnamespace
LEFT   JOIN pg_stat_all_tables s ON s.relid = c.oid
LEFT   JOIN (SELECT l.top, sum(greatest(l.reltuples, 0)) AS rows, sum(l.relpages)::bigint AS pages,
                    jsonb_agg(jsonb_build_array(l.nspname, l.relname)) AS leaves
             FROM leaf l GROUP BY l.top) l ON l.top = c.oid
CROSS  JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
             'name', a.attname, 'type', t.typname,
             'ordered', EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
                                WHERE m.amname = 'btree' AND o.opcdefault
                                  AND (o.opcintype = b.oid
                                       OR (b.typname = 'varchar' AND o.opcintype = 'text'::regtype)
                                       OR (t.typtype = 'e' AND o.opcintype = 'anyenum'::regtype)
                                       OR (t.typcategory = 'A' AND o.opcintype = 'anyarray'::regtype)
                                       OR (t.typtype = 'r' AND o.opcintype = 'anyrange'::regtype))),
             'containing', t.typcategory = 'A' OR b.typname IN ('jsonb', 'tsvector'),
             'width', coalesce(p.avg_width, CASE WHEN a.attlen > 0 THEN a.attlen ELSE 32 END),
             'nulls', p.null_frac, 'distinct', p.n_distinct, 'correlation', p.correlation,
             'common', coalesce((
                 SELECT jsonb_object_agg(v.value, v.share)
                 FROM   unnest(p.most_common_vals::text::text[], p.most_common_freqs) AS v(value, share)
                 WHERE  length(v.value) <= 200 AND b.typcategory <> 'A'), '{{}}')
           ) ORDER BY a.attnum) AS columns
    FROM   pg_attribute a
    JOIN   pg_type t ON t.oid = a.atttypid
    JOIN   pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
    LEFT   JOIN pg_stats p ON p.schemaname = n.nspname AND p.tablename = c.relname
                          AND p.attname = a.attname AND p.inherited = (c.relkind = 'p')
    WHERE  a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) k
LEFT   JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
             'oid', x.indexrelid::bigint, 'name', ic.relname, 'method', m.amname,
             'keys', (SELECT jsonb_agg(coalesce(
                                 a.attname::text, pg_get_indexdef(x.indexrelid, place::int, true))
                               ORDER BY place)
                      FROM   unnest(x.indkey::int2[]) WITH ORDINALITY AS u(number, place)
                      LEFT   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
                                                AND u.number > 0
                      WHERE  place <= x.indnkeyatts),
             'included', (SELECT coalesce(jsonb_agg(a.attname ORDER BY place), '[]')
                          FROM   unnest(x.indkey::int2[]) WITH ORDINALITY AS u(number, place)
                          JOIN   pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
                          WHERE  place > x.indnkeyatts),
             'predicate', CASE WHEN x.indpred IS NOT NULL THEN pg_get_expr(x.indpred, c.oid) END,
             'unique', x.indisunique,
             'constraint', EXISTS (SELECT FROM pg_constraint f WHERE f.conindid = x.indexrelid)
                           OR x.indisreplident OR x.indisclustered,
             'plain', NOT EXISTS (SELECT FROM unnest(x.indoption::int2[]) o WHERE o <> 0)
                      AND NOT EXISTS (SELECT FROM unnest(x.indclass::oid[]) q
                                      JOIN pg_opclass o ON o.oid = q WHERE NOT o.opcdefault),
             'size', ic.relpages * current_setting('block_size')::bigint
           ) ORDER BY ic.relname) AS indexes
    FROM   pg_index x
    JOIN   pg_class ic ON ic.oid = x.indexrelid
    JOIN   pg_am m ON m.oid = ic.relam
    WHERE  x.indrelid = c.oid AND x.indisvalid
) i ON true
"""


def read(session: Session, oids: Iterable[int], *, timeout: float) -> dict[int, Table]:
    """Return the tables and materialized views among the oids; `timeout` in seconds.

    One that somebody has locked exclusively (itself, a partition or an index) is left out. Raises
    QueryError.
    """
    answer = session.ask([Question(_SQL, (sorted({*oids}),))], timeout=timeout)[0]
    tables = (_table(json.loads(row[0])) for row in answer.rows)
    return {table.oid: table for table in tables}


def _table(raw: Mapping[str, Any]) -> Table:
    columns = {column["name"]: Column(**column) for column in raw["columns"] or ()}
    indexes = tuple(
        Index(**{**index, "keys": tuple(index["keys"]), "included": tuple(index["included"])})
        for index in raw["indexes"]
    )
    leaves = tuple((schema, name) for schema, name in raw["leaves"])
    return Table(**{**raw, "columns": columns, "indexes": indexes, "leaves": leaves})
