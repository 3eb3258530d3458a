"""Selection, overrides, reasons, judgement and plans: no server is needed for any of it."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import pkgutil
from datetime import UTC, datetime, timedelta

import pytest

import pgaudit
from pgaudit import judge, override, plan, quote, sqltext
from pgaudit.catalog import find
from pgaudit.catalog.select import select
from pgaudit.commands.once import Once
from pgaudit.errors import UsageError
from pgaudit.evidence import Window
from pgaudit.model import Check, Reason, Requirements, Server, Severity
from pgaudit.plan import PlannedTarget
from pgaudit.postgres import own, shape
from pgaudit.whynot import why_not

CHECKS = find.checks(find.sources())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVER = Server(
    version="16.4", version_number=160004, standby=False, database="shop", user="it's", superuser=False,
    memberships=frozenset(), roles=frozenset({"pg_read_all_stats", "pg_monitor", "pg_read_all_settings"}),
    extensions={}, available=frozenset({"pg_stat_statements"}), settings={"track_counts": "on"}, shapes={},
    windows={}, started_at=NOW, now=NOW,
)  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        m.name
        for m in pkgutil.walk_packages(pgaudit.__path__, "pgaudit.")
        if "__main__" not in m.name
    ],
)
def test_doctests(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def ids(**words: tuple[str, ...]) -> set[str]:
    return {c.id for c in select(CHECKS, **words)}  # type: ignore[arg-type]


def test_selection() -> None:
    everything = {c.id for c in CHECKS}
    assert ids() == {c.id for c in CHECKS if c.status == "stable"}
    assert {c.id for c in select(CHECKS, preview=True)} == everything
    assert ids(chosen=("indexes",)) == {c.id for c in CHECKS if c.category == "indexes"}
    assert ids(chosen=("unused-index", "sessions")) >= {"unused-index", "blocked-session"}
    assert ids(chosen=("*-statement",)) == {i for i in everything if i.endswith("-statement")}
    assert "unused-index" not in ids(chosen=("indexes",), ignored=("unused-index",))
    assert ids(chosen=("slow-statement",), extended=("cache",)) >= {
        "slow-statement",
        "low-cache-hit-ratio",
    }
    assert ids(chosen=("tag:locks",)) == {c.id for c in CHECKS if "locks" in c.tags}


def test_unknown_words_are_errors_with_suggestions() -> None:
    with pytest.raises(UsageError) as caught:
        ids(chosen=("unused-indx",))
    assert "unused-index" in (caught.value.hint or "")


def test_preview_and_deprecated_checks_need_a_word() -> None:
    new = [
        dataclasses.replace(CHECKS[0], status="preview"),
        dataclasses.replace(CHECKS[1], status="deprecated"),
    ]
    assert select(new) == []
    assert select(new, preview=True) == [new[0]]
    assert select(new, chosen=("all",)) == [new[0]]
    assert select(new, chosen=(new[1].id,)) == [new[1]]


def test_overrides() -> None:
    changed = override.apply(CHECKS, [override.parse("unused-index.min_size=5 GiB")])
    check = next(c for c in changed if c.id == "unused-index")
    assert check.parameters["min_size"].default == 5 * 2**30


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unused-index.min_size=5 GB", "did you mean '5 GiB'"),
        ("unused-index.min_sise=5 GiB", "no parameter 'min_sise'"),
        ("unused-indx.min_size=5 GiB", "'unused-indx', which does not exist"),
        ("min_size=5 GiB", "is not CHECK.PARAMETER=VALUE"),
        ("slow-statement.min_calls=0", "at least 1"),
    ],
)
def test_bad_overrides(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        override.apply(CHECKS, [override.parse(text)])
    assert said in " ".join(caught.value.lines())


def test_why_not_in_the_order_of_what_a_person_would_do() -> None:
    check = next(c for c in CHECKS if c.id == "slow-statement")
    reason = why_not(check, SERVER)
    assert reason is not None
    assert (reason.kind, reason.cure) == ("extension", 'CREATE EXTENSION "pg_stat_statements";')


def test_windows_that_are_too_short() -> None:
    check = next(c for c in CHECKS if c.id == "low-cache-hit-ratio")
    young = dataclasses.replace(
        SERVER, memberships=SERVER.roles,
        windows={"pg_stat_database": Window(NOW - timedelta(minutes=5), "server's start")},
    )  # fmt: skip
    reason = why_not(check, young)
    assert reason is not None
    assert reason.text.startswith(
        "pg_stat_database has counted for 5 min (since the server's start), needs "
    )
    old = {"pg_stat_database": Window(NOW - timedelta(days=50), "reset stamp")}
    assert why_not(check, dataclasses.replace(young, windows=old)) is None


def test_the_smallest_grants() -> None:
    def needing(*roles: str) -> tuple[object, Reason]:
        check = dataclasses.replace(CHECKS[0], requirements=Requirements(roles))
        reason = why_not(check, SERVER)
        assert reason is not None
        return check, reason

    entries = (needing("pg_monitor"), needing("pg_read_all_stats"), needing("pg_read_all_settings"))
    planned = [PlannedTarget("shop", SERVER, entries)]  # type: ignore[arg-type]
    assert [c.sql for c in plan.grants(planned)] == ['GRANT pg_monitor TO "it\'s";']
    planned = [PlannedTarget("shop", SERVER, entries[1:])]  # type: ignore[arg-type]
    assert [c.sql for c in plan.grants(planned)] == [
        'GRANT pg_read_all_settings TO "it\'s";',
        'GRANT pg_read_all_stats TO "it\'s";',
    ]


def test_identity_is_of_the_object_alone() -> None:
    """The fingerprint survives another measure, message, severity and server."""
    check = next(c for c in CHECKS if c.id == "low-cache-hit-ratio")
    measure = check.severity.measure or ""
    row: dict[str, object] = dict.fromkeys(check.columns)
    row |= {check.object.name[0]: "shop", measure: 10.0}
    worse = row | {measure: 20.0}
    (one,) = judge.judge(check, [row])  # type: ignore[list-item]
    (two,) = judge.judge(check, [worse])  # type: ignore[list-item]
    assert one.message != two.message
    assert one.fingerprint == two.fingerprint
    assert len(one.fingerprint) == 16
    assert one.severity in Severity


def test_quoting_survives_the_server_s_own_rules() -> None:
    assert quote.identifier('a"b') == '"a""b"'
    assert quote.identifier("a\\b\n") == 'U&"a\\\\b\\000a"'
    assert quote.literal("a'b\t") == "U&'a''b\\0009'"


def test_grants_are_named_even_where_an_extension_is_missing_too() -> None:
    check = next(c for c in CHECKS if c.id == "slow-statement")
    planned = [PlannedTarget("shop", SERVER, ((check, why_not(check, SERVER)),))]
    assert [c.sql for c in plan.grants(planned)] == ['GRANT pg_read_all_stats TO "it\'s";']
    assert [c.sql for c in plan.other_cures(planned)] == ['CREATE EXTENSION "pg_stat_statements";']


def checked(identifier: str, scope: str) -> Check:
    return dataclasses.replace(CHECKS[0], id=identifier, scope=scope)


def test_a_check_of_the_server_is_asked_where_it_can_be() -> None:
    """Of two databases only the second has the extension; the first one's reason is then no news."""
    whole, each = checked("whole", "cluster"), checked("each", "database")
    missing = Reason("extension", "needs the extension pg_stat_statements in this database")
    once = Once()
    visits: list[list[tuple[Check, Reason | None]]] = []
    for reason in (missing, None, missing):
        visits.append([(c, reason if c is whole else None) for c in once.due([whole, each])])
        once.note(visits[-1])
    assert [[c.id for c, _ in entries] for entries in visits] == [
        ["whole", "each"], ["whole", "each"], ["each"],
    ]  # fmt: skip
    assert once.redundant(visits) == [{"whole"}, set(), set()]


def test_a_check_that_no_database_can_answer_is_left_once() -> None:
    whole = checked("whole", "cluster")
    missing = Reason("extension", "needs the extension pg_stat_statements in this database")
    once = Once()
    visits: list[list[tuple[Check, Reason | None]]] = []
    for _ in range(2):
        visits.append([(c, missing) for c in once.due([whole])])
        once.note(visits[-1])
    assert once.redundant(visits) == [set(), {"whole"}]


def test_every_view_of_ours_is_known_where_sql_is_read() -> None:
    """A check's SQL that named one without declaring it would fail on a server only."""
    assert set(own.views()) == own.NAMES
    for view in (*own.NAMES, *shape.MADE_COLUMNS):
        assert sqltext.views(f"SELECT * FROM {view}") == {view}
    assert set(sqltext.BEHIND) >= set(shape.MADE_COLUMNS)
    known = {*shape.names(), *own.NAMES}
    for view, sql in own.views().items():
        # What is written with its schema is meant to be the catalog itself.
        read = known.intersection(sqltext.words(sqltext.bare(sql.replace("pg_catalog.", "in_"))))
        assert read <= set(sqltext.BEHIND.get(view, ())), view
