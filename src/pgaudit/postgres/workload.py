"""The statements of one database, read once, and what they say: texts, counters, names looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgaudit import quote
from pgaudit.postgres import shape
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Question, Surroundings, question
from pgaudit.statements import read
from pgaudit.statements.facts import Statement
from pgaudit.statements.schema import Column, ForeignKey, Relation, Schema

HIDDEN = "<insufficient privilege>"
"""What pg_stat_statements shows of others' texts to a role without pg_read_all_stats."""

LONGEST = 1_100_000
"""Characters of one text that are read; what is longer holds data, and is cut."""

MOST = 64_000_000
"""Characters of all texts together that are read, those of the most expensive statements first."""

SHOWN = 10_000
"""Characters of a text that a made view has."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of pg_stat_statements: its counters in the newest shape, and its text's facts."""

    counters: Mapping[str, Any]
    statement: Statement
    hidden: bool = False

    def row(self, **more: object) -> dict[str, object]:
        """Return the entry as a row of a made view, with more columns."""
        return {**self.counters, "query": self.statement.text[:SHOWN], **more}


@dataclass(frozen=True, slots=True)
class Workload:
    """All entries of one database, and the relations that their texts may name."""

    entries: Sequence[Entry] = ()
    schema: Schema = field(default_factory=Schema)


def workload(session: Session, surroundings: Surroundings, *, timeout: float) -> Workload:
    """Read the entries of this database and look up the names in them; `timeout` is in seconds.

    `surroundings` may replace pg_stat_statements by canned rows or by what a window counted. Raises
    QueryError.
    """
    asked = question(
        _ENTRIES,
        label="statements",
        reads=(shape.STATEMENTS,),
        parameters={},
        surroundings=surroundings,
        limit=_ALL,
    )
    rows = session.ask([asked], timeout=timeout)[0].rows
    texts = {text for _, text in rows if text}
    schema = known(session, texts, timeout=timeout)
    with read.uncollected():
        return Workload(tuple(_entries(rows, schema)), schema)


def _entries(rows: Iterable[tuple[Any, ...]], schema: Schema) -> Iterator[Entry]:
    # One text stands in several entries: for each role, and inside and outside functions.
    facts: dict[tuple[str, int], Statement] = {}
    for raw, text in rows:
        counters = json.loads(raw)
        role = int(counters["userid"] or 0)
        role = role if role in schema.paths else 0
        key = (text or "", role)
        if key not in facts:
            facts[key] = _statement(text, schema, role)
        yield Entry(counters, facts[key], text == HIDDEN)


def _statement(text: str | None, schema: Schema, role: int) -> Statement:
    if text is None:
        return Statement(
            "", "unparsed", reason=f"not among the first {MOST:,} characters", role=role
        )
    if text == HIDDEN:
        return Statement(text, "unparsed", reason="insufficient privilege", role=role)
    return read.statement(text, schema, role)


_ALL = 1_000_000

# The columns are named, because of a window only those that are named are counted.
_ENTRIES = f"""
SELECT (to_jsonb(s) - 'query' - 'before')::text AS counters,
       CASE WHEN s.before <= {MOST} THEN s.query END AS query
FROM  (
    SELECT {", ".join(f"e.{quote.identifier(c)}" for c in shape.newest(shape.STATEMENTS) if c != "query")},
           left(e.query, {LONGEST}) AS query,
           sum(least(length(e.query), {LONGEST}))
             OVER (ORDER BY e.total_exec_time DESC NULLS LAST ROWS UNBOUNDED PRECEDING) AS before
    FROM   pg_stat_statements e
    WHERE  e.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND  (e.query IS NULL OR left(e.query, 100) !~ '^\\s*(WITH|SELECT) /\\* pgaudit')
      ) s
ORDER  BY s.total_exec_time DESC NULLS LAST, s.queryid, s.userid
"""

_WORDS = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_\x80-\U0010ffff][\w$]*)')


def words(texts: Iterable[str]) -> set[str]:
    """Return everything in texts that could be the name of a relation.

    >>> sorted(words(['SELECT * FROM Shop."Order" WHERE note = $1']))
    ['Order', 'from', 'note', 'order', 'select', 'shop', 'where']
    """
    found: set[str] = set()
    for text in texts:
        for quoted, plain in set(_WORDS.findall(text)):
            found.add(quoted.replace('""', '"') if quoted else plain.lower())
            # What is in quotes may as well be a text in double quotes, so its words count too.
            found.update(re.findall(r"\w+", quoted.lower()))
    return {word for word in found if len(word.encode()) <= 63}


def known(session: Session, texts: Iterable[str], *, timeout: float) -> Schema:
    """Return what the catalogs say of every relation that a text may name. Raises QueryError."""
    names = sorted(words(texts))
    relations, paths = session.ask(
        [Question(_RELATIONS, (names,)), Question(_PATHS)], timeout=timeout
    )
    return Schema(
        tuple(_relation(json.loads(row[0])) for row in relations.rows),
        {role: _path(path, name) for role, name, path in paths.rows},
    )


# A domain compares as the type below it does. Each part is one pass over its catalog.
_RELATIONS = """
WITH /* pgaudit: named relations */ named AS MATERIALIZED (
    SELECT c.oid, c.relname, n.nspname, c.relkind, c.reltuples
    FROM   pg_class c
    JOIN   pg_namespace n ON n.oid = c.relnamespace
    WHERE  c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
      AND  NOT starts_with(n.nspname, 'pg_temp_') AND NOT starts_with(n.nspname, 'pg_toast')
), col AS (
    SELECT a.attrelid, jsonb_agg(jsonb_build_array(
             a.attname, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL), a.attnotnull)
             ORDER BY a.attnum) AS columns
    FROM   named c
    JOIN   pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN   pg_type t ON t.oid = a.atttypid
    GROUP  BY a.attrelid
), place AS (
    SELECT x.indexrelid, x.indrelid, x.indisprimary,
           jsonb_agg(a.attname ORDER BY k.position) AS columns
    FROM   named c
    JOIN   pg_index x ON x.indrelid = c.oid AND x.indisunique AND x.indisvalid
                     AND x.indpred IS NULL AND x.indexprs IS NULL
    CROSS  JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k(number, position)
    JOIN   pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number
    WHERE  k.position <= x.indnkeyatts
    GROUP  BY x.indexrelid, x.indrelid, x.indisprimary
), uniq AS (
    SELECT p.indrelid, jsonb_agg(p.columns ORDER BY p.indisprimary DESC, p.indexrelid) AS keys
    FROM   place p
    GROUP  BY p.indrelid
), part AS (
    SELECT f.oid, f.conrelid, f.confrelid,
           jsonb_agg(a.attname ORDER BY k.position) AS columns,
           jsonb_agg(b.attname ORDER BY k.position) AS others
    FROM   named c
    JOIN   pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f'
    CROSS  JOIN LATERAL unnest(f.conkey, f.confkey) WITH ORDINALITY AS k(own, other, position)
    JOIN   pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.own
    JOIN   pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.other
    GROUP  BY f.oid, f.conrelid, f.confrelid
), foreign_key AS (
    SELECT p.conrelid, jsonb_agg(jsonb_build_array(p.columns, p.confrelid::bigint, p.others)
                                 ORDER BY p.oid) AS keys
    FROM   part p
    GROUP  BY p.conrelid
)
SELECT jsonb_build_object(
         'relid', c.oid::bigint, 'schema', c.nspname, 'name', c.relname, 'kind', c.relkind,
         'rows', c.reltuples, 'columns', col.columns, 'keys', uniq.keys,
         'foreign_keys', foreign_key.keys)::text
FROM   named c
LEFT   JOIN col ON col.attrelid = c.oid
LEFT   JOIN uniq ON uniq.indrelid = c.oid
LEFT   JOIN foreign_key ON foreign_key.conrelid = c.oid
ORDER  BY c.oid
"""

# A setting of the role in this database wins over the role's, that over the database's, that over one
# for everybody. What postgresql.conf says is not told apart from our own session's, so PostgreSQL's
# default stands for it.
_PATHS = """
WITH /* pgaudit: search paths */ said AS (
    SELECT s.setrole, s.setdatabase, substr(entry, length('search_path=') + 1) AS path
    FROM   pg_db_role_setting s, unnest(s.setconfig) AS entry
    WHERE  starts_with(entry, 'search_path=')
      AND  s.setdatabase IN (0, (SELECT d.oid FROM pg_database d
                                 WHERE d.datname = current_database()))
), role AS (
    SELECT r.oid, r.rolname FROM pg_roles r
    UNION ALL
    SELECT 0, NULL
)
SELECT r.oid::bigint, r.rolname::text,
       (SELECT s.path FROM said s WHERE s.setrole IN (0, r.oid)
        ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1)
FROM   role r
"""

_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"]+))\s*(?:,|$)')


def _path(path: str | None, role: str | None) -> tuple[str, ...]:
    """Read a search_path as the server does for a role; `"$user"` is the role's own schema.

    >>> _path('"$user", Shop, "Old, Shop"', "web"), _path(None, None)
    (('web', 'shop', 'Old, Shop', 'pg_catalog'), ('public', 'pg_catalog'))
    """
    found = []
    for quoted, plain in _ITEM.findall('"$user", public' if path is None else path):
        name = quoted.replace('""', '"') if quoted else plain.strip().lower()
        if name == "$user":
            name = role or ""
        found.append(name)
    return tuple(name for name in (*found, "pg_catalog") if name)


def _relation(raw: Mapping[str, Any]) -> Relation:
    return Relation(
        raw["relid"],
        raw["schema"],
        raw["name"],
        raw["kind"],
        raw["rows"],
        {name: Column(name, kind, not_null) for name, kind, not_null in raw["columns"] or ()},
        tuple(tuple(key) for key in raw["keys"] or ()),
        tuple(
            ForeignKey(tuple(own), other, tuple(others))
            for own, other, others in raw["foreign_keys"] or ()
        ),
    )
