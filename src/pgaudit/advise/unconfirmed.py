"""Why index advice is not confirmed by the planner, and what would let it be."""

from __future__ import annotations

from collections.abc import Mapping

from pgaudit import quote
from pgaudit.postgres.planner import Planner

INSUFFICIENT_PRIVILEGE = "42501"


def why(planner: Planner, denied: Mapping[str, int], looked: int) -> str | None:
    """Return the reason, or None where the planner was asked.

    `denied` counts by kind the statements, of those `looked` at, that this role may not plan.
    """
    # Reading everything does not help who may not write.
    if denied.get("select") and 2 * sum(denied.values()) > looked:
        role = quote.identifier(planner.server.user)
        needed = f"needs pg_read_all_data: GRANT pg_read_all_data TO {role}"
        return needed if planner.confirms else f"{needed}; and {_without(planner)}"
    return None if planner.confirms else _without(planner)


def _without(planner: Planner) -> str:
    if "hypopg" in planner.server.extensions:
        return "the extension hypopg is in a schema that this role may not use"
    if "hypopg" in planner.server.available:
        return "the extension hypopg is not in this database (CREATE EXTENSION hypopg)"
    return "the extension hypopg is not installed on this server"
