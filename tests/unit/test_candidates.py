"""Candidates and names of index advice: what is proposed for which statement, without a server."""

from __future__ import annotations

import dataclasses

import pytest

from pgaudit.advise import candidates, naming
from pgaudit.advise.model import Advice, Candidate
from pgaudit.postgres.relations import Column, Index, Table
from pgaudit.statements.patterns.example import example


def column(name: str, kind: str = "int4", nulls: float = 0.0, correlation: float = 0.0) -> Column:
    return Column(name, kind, distinct=-0.5, nulls=nulls, correlation=correlation)


def table(*indexes: Index, pages: int = 1000) -> Table:
    """The shop's purchases, as relations.read would say them."""
    columns = (
        column("id", "int8"),
        column("customer_id"),
        column("note", "text", nulls=0.95),
        column("total", "numeric", correlation=0.99),
        column("tags", "jsonb"),
    )
    return Table(2, "public", "purchase", 100_000, pages, {c.name: c for c in columns}, indexes)


def proposed(text: str, of: Table | None = None) -> list[str]:
    found = candidates.of(example(text), {2: of or table()}, {})
    return [c.definition("s", "t").partition('"t" ')[2].replace('"', "") for c in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT note FROM purchase WHERE customer_id = $1 AND total > $2 ORDER BY id LIMIT 5",
         ["(customer_id, id)", "(customer_id, total)", "(customer_id)", "(id)"]),
        ("SELECT * FROM purchase WHERE customer_id = $1 AND note IS NOT NULL",
         ["(customer_id) WHERE note IS NOT NULL", "(customer_id)"]),
        ("SELECT * FROM purchase WHERE tags @> $1", ["USING gin (tags jsonb_path_ops)"]),
        ("SELECT * FROM purchase WHERE note LIKE $1", ["USING gin (note gin_trgm_ops)"]),
        ("SELECT * FROM purchase WHERE lower(note) = $1", ["((lower(note)))"]),
        ("SELECT * FROM purchase WHERE customer_id <> $1", []),
        ("SELECT * FROM purchase WHERE NOT customer_id = $1", []),
        ("SELECT * FROM purchase WHERE customer_id = $1 OR total = $2", []),
        ("SELECT customer_id FROM purchase GROUP BY customer_id HAVING customer_id = $1", []),
        ("SELECT * FROM customer WHERE id = $1", []),
    ],
)  # fmt: skip
def test_what_is_proposed(text: str, expected: list[str]) -> None:
    assert [one for one in proposed(text) if "INCLUDE" not in one] == expected


def test_narrow_columns_are_carried_along() -> None:
    assert proposed("SELECT total FROM purchase WHERE customer_id = $1")[0] == (
        "(customer_id) INCLUDE (total)"
    )
    assert all(
        "INCLUDE" not in one
        for one in proposed("SELECT total FROM purchase WHERE customer_id = $1 FOR UPDATE")
    )


def test_no_column_that_is_updated_is_carried_along() -> None:
    read = example("SELECT total FROM purchase WHERE customer_id = $1")
    for assigned, included in (({"note"}, ('"total"',)), ({"total", "note"}, ())):
        found = candidates.of(read, {2: table()}, {}, {2: frozenset(assigned)})
        assert found[0].included == included


@pytest.mark.parametrize(
    ("condition", "joined"),
    [
        ("id IN (SELECT customer_id FROM purchase)", True),
        ("id = ANY (SELECT customer_id FROM purchase)", True),
        ("id NOT IN (SELECT customer_id FROM purchase)", False),
        ("NOT id IN (SELECT customer_id FROM purchase)", False),
        ("id <> ALL (SELECT customer_id FROM purchase)", False),
        ("id > ANY (SELECT customer_id FROM purchase)", False),
        ("id = (SELECT customer_id FROM purchase)", False),
        ("id IN (SELECT customer_id FROM purchase) OR name = $1", False),
        ("id > ANY (SELECT p.total FROM purchase p WHERE p.customer_id = customer.id)", True),
    ],
)
def test_only_a_semi_join_looks_up_what_a_sub_query_returns(condition: str, joined: bool) -> None:
    found = proposed(f"SELECT * FROM customer WHERE {condition}")
    assert ("(customer_id)" in found) == joined


def test_an_index_resembles_one_that_begins_alike() -> None:
    made = Candidate(2, ('"id"',), frozenset({"id", "note"}), included=('"note"',))
    key = Index(9, "purchase_pkey", "btree", ("id",), unique=True, constraint=True)
    assert candidates.resembles(made, table(key))
    for other in (
        dataclasses.replace(key, keys=("customer_id", "id")),
        dataclasses.replace(key, predicate="note IS NULL"),
        dataclasses.replace(key, method="hash"),
    ):
        assert not candidates.resembles(made, table(other))


def test_brin_only_where_the_table_is_large_and_in_order() -> None:
    text = "SELECT * FROM purchase WHERE total BETWEEN $1 AND $2"
    assert "(total)" in proposed(text)
    large = proposed(text, table(pages=candidates.BRIN_PAGES))
    assert len(large) == len(proposed(text)) + 1


def test_nothing_for_small_tables_and_for_what_exists() -> None:
    text = "SELECT * FROM purchase WHERE customer_id = $1"
    assert proposed(text, table(pages=candidates.SMALLEST_PAGES - 1)) == []
    wider = Index(9, "wider", "btree", ("customer_id", "total"))
    assert proposed(text, table(wider)) == []
    for other in (
        dataclasses.replace(wider, method="hash"),
        dataclasses.replace(wider, plain=False),
        dataclasses.replace(wider, predicate="total > 5"),
        dataclasses.replace(wider, keys=("total", "customer_id")),
    ):
        assert proposed(text, table(other)) == ["(customer_id)"]


def test_the_key_that_most_statements_compare_leads() -> None:
    read = example("SELECT * FROM purchase WHERE customer_id = $1 AND total = $2")
    assert sorted(candidates.equal_keys(read)) == [(2, '"customer_id"'), (2, '"total"')]
    for leading, other in (("customer_id", "total"), ("total", "customer_id")):
        found = candidates.of(read, {2: table()}, {(2, f'"{leading}"'): 9, (2, f'"{other}"'): 1})
        assert found[0].keys == (f'"{leading}"', f'"{other}"')


def test_simpler_indexes_end_with_the_first_key() -> None:
    full = Candidate(2, ('"a"', '"b"'), frozenset("abc"), included=('"c"',))
    assert [(c.keys, c.included, sorted(c.columns)) for c in candidates.simpler(full)] == [
        (('"a"', '"b"'), (), ["a", "b"]),
        (('"a"',), (), ["a"]),
    ]


def advice(*keys: str, of: Table | None = None) -> Advice:
    made = Candidate(2, keys, frozenset(keys))
    return Advice(of or table(), made, "", False, 0, 0.5, (), 0, 0, (), "")


def test_names_are_postgresql_s_and_new() -> None:
    taken = table(Index(9, "purchase_total_idx", "btree", ("total",)))
    found = naming.named(
        [advice('"total"'), advice('"total"'), advice('(lower("note"))', "tags jsonb_path_ops")],
        {2: taken},
    )
    assert [one.name for one in found] == [
        "purchase_total_idx1", "purchase_total_idx2", "purchase_lowernote_tags_idx",
    ]  # fmt: skip


def test_long_names_are_cut_between_characters() -> None:
    (one,) = naming.named([advice('"' + "ä" * 40 + '"')], {2: table()})
    assert len(one.name.encode()) <= naming.LONGEST
    assert one.name.endswith("ä_idx")


def test_only_a_plain_index_that_the_candidate_begins_with_becomes_redundant() -> None:
    candidate = Candidate(2, ('"customer_id"', '"total"'), frozenset({"customer_id", "total"}))
    shorter = Index(9, "shorter", "btree", ("customer_id",))
    others = (
        dataclasses.replace(shorter, unique=True),
        dataclasses.replace(shorter, constraint=True),
        dataclasses.replace(shorter, predicate="total > 5"),
        dataclasses.replace(shorter, plain=False),
        dataclasses.replace(shorter, keys=("total",)),
        dataclasses.replace(shorter, included=("note",)),
        dataclasses.replace(shorter, keys=("customer_id", "total", "id")),
        dataclasses.replace(shorter, method="hash"),
    )
    assert [i.oid for i in naming.made_redundant(candidate, table(shorter, *others))] == [9]
    partial = dataclasses.replace(candidate, predicate="note IS NULL")
    assert list(naming.made_redundant(partial, table(shorter))) == []
