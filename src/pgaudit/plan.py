"""What an audit would do: checks that would run, those that would not, and what would change that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgaudit.model import Check, Failure, Reason, Server
from pgaudit.whynot import missing_privileges

IMPLIED = {"pg_monitor": {"pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"}}
"""Predefined roles and what membership in them brings along.

https://www.postgresql.org/docs/current/predefined-roles.html
"""


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """One database: each check with the reason why it would not run, or None; or a failure."""

    label: str
    server: Server | None
    entries: tuple[tuple[Check, Reason | None], ...]
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Cure:
    """One statement, and the checks that it would let run."""

    sql: str
    checks: tuple[str, ...]


def grants(planned: Iterable[PlannedTarget]) -> tuple[Cure, ...]:
    """Return the smallest GRANT script: no privilege that another one of it brings along.

    A check that lacks its extension as well counts too, so that one script is enough.
    """
    reasons = [
        (check, missing)
        for target in planned
        for check, reason in target.entries
        if target.server is not None
        and reason is not None
        and reason.kind not in ("version", "role")
        for missing in missing_privileges(check, target.server)
        if missing.privilege is not None
    ]
    needed = {r.privilege for _, r in reasons}
    implied = {name for role in needed for name in IMPLIED.get(role or "", ())}
    return _gathered([(c, r) for c, r in reasons if r.privilege not in implied])


def other_cures(planned: Iterable[PlannedTarget]) -> tuple[Cure, ...]:
    """Return the statements that are no grants, such as CREATE EXTENSION."""
    left = [(c, r) for target in planned for c, r in target.entries if r is not None and r.cure]
    return _gathered([(c, r) for c, r in left if r.privilege is None])


def _gathered(left: Sequence[tuple[Check, Reason]]) -> tuple[Cure, ...]:
    by_cure: dict[str, dict[str, None]] = {}
    for check, reason in left:
        by_cure.setdefault(reason.cure or "", {})[check.id] = None
    return tuple(Cure(sql, tuple(checks)) for sql, checks in sorted(by_cure.items()))
