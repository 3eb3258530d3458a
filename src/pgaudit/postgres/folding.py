"""The names in a statement → those whose code planning it might run.

The planner evaluates immutable functions of constants, and estimates with stable ones, so that to
plan a statement can be to run somebody's function with the auditor's rights. Only a superuser can
make a function in C, so what is written in C is trusted, and anything else outside pg_catalog is not:
neither where the statement names it, nor where a view, a default, a policy, a constraint or an index
of a table that it names does. Nor is a statement planned whose table somebody has locked exclusively:
planning would wait.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgaudit.postgres import own
from pgaudit.postgres.session import Session
from pgaudit.postgres.standin import Question

# Functions are looked for by name alone: which of several is meant depends on types, and one that
# somebody added to be preferred is exactly what is feared. What a relation's expressions use stands
# in pg_depend; what belongs to pg_catalog is pinned, and has no entry there.
_SQL = f"""
WITH /* pgaudit: folding */ RECURSIVE untrusted AS MATERIALIZED (
    SELECT p.oid, p.proname, n.nspname
    FROM   pg_proc p
    JOIN   pg_language l ON l.oid = p.prolang
    JOIN   pg_namespace n ON n.oid = p.pronamespace
    WHERE  l.lanname NOT IN ('internal', 'c') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
), untrusted_operator AS MATERIALIZED (
    SELECT o.oid, o.oprname, u.nspname, u.proname
    FROM   pg_operator o JOIN untrusted u ON u.oid = o.oprcode
), reached (relation, named) AS (
    SELECT c.oid, c.oid FROM pg_class c WHERE c.oid = ANY ($1::oid[])
    UNION
    SELECT below.oid, r.named
    FROM   reached r
    CROSS  JOIN LATERAL (
        SELECT d.refobjid
        FROM   pg_rewrite w
        JOIN   pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                          AND d.refclassid = 'pg_class'::regclass
        WHERE  w.ev_class = r.relation
        UNION ALL
        SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = r.relation
    ) AS below (oid)
), part AS (
    SELECT own.*, r.named
    FROM   reached r
    CROSS  JOIN LATERAL (
        SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w WHERE w.ev_class = r.relation
        UNION ALL
        SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef a WHERE a.adrelid = r.relation
        UNION ALL
        SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.conrelid = r.relation
        UNION ALL
        SELECT 'pg_policy'::regclass, p.oid FROM pg_policy p WHERE p.polrelid = r.relation
        UNION ALL
        SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = r.relation
        UNION ALL
        SELECT 'pg_class'::regclass, r.relation
        UNION ALL
        SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s
        WHERE  s.stxrelid = r.relation
    ) AS own (classid, objid)
)
SELECT 'function' AS kind, u.proname::text AS name, NULL::oid AS relation,
       format('%s.%s', u.nspname, u.proname) AS what
FROM   untrusted u WHERE u.proname = ANY ($2::name[])
UNION
SELECT 'operator', o.oprname::text, NULL, format('%s.%s', o.nspname, o.proname)
FROM   untrusted_operator o WHERE o.oprname = ANY ($3::name[])
UNION
SELECT 'relation', NULL, p.named,
       format('%s.%s', coalesce(u.nspname, o.nspname), coalesce(u.proname, o.proname))
FROM   part p
JOIN   pg_depend d ON d.classid = p.classid AND d.objid = p.objid
LEFT   JOIN untrusted u ON d.refclassid = 'pg_proc'::regclass AND u.oid = d.refobjid
LEFT   JOIN untrusted_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
WHERE  u.oid IS NOT NULL OR o.oid IS NOT NULL
UNION
SELECT 'relation', NULL, r.named, 'a foreign server'
FROM   reached r JOIN pg_class c ON c.oid = r.relation WHERE c.relkind = 'f'
UNION
SELECT 'locked', NULL, r.named, NULL
FROM  (SELECT r.named, r.relation FROM reached r
       UNION ALL
       SELECT r.named, i.indexrelid FROM reached r JOIN pg_index i ON i.indrelid = r.relation) r
JOIN   ({own.views()["locked_relation"]}) l ON l.relation = r.relation
"""


class Untrusted:
    """What may not be planned, of the names that many statements use; asked in one question."""

    def __init__(
        self,
        session: Session,
        *,
        relations: Iterable[int],
        functions: Iterable[str],
        operators: Iterable[str],
        timeout: float,
    ) -> None:
        """Ask; `timeout` is in seconds. Raises QueryError."""
        names = (sorted({*relations}), sorted({*functions}), sorted({*operators}))
        answer = session.ask([Question(_SQL, names)], timeout=timeout)[0]
        self._functions = {name: what for kind, name, _, what in answer.rows if kind == "function"}
        self._operators = {name: what for kind, name, _, what in answer.rows if kind == "operator"}
        self._relations = {oid: what for kind, _, oid, what in answer.rows if kind == "relation"}
        self._locked = {oid for kind, _, oid, _ in answer.rows if kind == "locked"}

    def why_not(
        self, *, relations: Iterable[int], functions: Iterable[str], operators: Iterable[str]
    ) -> str | None:
        """Return why a statement with these names is not planned, or None if it may be."""
        for known, names in (
            (self._functions, functions),
            (self._operators, operators),
        ):
            for name in names:
                if name in known:
                    return f"planning it could run {known[name]}"
        for oid in relations:
            if oid in self._relations:
                return f"planning it could ask {self._relations[oid]}"
            if oid in self._locked:
                return "planning it would wait for somebody's lock"
        return None
