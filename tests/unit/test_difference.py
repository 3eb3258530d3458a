"""Two samples and what was counted in between, without a server."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pgaudit.evidence import Sample, SampledRow, SampledView, Window
from pgaudit.postgres import counters, shape
from pgaudit.postgres.difference import Difference, difference

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=60)
STARTED = BEGAN - timedelta(days=30)
LONG_AGO = (BEGAN - timedelta(days=20)).isoformat()
LATELY = (BEGAN + timedelta(seconds=45)).isoformat()

Row = Mapping[str, int | float | str | None]
Rows = Mapping[str, Row]


def taken(at: datetime, started: datetime = STARTED, /, **views: Rows) -> Sample:
    """Make a sample of rows that name only the columns that matter; the others count nothing."""
    return Sample(at, "1", 1, started, {view: of(view, rows) for view, rows in views.items()})


def of(view: str, rows: Rows) -> SampledView:
    columns = counters.cumulative()[view].sampled
    return SampledView(
        columns, {k: SampledRow(row.get(c) for c in columns) for k, row in rows.items()}
    )


def moved(
    view: str, before: Rows, after: Rows, resets: Mapping[str, Window] | None = None
) -> Difference:
    return difference(taken(BEGAN, **{view: before}), taken(ENDED, **{view: after}), resets or {})


def rows(found: Difference) -> Mapping[str, Mapping[str, float]]:
    return next(iter(found.views.values())).rows


def test_every_column_of_every_view_is_classified() -> None:
    known = counters.cumulative()
    assert set(known) | counters.momentary() == set(shape.names())
    assert not set(known) & counters.momentary()
    for view, kind in known.items():
        assert sorted(kind.columns) == sorted(shape.newest(view)), view
        types = shape.newest(view)
        assert {types[c] for c in kind.starts} <= {"timestamp with time zone"}
        assert {types[c] for c in kind.counters} <= {"bigint", "double precision", "numeric"}, view


def test_counters_become_deltas_and_what_did_not_move_is_left_out() -> None:
    found = moved(
        "pg_stat_user_tables",
        {"1": {"seq_scan": 10, "idx_scan": None}, "2": {"seq_scan": 5}, "gone": {"seq_scan": 9}},
        {"1": {"seq_scan": 12, "idx_scan": 3}, "2": {"seq_scan": 5}, "new": {"seq_scan": 4}},
    )
    # An index that was made inside the window: the table's idx_scan was NULL before.
    assert rows(found) == {"1": {"seq_scan": 2}, "new": {"seq_scan": 4}}
    assert found.window.words == "in the last 60 s"
    assert found.notes == ()


def test_a_counter_that_fell_counts_from_zero() -> None:
    found = moved(
        "pg_stat_user_tables",
        {"1": {"seq_scan": 10}, "2": {"seq_scan": 5}, "3": {"seq_scan": 5}},
        {"1": {"seq_scan": 3}, "2": {"seq_scan": 6}, "3": {"seq_scan": 5}},
    )
    assert rows(found) == {"1": {"seq_scan": 3}, "2": {"seq_scan": 1}}
    assert found.notes == ("1 of pg_stat_user_tables's rows were reset inside the window",)


def test_a_stamp_that_moved_counts_from_zero_though_nothing_fell() -> None:
    """An entry of pg_stat_statements was evicted, entered again, and called more often than before."""
    found = moved(
        "pg_stat_statements",
        {"a": {"calls": 10, "stats_since": LONG_AGO}, "b": {"calls": 1, "stats_since": LONG_AGO},
         "c": {"calls": 1, "stats_since": LONG_AGO}},
        {"a": {"calls": 12, "stats_since": LATELY}, "b": {"calls": 2, "stats_since": LONG_AGO},
         "c": {"calls": 1, "stats_since": LONG_AGO}},
    )  # fmt: skip
    assert {key: row["calls"] for key, row in rows(found).items()} == {"a": 12, "b": 1}
    assert found.views["pg_stat_statements"].ages == {"a": 15.0}


def test_a_stamp_that_an_update_brought_is_no_reset() -> None:
    """ALTER EXTENSION … UPDATE to 1.11 adds stats_since to entries that count on."""
    found = moved(
        "pg_stat_statements",
        {"a": {"calls": 10, "stats_since": None}},
        {"a": {"calls": 12, "stats_since": LONG_AGO}},
    )
    assert rows(found)["a"]["calls"] == 2


def test_a_column_that_an_update_brought_says_nothing_yet() -> None:
    found = moved(
        "pg_stat_statements",
        {"a": {"calls": 10, "wal_buffers_full": None}},
        {"a": {"calls": 12, "wal_buffers_full": 1000}},
    )
    assert "wal_buffers_full" not in rows(found)["a"]


def test_the_reset_of_one_table_moves_the_database_s_stamp_and_no_counter() -> None:
    found = moved(
        "pg_stat_database",
        {"5": {"xact_commit": 1000, "stats_reset": LONG_AGO}},
        {"5": {"xact_commit": 1001, "stats_reset": LATELY}},
    )
    assert rows(found) == {"5": {"xact_commit": 1}}
    assert found.notes == ()


def test_a_view_that_was_reset_covers_the_time_since() -> None:
    found = moved(
        "pg_stat_wal",
        {"": {"wal_records": 1000, "stats_reset": LONG_AGO}},
        {"": {"wal_records": 7, "stats_reset": LATELY}},
    )
    assert rows(found) == {"": {"wal_records": 7}}
    assert found.windows["pg_stat_wal"] == Window(
        datetime.fromisoformat(LATELY), "reset inside the window"
    )
    assert found.notes == ("pg_stat_wal was reset inside the window, 15 s before its end",)


def test_after_pg_stat_reset_tables_at_zero_are_not_sampled() -> None:
    reset = Window(datetime.fromisoformat(LATELY), "reset stamp")
    found = moved(
        "pg_stat_user_tables",
        {"1": {"seq_scan": 10}, "2": {"seq_scan": 5}, "3": {"seq_scan": 5}},
        {"1": {"seq_scan": 3}},
        {"pg_stat_user_tables": reset},
    )
    assert rows(found) == {"1": {"seq_scan": 3}}
    assert found.windows["pg_stat_user_tables"].start == reset.start
    assert found.notes == ("pg_stat_user_tables was reset inside the window, 15 s before its end",)


def test_a_restart_and_evictions_are_said() -> None:
    first = taken(BEGAN, pg_stat_statements_info={"": {"dealloc": 3}})
    second = taken(
        ENDED, ENDED - timedelta(seconds=20), pg_stat_statements_info={"": {"dealloc": 5}}
    )
    said = difference(first, second, {}).notes
    assert [note.partition(" inside")[0] for note in said] == [
        "the server was restarted",
        "pg_stat_statements evicted entries",
    ]


def test_an_entry_that_was_not_called_is_no_row() -> None:
    found = moved(
        "pg_stat_statements",
        {"a": {"calls": 10, "total_exec_time": 5.0}},
        {"a": {"calls": 10, "total_exec_time": 5.0}},
    )
    assert rows(found) == {}


def entry(times: Sequence[float]) -> dict[str, float]:
    """What pg_stat_statements keeps of calls that took so many milliseconds."""
    return {
        "calls": len(times),
        "total_exec_time": sum(times),
        "mean_exec_time": statistics.fmean(times),
        "stddev_exec_time": statistics.pstdev(times),
        "min_exec_time": min(times),
        "max_exec_time": max(times),
    }


@pytest.mark.parametrize("history", [1, 100, 10_000])
def test_mean_and_spread_are_those_of_the_calls_inside(history: int) -> None:
    before = [5.0, 7.0, 40.0] * history
    inside = [100.0, 102.0, 98.0, 110.0, 3.0]
    row = rows(moved("pg_stat_statements", {"a": entry(before)}, {"a": entry(before + inside)}))[
        "a"
    ]
    assert row["calls"] == 5
    assert math.isclose(row["mean_exec_time"], statistics.fmean(inside), rel_tol=1e-6)
    assert math.isclose(row["stddev_exec_time"], statistics.pstdev(inside), rel_tol=1e-3)
    assert (row["min_exec_time"], row["max_exec_time"]) == (3.0, 110.0)


def test_an_extreme_that_did_not_move_may_be_of_long_ago() -> None:
    row = rows(moved("pg_stat_statements", {"a": entry([1, 900])}, {"a": entry([1, 900, 5, 6])}))[
        "a"
    ]
    assert "min_exec_time" not in row
    assert "max_exec_time" not in row
    assert math.isclose(row["mean_exec_time"], 5.5)


def test_a_spread_that_rounding_would_drown_is_not_told() -> None:
    before = {"calls": 10**9, "total_exec_time": 1e13, "stddev_exec_time": 5e4}
    after = {"calls": 10**9 + 10, "total_exec_time": 1e13 + 20, "stddev_exec_time": 5e4}
    row = rows(moved("pg_stat_statements", {"a": before}, {"a": after}))["a"]
    assert "stddev_exec_time" not in row
    assert row["mean_exec_time"] == 2


def test_only_the_columns_that_a_check_names_are_sent() -> None:
    found = moved("pg_stat_user_tables", {}, {"1": {"seq_scan": 1, "n_tup_ins": 2}})
    assert found.views["pg_stat_user_tables"].text(["seq_scan"]) == '[{"row_key":"1","seq_scan":1}]'
