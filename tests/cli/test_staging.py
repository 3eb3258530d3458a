"""A CI job: migrations build an empty staging database, and `--select tag:ci` is its gate."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli import run

import postgres
from pgaudit.postgres import scratch

MIGRATIONS = Path(__file__).parents[1] / "staging"
GATE = ("--select", "tag:ci", "--format", "json")


@pytest.fixture
def staging(server: postgres.Server) -> Iterator[str]:
    with server.database() as made:
        yield made


def migrate(staging: str, *names: str) -> None:
    for name in names:
        scratch.run(staging, (MIGRATIONS / f"{name}.sql").read_text(encoding="utf-8"))


def warned(job: subprocess.CompletedProcess[str]) -> set[tuple[str, str]]:
    """Read which objects a report warns of, each with its check."""
    results = json.loads(job.stdout)["targets"][0]["results"]
    return {
        (r["check"], f["object"]["display"])
        for r in results
        for f in r["findings"]
        if f["severity"] != "info"
    }


def test_the_job_fails_on_a_bad_migration_and_passes_after_its_fix(staging: str) -> None:
    migrate(staging, "001_shop")
    good = run("check", staging, *GATE)
    assert (good.returncode, warned(good)) == (0, set())

    migrate(staging, "002_vouchers")
    bad = run("check", staging, *GATE)
    assert bad.returncode == 1
    assert warned(bad) == {
        ("duplicate-index", "public.purchase_by_customer"),
        ("foreign-key-type-mismatch", "public.voucher.voucher_customer_id_fkey"),
        ("not-valid-constraint", "public.purchase.purchase_voucher_id_fkey"),
    }

    migrate(staging, "003_vouchers_mended")
    mended = run("check", staging, *GATE)
    assert (mended.returncode, warned(mended)) == (0, set())


def test_everything_that_the_job_asks_is_answered(staging: str) -> None:
    """Counters and their age play no part: nothing is not run because the server is young."""
    migrate(staging, "001_shop")
    results = json.loads(run("check", staging, *GATE).stdout)["targets"][0]["results"]
    not_run = {r["check"]: r["reason"] for r in results if r["status"] in ("skipped", "errored")}
    assert {r["kind"] for r in not_run.values()} <= {"version", "extension"}
    assert len(results) - len(not_run) >= 40
