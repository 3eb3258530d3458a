"""What is not a user's is never reported: each proof that fires, moved where it must be silent."""

from __future__ import annotations

import dataclasses

import pytest

from pgaudit.catalog import find
from pgaudit.model import Check, Proof
from pgaudit.proof import Bench

RELATIONS = {"index", "table", "column", "constraint", "sequence", "view"}
"""Kinds of objects that a schema holds."""

OF_USERS = {"user_relation", "whole_table"}
"""Views of what belongs to users."""

EVERYBODYS = {
    "table-transaction-id-wraparound": "a catalog or an extension's table stops the server as well",
    "table-multixact-wraparound": "a catalog or an extension's table stops the server as well",
    "orphaned-temporary-table": "it is about temporary tables",
    "catalog-bloated": "it is about the catalogs",
    "anti-wraparound-vacuum-running": "a vacuum is reported, whatever it vacuums",
    "long-running-vacuum": "a vacuum is reported, whatever it vacuums",
}
"""Checks of relations whoever they belong to, and why."""

CHECKS = find.checks(find.sources(), proofs=True)

INTO_AN_EXTENSION = """;
DO $$
DECLARE r record;
BEGIN
  FOR r IN SELECT c.oid::regclass AS name,
                  CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                    WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind
           FROM   pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE  c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
             AND  n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
             -- The sequence of an identity column goes where its table goes.
             AND  NOT EXISTS (SELECT FROM pg_depend d
                              WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype = 'i'))
  LOOP
    EXECUTE format('ALTER EXTENSION plpgsql ADD %s %s', r.kind, r.name);
  END LOOP;
END $$;
"""

TO_A_SERVICE = """;
CREATE ROLE rdsadmin;
DO $$
DECLARE s name;
BEGIN
  FOR s IN SELECT nspname FROM pg_namespace
           WHERE NOT starts_with(nspname, 'pg_') AND nspname <> 'information_schema'
  LOOP
    IF s = 'public' THEN
      ALTER SCHEMA public RENAME TO service;
      s := 'service';
    END IF;
    EXECUTE format('ALTER SCHEMA %I OWNER TO rdsadmin', s);
  END LOOP;
END $$;
CREATE SCHEMA public;
"""

CASES = [
    pytest.param(check, proof, id=check.id)
    for check in CHECKS
    if OF_USERS.intersection(check.reads)
    for proof in [p for p in check.proofs if p.expect and p.setup and not p.sessions][:1]
]


def silent(proof: Proof, ending: str, schema: str = "public") -> Proof:
    """Return a proof that its setup, changed at the end, is nothing to speak of."""
    given = {
        view: tuple({c: _in(schema, v) for c, v in row.items()} for row in rows)
        for view, rows in proof.given.items()
    }
    return dataclasses.replace(
        proof, setup=f"{proof.setup}{ending}", given=given, expect=(), remedied=False
    )


def _in(schema: str, value: object) -> object:
    """Write a relation's name for the schema that it was moved to."""
    if isinstance(value, str) and value.startswith("public."):
        return value.replace("public.", f"{schema}.", 1)
    return value


@pytest.mark.parametrize(("check", "proof"), CASES)
def test_an_extension_s(bench: Bench, check: Check, proof: Proof) -> None:
    outcome = bench.prove(check, silent(proof, INTO_AN_EXTENSION))
    assert not outcome.faults, "\n".join(outcome.faults)


@pytest.mark.parametrize(("check", "proof"), CASES)
def test_a_managed_service_s(bench: Bench, check: Check, proof: Proof) -> None:
    outcome = bench.prove(check, silent(proof, TO_A_SERVICE, "service"))
    assert not outcome.faults, "\n".join(outcome.faults)


def test_every_check_of_relations_knows_what_belongs_to_users() -> None:
    without = {
        c.id
        for c in CHECKS
        if c.scope == "database"
        and c.object.kind in RELATIONS
        and not OF_USERS.intersection(c.reads)
    }
    assert without == set(EVERYBODYS)


def test_every_check_of_what_is_a_user_s_is_moved() -> None:
    moved = {str(case.id) for case in CASES}
    assert {c.id for c in CHECKS if OF_USERS.intersection(c.reads)} - moved == set()
