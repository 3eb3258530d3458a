"""Whatever a text is, its facts are values; what a text says of an index is exact."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgaudit.postgres.workload import words
from pgaudit.statements import tree, vocabulary
from pgaudit.statements.facts import Statement
from pgaudit.statements.patterns import PATTERNS
from pgaudit.statements.patterns.example import SHOP, example
from pgaudit.statements.read import statement


def matched(read: Statement) -> dict[str, int]:
    """Run every pattern; none may fail."""
    return {name: len(list(pattern(read))) for name, pattern in PATTERNS.items()}


AWKWARD = {
    "truncated": "SELECT id, name FROM customer WHERE na",
    "truncated in a literal": "SELECT id FROM customer WHERE name = 'Mill",
    "truncated in a comment": "/* route='cust SELECT 1",
    "hidden": "<insufficient privilege>",
    "hidden before 14": "<insufficient privilege>\n",
    "utility command": "<utility command>",
    "empty": "",
    "white": " \n\t",
    "semicolons": ";;;",
    "two": "SELECT 1; SELECT 2",
    "pl/pgsql": "DECLARE n int; BEGIN n := 1; RETURN n; END",
    "pl/pgsql expression": "n + 1",
    "mysql": "SELECT `id` FROM `customer` WHERE `name` = ? LIMIT 5, 10",
    "sql server": "SELECT TOP 10 [id] FROM [dbo].[customer] WITH (NOLOCK)",
    "oracle": "SELECT id FROM customer WHERE id = :id AND ROWNUM <= 10 CONNECT BY PRIOR a = b",
    "question marks": "SELECT id FROM customer WHERE id = ?",
    "newer grammar": "SELECT note, count(*) FROM purchase GROUP BY ALL",
    "nul": "SELECT 1\0 FROM customer",
    "not utf-8": "SELECT '\udcff' FROM customer",
    "escaped bytes": "SELECT E'\\xff' FROM customer",
    "right to left": "SELECT '\u202e' AS \"\u202e\" FROM customer",
}


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_awkward_texts_are_facts(text: str) -> None:
    read = example(text)
    assert read.kind == "unparsed" or not read.reason
    matched(read)


UNDERSTOOD = {
    "/* app='shop',route='/c/:id' */ SELECT id FROM customer WHERE id = $1": "select",
    "SELECT id FROM customer WHERE id = $1 -- User Load, sidekiq": "select",
    "SELECT id FROM customer WHERE id = $1 /*action='show',traceparent='00-5bd6-01'*/": "select",
    "SELECT id FROM customer WHERE id IN ($1 /*, ... */)": "select",
    "DO $$BEGIN PERFORM 1; END$$": "utility",
    "DO $1": "unparsed",
    "CALL settle($1, $2)": "utility",
    "SET search_path = $1": "utility",
    "SET LOCAL statement_timeout = $1": "utility",
    "SELECT date $1, interval $2, timestamp with time zone $3": "select",
    "SELECT extract($1 FROM since) FROM customer": "select",
    "SELECT interval $1 day": "select",
    "SELECT position($1 IN name), substring(name FROM $2 FOR $3), trim($4 FROM name) FROM customer":
        "select",
    "SELECT since AT TIME ZONE $1 FROM customer": "select",
    "SELECT id FROM customer LIMIT $1 OFFSET $2": "select",
    "SELECT id FROM customer FETCH FIRST $1 ROWS ONLY": "select",
    "SELECT id FROM customer WHERE (id, name) IN (($1, $2), ($3, $4))": "select",
    "SELECT id FROM customer WHERE id = ANY ($1::int[]) AND since > now() - $2::interval": "select",
    "SELECT count(*) FILTER (WHERE name = $1) OVER (PARTITION BY code) FROM customer": "select",
    "DECLARE c CURSOR FOR SELECT id FROM customer": "utility",
    "FETCH 100 FROM c": "utility",
    "EXPLAIN SELECT 1": "utility",
    "PREPARE p AS SELECT id FROM customer WHERE id = $1": "utility",
    "COPY customer (id, name) TO STDOUT": "utility",
    "SAVEPOINT active_record_1": "utility",
    "BEGIN": "utility",
    "TABLE customer": "select",
    "VALUES ($1), ($2)": "select",
    "SELECT": "select",
    "WITH RECURSIVE t AS (SELECT $1 AS id UNION ALL SELECT id + $2 FROM t) SELECT * FROM t": "select",
    "WITH gone AS (DELETE FROM purchase WHERE id < $1 RETURNING *) INSERT INTO customer SELECT * FROM gone":
        "insert",
    "SELECT * FROM json_to_record($1) AS x(a int, b text), LATERAL unnest(x.b) u": "select",
    "SELECT * FROM customer TABLESAMPLE system ($1) REPEATABLE ($2)": "select",
    "SELECT * FROM ROWS FROM (generate_series($1, $2), unnest($3)) AS f(a, b)": "select",
    "SELECT tags->>$1, tags #> $2, (tags).x.y, tags['a'] FROM purchase": "select",
    "SELECT xmlelement(name a, $1), json_object($2: $3), JSON_VALUE(tags, '$') FROM purchase": "select",
    "UPDATE purchase SET (note, total) = (SELECT name, $1 FROM customer WHERE id = customer_id)": "update",
    "DELETE FROM purchase WHERE CURRENT OF c": "delete",
    "MERGE INTO purchase p USING customer c ON c.id = p.customer_id WHEN MATCHED THEN DO NOTHING": "merge",
    "INSERT INTO purchase DEFAULT VALUES": "insert",
    "SELECT NULL, $1, B'1', X'F', 1e5, true, 'x'::bpchar, ARRAY[[$2]], (ROW($3)).*": "select",
    "SELECT * INTO TEMP t FROM customer": "utility",
    "GRANT SELECT ON customer TO x": "utility",
}  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), UNDERSTOOD.items(), ids=list(UNDERSTOOD))
def test_odd_statements_have_their_kind(text: str, kind: str) -> None:
    read = example(text)
    assert (read.kind, bool(read.reason)) == (kind, kind == "unparsed"), read.reason
    matched(read)


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_no_text_is_an_exception(text: str) -> None:
    read = example(text)
    assert read.text == text
    matched(read)


PIECES = [
    "SELECT", "WITH", "UPDATE", "INSERT", "INTO", "DELETE", "FROM", "customer", "purchase", "c",
    "p", "id", "note", "name", "total", ",", ",", "(", ")", "(", ")", "*", "=", "<", "AND", "OR",
    "NOT", "IN", "EXISTS", "LIKE", "BETWEEN", "IS", "NULL", "$1", "$2", "5", "'x'", "'%x'", "AS",
    "ON", "USING", "JOIN", "LEFT", "WHERE", "GROUP", "BY", "ORDER", "LIMIT", "OFFSET", "FOR",
    "UPDATE", "DISTINCT", "count", "sum", "lower", "+", "||", "::", "int", "text", "[", "]", ".",
    "CASE", "WHEN", "THEN", "END", "SET", "VALUES", "ANY", "ALL", "UNION", "HAVING", "RETURNING",
    "LATERAL",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=500, deadline=None)
def test_no_row_of_words_is_an_exception(pieces: list[str]) -> None:
    matched(example(" ".join(pieces)))
    words([" ".join(pieces)])


CONDITIONS = st.recursive(
    st.sampled_from(
        [
            "c.id = $1",
            "lower(c.name) = $2",
            "p.total + 1 > $3",
            "p.note LIKE '%' || $4",
            "p.note IN ($5, $6)",
            "c.since::text = $7",
            "c.id = p.customer_id",
            "p.tags @> $8",
            "EXISTS (SELECT FROM purchase x WHERE x.customer_id = c.id)",
            "p.id = $9::numeric",
            "c.id NOT IN (SELECT customer_id FROM purchase)",
            "(SELECT count(*) FROM purchase) > 0",
            "p.note IS NULL",
            "c.name",
            "(p.id, p.note) < ($1, $2)",
            "p.id = ANY (ARRAY[$1, $2])",
        ]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" AND ".join).map("({})".format),
        st.tuples(inner, inner).map(" OR ".join).map("({})".format),
        inner.map("NOT ({})".format),
    ),
    max_leaves=12,
)


@given(CONDITIONS)
@settings(max_examples=300, deadline=None)
def test_conditions_of_any_shape_are_read(condition: str) -> None:
    read = example(f"SELECT c.*, p.id FROM customer c, purchase p WHERE {condition} ORDER BY 1")
    assert read.kind == "select", read.reason
    matched(read)
    uses = [*(c.left for c in read.conditions), *(j.left for j in read.joins)]
    names = {"id", "name", "since", "total", "note", "tags", "customer_id"}
    assert {use.column for use in uses} <= names


MILLION = 1_000_000


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SELECT id FROM customer WHERE id IN ($1" + ", $2" * 200_000 + ")", "select"),
        ("INSERT INTO customer VALUES " + ", ".join(["($1)"] * 200_000), "insert"),
        ("INSERT INTO customer VALUES " + ", ".join(["($1, $2, $3)"] * 80_000), "insert"),
        ("SELECT '" + "x" * MILLION + "'", "unparsed"),
        ("SELECT " + "1+" * (MILLION // 2) + "1", "unparsed"),
        ("SELECT 1 FROM customer" + " JOIN purchase ON true" * 50_000, "unparsed"),
    ],
    ids=["list", "rows", "wide rows", "literal", "sum", "joins"],
)
def test_a_megabyte_is_a_fact(text: str, kind: str) -> None:
    read = example(text)
    assert read.kind == kind, read.reason
    assert read.kind != "unparsed" or (read.reason and read.verb == "SELECT")


def test_the_length_of_a_shortened_list_is_known() -> None:
    numbers = ", ".join(f"${n}" for n in range(1, 30_001))
    (match,) = PATTERNS["long-in-list"](example(f"SELECT 1 FROM customer WHERE id IN ({numbers})"))
    assert match.number == 30_000
    rows = ", ".join(f"(${2 * n + 1}, ${2 * n + 2})" for n in range(20_000))
    read = example(f"INSERT INTO customer VALUES {rows}")
    assert [block.values for block in read.blocks if block.place == "source"] == [20_000]


# Each of these would recurse in C once for every repetition.
DEEP = [
    "'SELECT ' + '(' * n + '1' + ')' * n",
    "'SELECT ' + '(SELECT ' * n + '1' + ')' * n",
    "'SELECT ' + 'NOT ' * n + 'true'",
    "'SELECT ' + '1+' * n + '1'",
    "'SELECT ' + '- ' * n + '1'",
    "'SELECT 1' + '::int' * n",
    "'SELECT ' + 'f(' * n + '1' + ')' * n",
    "'SELECT a' + '[1]' * n",
    "'SELECT a' + '.b' * n",
    "'SELECT 1' + ' UNION SELECT 1' * n",
    "'SELECT 1 FROM a' + ' JOIN b ON true' * n",
    "'SELECT 1 WHERE ' + 'a OR ' * n + 'b'",
    "'SELECT ' + 'CASE WHEN a THEN ' * n + '1' + ' END' * n",
]


@pytest.mark.parametrize("made", DEEP)
def test_no_depth_ends_the_process(made: str) -> None:
    """In a process of its own, because one that overflows its stack takes the test with it."""
    program = (
        "from pgaudit.statements.read import statement\n"
        "for n in (100, 1000, 5000, 29990, 100000):\n"
        f"    print(statement({made}).kind)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.count("\n") == 5


def test_texts_are_parsed_by_postgresql_s_own_grammar_only_when_there_are_any() -> None:
    program = (
        "import sys, pgaudit.cli, pgaudit.audit, pgaudit.statements.read\n"
        f"assert {tree.LIBRARY!r} not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_pattern_has_its_meaning() -> None:
    assert {*PATTERNS, "same-fingerprint"} == set(vocabulary.MEANINGS)
    assert list(vocabulary.MEANINGS) == sorted(vocabulary.MEANINGS)


def test_one_fingerprint_for_what_differs_in_constants() -> None:
    texts = ["SELECT 1 FROM a WHERE b IN (1)", "SELECT 2 FROM a WHERE b IN ($1, $2, 3)"]
    assert len({statement(text).fingerprint for text in texts}) == 1


EXPECTED: dict[str, dict[str, int]] = {
    "SELECT * FROM customer WHERE id = $1 LIMIT $2": {
        "key-lookup": 1, "select-star": 1, "table-read": 1,
    },
    'SELECT "purchase".* FROM "purchase" WHERE "purchase"."customer_id" = $1': {
        "foreign-key-lookup": 1, "select-star": 1, "table-read": 1, "many-row-select": 1,
        "unbounded-select": 1,
    },
    "SELECT id FROM customer WHERE id = 1 OR id = 2": {
        "table-read": 1, "many-row-select": 1, "unbounded-select": 1,
    },
    "SELECT max(id) FROM customer WHERE id = $1": {"aggregate": 1, "table-read": 1},
    "UPDATE customer SET name = $1 WHERE name = $2": {"assigned-column": 1},
    "DELETE FROM customer WHERE $1 = id": {"row-by-row-update": 1},
    "SELECT id FROM customer WHERE id = $1 FOR UPDATE": {"key-lookup": 1},
    "SELECT id FROM pg_stat_activity": {},
    "SELECT c.id FROM customer c CROSS JOIN purchase p LIMIT 5": {
        "table-read": 2, "many-row-select": 2,
    },
    "WITH given AS (SELECT $1 AS x) SELECT c.id FROM customer c, given LIMIT 3": {
        "table-read": 1, "many-row-select": 1,
    },
    "SELECT c.id FROM customer c, purchase p WHERE c.code = $1 AND p.note = $1 LIMIT 3": {
        "table-read": 2, "many-row-select": 2,
    },
    "SELECT c.id FROM customer c, purchase p WHERE c.code = $1 AND p.note = $2 LIMIT 3": {
        "table-read": 2, "many-row-select": 2, "cartesian-join": 1,
    },
    "CREATE TEMP TABLE x (a int)": {"ddl": 1},
    "TRUNCATE purchase": {"ddl": 1},
    "VACUUM purchase": {},
    "SELECT id FROM customer WHERE since = $1::timestamp LIMIT 1": {
        "table-read": 1, "many-row-select": 1,
    },
    "SELECT id FROM customer WHERE code = $1::text LIMIT 1": {
        "table-read": 1, "many-row-select": 1, "implicit-cast-on-column": 1,
    },
    "SELECT id FROM customer WHERE code IN (SELECT note FROM purchase) LIMIT 1": {
        "table-read": 2, "many-row-select": 1,
    },
    "SELECT count(*) FROM (SELECT id FROM customer LIMIT 1) x": {"table-read": 1},
    "WITH gone AS (DELETE FROM customer RETURNING id) SELECT count(*) FROM gone": {},
    "SELECT id FROM purchase WHERE note = $1 FOR UPDATE SKIP LOCKED": {
        "locking-select": 1, "many-row-select": 1, "unbounded-select": 1,
    },
    "SELECT id FROM purchase WHERE note = $1 LIMIT 5 FOR UPDATE SKIP LOCKED": {
        "many-row-select": 1,
    },
    "UPDATE purchase SET note = $1 WHERE id IN (SELECT id FROM purchase WHERE note = $2 FOR UPDATE)": {
        "assigned-column": 1,
    },
    "INSERT INTO customer (id) SELECT count(*) FROM purchase WHERE note = $1": {},
    "CREATE TABLE x PARTITION OF purchase FOR VALUES IN (1)": {"ddl": 1},
    "DROP TABLE x": {"ddl": 1},
    "REFRESH MATERIALIZED VIEW x": {},
}  # fmt: skip
"""Statements and exactly the patterns that they match."""


@pytest.mark.parametrize(("text", "expected"), EXPECTED.items(), ids=list(EXPECTED))
def test_a_statement_matches_what_it_should_and_no_more(
    text: str, expected: dict[str, int]
) -> None:
    assert {name: many for name, many in matched(example(text)).items() if many} == expected


def test_names_are_those_of_the_role_that_asks() -> None:
    assert SHOP.find("customer") is not None
    assert SHOP.find("customer", "elsewhere") is None
    (table,) = example("SELECT 1 FROM elsewhere.customer").tables
    assert table.relid is None


NOT_MULTIPLIED = [
    "SELECT DISTINCT c.id, coalesce(c.name, p.note)",
    "SELECT DISTINCT c.id, c.name || p.total",
    "SELECT DISTINCT c.id, (SELECT x.name FROM customer x WHERE x.id = p.total)",
    "SELECT DISTINCT c.id, row_to_json(p)::text",
]


@pytest.mark.parametrize("shown", NOT_MULTIPLIED)
def test_distinct_is_needed_for_what_an_expression_shows(shown: str) -> None:
    joined = " FROM customer c JOIN purchase p ON p.customer_id = c.id"
    assert matched(example(shown + joined))["distinct-on-join-fanout"] == 0
    assert (
        matched(example("SELECT DISTINCT c.id, lower(c.name)" + joined))["distinct-on-join-fanout"]
        == 1
    )


def test_a_single_row_and_a_subquery_between_are_no_cartesian_join() -> None:
    def found(condition: str) -> int:
        text = f"SELECT 1 FROM customer c, purchase p WHERE {condition}"
        return matched(example(text))["cartesian-join"]

    assert found("c.name = $1 AND p.note = $2") == 1
    assert found("EXISTS (SELECT FROM purchase q WHERE q.customer_id = c.id)") == 1
    assert found("EXISTS (SELECT FROM purchase q WHERE q.customer_id = c.id AND q.id = p.id)") == 0
    assert found("p.id = (SELECT max(id) FROM purchase)") == 0
