"""Ask servers of every major for the columns of their statistics views; write views.json.

Needs PGAUDIT_TEST_MAJORS (for instance "14 15 16 17 18 19") and fetches the servers as the tests do.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import postgres  # noqa: E402
from pgaudit.postgres import scratch, shape  # noqa: E402

QUERY = r"""
SELECT c.relname::text, array_agg(ARRAY[a.attname::text, format_type(a.atttypid, NULL)] ORDER BY a.attnum)
FROM   pg_class c
JOIN   pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE  c.relkind = 'v'
  AND  (c.relname ~ '^pg_stat(io)?_'
        OR c.relname IN ('pg_locks', 'pg_replication_slots', 'pg_prepared_xacts', 'pg_stats',
                         'pg_settings', 'pg_hba_file_rules'))
  AND  (c.relname = 'pg_stat_all_tables' OR c.relname !~ '^pg_stat(io)?_(all|sys|xact)')
   OR  c.oid = 'pg_database'::regclass AND a.attnum > 0
GROUP  BY c.relname
UNION ALL
-- Functions that take a relation, read as views (shape.FUNCTION_VIEWS).
SELECT p.proname::text, array_agg(ARRAY[a.name, format_type(a.type, NULL)] ORDER BY a.place)
FROM   pg_proc p,
       unnest(p.proargnames, p.proallargtypes, p.proargmodes) WITH ORDINALITY AS a(name, type, mode, place)
WHERE  p.proname = ANY (%s) AND p.pronargs = 1 AND p.proargtypes[0] = 'regclass'::regtype AND a.mode = 'o'
GROUP  BY p.oid
"""

Views = dict[str, list[tuple[str, str]]]


def of_server(name: str) -> Views:
    """Return view to columns with types, in order."""
    with postgres.serve(name) as server:
        for extension in sorted(set(shape.EXTENSION_VIEWS.values())):
            scratch.run(server.conninfo, f"CREATE EXTENSION {extension}")
        with contextlib.closing(scratch.connect(server.conninfo)) as admin:
            rows = admin.execute(QUERY, (list(shape.FUNCTION_VIEWS),)).fetchall()
    return {
        view: [(key, "oid") for key in shape.FUNCTION_VIEWS.get(view, ())]
        + [(column, kind) for column, kind in columns]
        for view, columns in rows
    }


def merged(majors: dict[int, Views]) -> dict[str, dict[str, list[str | int]]]:
    """Put the newest shape of each view first, then columns that only older majors have."""
    newest = majors[max(majors)]
    made: dict[str, dict[str, list[str | int]]] = {}
    for view in sorted({v for views in majors.values() for v in views}):
        has: dict[int, dict[str, str]] = {
            m: dict(views.get(view, [])) for m, views in majors.items()
        }
        order = [column for column, _ in newest.get(view, [])]
        order += [column for m in sorted(has) for column in has[m]]
        made[view] = {}
        for column in dict.fromkeys(order):
            here = [m for m in sorted(has) if column in has[m]]
            entry: list[str | int] = [has[here[-1]][column], here[0]]
            made[view][column] = entry if here[-1] == max(majors) else [*entry, here[-1]]
    return made


def main() -> None:
    """Write the file."""
    majors = {int(name): of_server(name) for name in postgres.wanted()}
    views = merged(majors)
    text = ",\n".join(
        json.dumps(view)
        + ": {\n"
        + ",\n".join(f"  {json.dumps(c)}: {json.dumps(e)}" for c, e in columns.items())
        + "\n}"
        for view, columns in views.items()
    )
    (ROOT / "src" / "pgaudit" / "postgres" / "views.json").write_text("{\n" + text + "\n}\n")


if __name__ == "__main__":
    main()
