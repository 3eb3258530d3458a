"""Every built-in check on every major: its proofs, its contract, silence on health, a standby."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

import postgres
from auditing import audited, errors, loud, without_window
from pgaudit import audit
from pgaudit.catalog import find
from pgaudit.model import Check, Proof, Status
from pgaudit.postgres import probe, scratch
from pgaudit.proof import COMMENTS, Bench

CHECKS = find.checks(find.sources(), proofs=True)
CASES = [
    pytest.param(check, proof, id=f"{check.id}: {proof.name}")
    for check in CHECKS
    for proof in check.proofs
]
EACH = pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.id)

HEALTHY_SCHEMA = """
CREATE TABLE customer (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE,
  joined_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE purchase (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customer, placed_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX purchase_customer_id_idx ON purchase (customer_id);
INSERT INTO customer (email) SELECT g || '@example.org' FROM generate_series(1, 2000) g;
INSERT INTO purchase (customer_id) SELECT 1 + mod(g, 2000) FROM generate_series(1, 10000) g;
"""
# In a session of its own: counters that a session has not reported yet are added after its ANALYZE.
HEALTHY_USE = (
    "ANALYZE; SELECT count(*) FROM purchase JOIN customer ON customer.id = purchase.customer_id"
)


@pytest.mark.parametrize(("check", "proof"), CASES)
def test_proof(bench: Bench, check: Check, proof: Proof) -> None:
    outcome = bench.prove(check, proof)
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert not outcome.faults, "\n".join(outcome.faults)


@EACH
def test_contract(server: postgres.Server, contract_database: str, check: Check) -> None:
    """As a bare pg_monitor member it returns the declared columns, or is skipped for a declared reason."""
    with postgres.session(contract_database, user="reader") as session:
        known = probe.probe(session, timeout=10)
        result = audit.ask(session, known, without_window(check))
    if result.status is Status.SKIPPED:
        assert result.reason is not None
        assert result.reason.kind in {"version", "role", "extension", "setting", "privilege"}
        if result.reason.kind == "privilege":
            assert result.reason.privilege not in known.memberships
        return
    assert result.status in (Status.PASSED, Status.FAILED), result.reason


@pytest.fixture(scope="module")
def contract_database(server: postgres.Server) -> Iterator[str]:
    with server.database(extensions=("pg_stat_statements",)) as made:
        yield made


@pytest.mark.parametrize("schema", ["", HEALTHY_SCHEMA], ids=["fresh cluster", "ordinary schema"])
def test_healthy_cluster_is_quiet(server: postgres.Server, schema: str) -> None:
    with server.database(extensions=("pg_stat_statements",)) as made:
        scratch.run(made, schema)
        scratch.run(made, HEALTHY_USE if schema else "")
        _, results = audited(made, CHECKS)
    assert errors(results) == []
    assert loud(results) == []


def test_standby(standby: str) -> None:
    """On a standby every check runs or is skipped with a reason; none errors."""
    known, results = audited(standby, CHECKS, user="reader")
    assert known.standby
    assert errors(results) == []
    for result in results:
        if result.check.role == "primary":
            assert result.status is Status.SKIPPED
            assert result.reason is not None
            assert result.reason.kind in {"role", "extension", "version"}


def test_every_check_fires_and_stays_silent() -> None:
    for check in CHECKS:
        assert any(p.expect for p in check.proofs), f"{check.id} has no proof that fires"
        assert any(p.expect == () for p in check.proofs), f"{check.id} has no proof of silence"


def test_remedies_are_proven() -> None:
    """A remedy that is printed was run: at least one proof of its check shows that it works."""
    unproven = [c.id for c in CHECKS if c.remedy.sql and not any(p.remedied for p in c.proofs)]
    assert unproven == []


@pytest.mark.parametrize(
    ("check", "proof"),
    [
        pytest.param(check, proof, id=f"{check.id}: {proof.name}")
        for check in CHECKS
        if "lock_size" in check.parameters
        for proof in check.proofs
        if proof.remedied
    ],
)
def test_large_rewrites_are_comments(bench: Bench, check: Check, proof: Proof) -> None:
    """From lock_size on, the remedy that works below it is a comment."""
    large = dataclasses.replace(proof, parameters={**proof.parameters, "lock_size": 0})
    assert bench.prove(check, large).faults == (COMMENTS,)
