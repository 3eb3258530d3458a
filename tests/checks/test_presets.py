"""The presets `ci`, `cron` and `quick`: which checks they hold, and that `ci` needs no traffic."""

from __future__ import annotations

import pytest
from test_quiet import HEALTH, SCHEMAS, busy

import postgres
from auditing import audited, errors
from pgaudit.catalog import find
from pgaudit.model import Check
from pgaudit.postgres import scratch

CHECKS = find.checks(find.sources())
PRESETS = {"ci", "cron", "quick"}


def tagged(word: str) -> list[Check]:
    return [check for check in CHECKS if word in check.tags]


def test_each_stable_check_is_in_one_of_them() -> None:
    assert [c.id for c in CHECKS if c.status == "stable" and not {"ci", "cron"} & set(c.tags)] == []


def test_previews_are_in_none() -> None:
    assert [c.id for c in CHECKS if c.status != "stable" and PRESETS & set(c.tags)] == []


def test_opinions_are_previews() -> None:
    assert tagged("style") != []
    assert [c.id for c in tagged("style") if c.status != "preview"] == []


def test_quick_is_part_of_cron() -> None:
    assert 20 <= len(tagged("quick")) <= 40
    assert {c.id for c in tagged("quick")} <= {c.id for c in tagged("cron")}


def test_ci_waits_for_no_counters() -> None:
    assert [c.id for c in tagged("ci") if c.evidence and c.evidence.minimum] == []


@pytest.mark.parametrize("schema", SCHEMAS)
def test_ci_says_the_same_before_and_after_traffic(server: postgres.Server, schema: str) -> None:
    """On the schema alone, as migrations leave it, and once it is used: no counter changes a verdict."""
    with server.database() as made:
        definitions = (HEALTH / f"{schema}.sql").read_text()
        scratch.run(made, definitions.partition("INSERT INTO")[0])
        empty = found(made)
        scratch.run(made, "INSERT INTO" + definitions.partition("INSERT INTO")[2])
        busy(made, schema)
        assert found(made) == empty


def found(conninfo: str) -> set[str]:
    _, results = audited(conninfo, tagged("ci"))
    assert errors(results) == []
    return {finding.key for result in results for finding in result.findings}
