"""Windows as a process: progress, Ctrl-C, samples that travel in a report."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from psycopg import conninfo as libpq

import postgres
from pgaudit.postgres import scratch

pytestmark = pytest.mark.ends

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pgaudit", "check"]
SLOW = (
    "--select", "slow-statement", "--set", "slow-statement.min_total_time=0 s",
    "--set", "slow-statement.min_calls=1",
)  # fmt: skip


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "CI"}
    return kept | {"PYTHONPATH": str(ROOT / "src")}


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip


def run(*arguments: str) -> tuple[int, str, str]:
    process = started(*arguments)
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


def slow(conninfo: str, times: int = 3) -> None:
    with contextlib.closing(scratch.connect(conninfo)) as connection:
        for _ in range(times):
            connection.execute("SELECT pg_sleep(0.4)")


@pytest.fixture
def shop(server: postgres.Server) -> Iterator[str]:
    with server.database(extensions=("pg_stat_statements",)) as made:
        yield made


def checked(document: dict[str, Any]) -> dict[str, Any]:
    text = (ROOT / "src" / "pgaudit" / "render" / "report.schema.json").read_text()
    jsonschema.validate(document, json.loads(text))
    return document


def test_a_window_says_what_it_waits_for_and_judges_only_that(shop: str) -> None:
    slow(shop)
    process = started(shop, *SLOW, "--window", "2s", "-f", "json")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.count("\n")) == (0, 1), err
    assert err.startswith("pgaudit: watching ")
    assert err.endswith(" for 2 s\n")
    (target,) = checked(json.loads(out))["targets"]
    assert [r["status"] for r in target["results"]] == ["passed"]
    assert target["server"]["statistics_since"]["source"].startswith("in the last 2")


def test_what_happens_inside_is_found_and_the_finding_says_when(shop: str) -> None:
    process = started(shop, *SLOW, "--window", "4s", "-f", "plain")
    assert process.stderr is not None
    assert "watching" in process.stderr.readline()
    slow(shop)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    fields = out.splitlines()[0].split("\t")
    assert fields[:2] == ["warning", "slow-statement"]
    assert "(in the last 4" in fields[6]


def test_quiet_waits_in_silence(shop: str) -> None:
    assert run(shop, *SLOW, "--window", "1s", "-q") == (0, "", "")


def test_ctrl_c_while_waiting_ends_with_what_is_known(shop: str) -> None:
    process = started(shop, *SLOW, "--window", "10 min", "-f", "json")
    assert process.stderr is not None
    assert "watching" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    document = checked(json.loads(out))
    assert document["interrupted"] is True
    (result,) = document["targets"][0]["results"]
    assert (result["status"], result["reason"]["kind"]) == ("skipped", "interrupted")


def test_a_terminal_shows_how_long_it_has_waited(shop: str) -> None:
    process, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, shop, *SLOW, "--window", "2s"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=terminal, env=environment() | {"TERM": "xterm"},
    ) as running:  # fmt: skip
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(process, 4096):
                shown += part
        running.communicate(timeout=60)
    os.close(process)
    assert b"for 2 s: 1." in shown
    assert shown.endswith(b"\r\x1b[K")


def test_samples_travel_in_a_report(shop: str, tmp_path: Path) -> None:
    slow(shop)
    report = tmp_path / "then.json"
    code, _, err = run(shop, *SLOW, "--with-samples", "-o", str(report), "-qq")
    assert (code, err) == (0, "")
    document = checked(json.loads(report.read_text()))
    sample = document["targets"][0]["sample"]
    assert set(sample["views"]) == {"pg_stat_statements", "pg_stat_statements_info"}
    assert "pg_sleep" not in json.dumps(sample)  # counters travel, texts do not
    time.sleep(1)
    assert run(shop, *SLOW, "--since", str(report), "-f", "plain")[:2] == (0, "")
    slow(shop, 2)
    code, out, _ = run(shop, *SLOW, "--since", str(report), "--with-samples", "-f", "json")
    (target,) = checked(json.loads(out))["targets"]
    (finding,) = target["results"][0]["findings"]
    assert (code, finding["row"]["calls"]) == (1, 2)
    assert finding["window"]["source"].startswith("in the last ")
    assert target["sample"]["taken_at"] > sample["taken_at"]


def test_several_databases_share_one_wait_and_are_matched_by_name(
    server: postgres.Server, shop: str, tmp_path: Path
) -> None:
    with server.database(extensions=("pg_stat_statements",)) as other:
        names = [str(libpq.conninfo_to_dict(c)["dbname"]) for c in (shop, other)]
        process = started(
            shop, *SLOW, "--window", "3s", "-f", "json", "--with-samples",
            "--database", names[0], "--database", names[1],
        )  # fmt: skip
        began = time.monotonic()
        assert process.stderr is not None
        said = process.stderr.readline()
        assert all(f"{name}@" in said for name in names)
        slow(other)
        out, _ = process.communicate(timeout=60)
        assert time.monotonic() - began < 30
        document = checked(json.loads(out))
        found = {
            t["server"]["database"]: [r["status"] for r in t["results"]]
            for t in document["targets"]
        }
        assert found == {names[0]: ["passed"], names[1]: ["failed"]}
        # A report of one database does not serve another.
        one = tmp_path / "one.json"
        document["targets"] = [
            t for t in document["targets"] if t["server"]["database"] == names[0]
        ]
        one.write_text(json.dumps(document))
        code, _, err = run(other, *SLOW, "--since", str(one))
        assert code == 3
        assert f"There is no earlier sample of {names[1]}@" in err
        assert f"the report has {names[0]}@" in err


def test_a_sample_without_what_a_check_reads_says_so(shop: str, tmp_path: Path) -> None:
    report = tmp_path / "then.json"
    run(shop, *SLOW, "--with-samples", "-o", str(report))
    more = (
        "--select",
        "slow-statement,low-cache-hit-ratio",
        "--set",
        "low-cache-hit-ratio.minimum_window=0 s",
    )
    _, out, _ = run(shop, *more, "--since", str(report), "-f", "plain")
    assert "the earlier sample does not have pg_stat_io, pg_stat_database" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--window", "5s", "--since", "x.json"), "--window and --since both say"),
        (("--window", "0 s"), "a window is longer than nothing"),
        (("--window", "soon"), "--window"),
        (("--with-samples",), "keeps the counters in a JSON report"),
        (("--since", "/nowhere/x.json"), "Cannot read /nowhere/x.json"),
    ],
)
def test_usage(arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run("host=/nowhere", *arguments, "-f", "plain")
    assert code == 2
    assert said in err


def test_a_report_without_samples_is_refused_with_a_hint(shop: str, tmp_path: Path) -> None:
    report = tmp_path / "plain.json"
    run(shop, *SLOW, "-o", str(report))
    code, _, err = run(shop, *SLOW, "--since", str(report))
    assert code == 2
    assert "has no samples to compare with" in err
    assert "--with-samples" in err


def test_a_dry_run_says_what_a_window_is_too_short_for(shop: str) -> None:
    code, out, _ = run(
        shop, "--select", "unused-index,slow-statement", "--window", "1 min", "--dry-run"
    )
    assert code == 0
    assert "would judge what pg_stat_user_indexes counted in the last 60 s, needs 30 days" in out
    assert "1 check would run" in out
