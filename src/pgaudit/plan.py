"""What an audit would do: checks that would run, those that would not, and what would change that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    """One statement, the checks that it would let run, and the targets where it has to be said."""

    sql: str
    checks: tuple[str, ...]
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Need:
    """A check that one statement would let run in one target."""

    target: PlannedTarget
    check: Check
    reason: Reason

    @property
    def grantee(self) -> tuple[str, str]:
        """Whose privileges: roles belong to a server, so databases of one server share them."""
        user = self.target.server.user if self.target.server else ""
        return self.target.label.rpartition("@")[2], user


def grants(planned: Iterable[PlannedTarget]) -> tuple[Cure, ...]:
    """Return the smallest GRANT script: no privilege that another one of it brings along.

    A check that lacks its extension as well counts too, so that one script is enough. What one
    server's role gets says nothing about another's.
    """
    needs = [
        _Need(target, check, missing)
        for target in planned
        for check, reason in target.entries
        if target.server is not None
        and reason is not None
        and reason.kind not in ("version", "role")
        for missing in missing_privileges(check, target.server)
        if missing.privilege is not None
    ]
    named = {(need.grantee, need.reason.privilege): need.reason for need in needs}
    return _gathered([_Need(n.target, n.check, _enough(n, named)) for n in needs])


def other_cures(planned: Iterable[PlannedTarget]) -> tuple[Cure, ...]:
    """Return the statements that are no grants, such as CREATE EXTENSION."""
    left = [_Need(t, c, r) for t in planned for c, r in t.entries if r is not None and r.cure]
    return _gathered([need for need in left if need.reason.privilege is None])


def _enough(need: _Need, named: Mapping[tuple[tuple[str, str], str | None], Reason]) -> Reason:
    """Return what to grant for a need: its own privilege, or one needed anyway that includes it."""
    for role, brings in IMPLIED.items():
        if need.reason.privilege in brings and (need.grantee, role) in named:
            return named[need.grantee, role]
    return need.reason


def _gathered(needs: Sequence[_Need]) -> tuple[Cure, ...]:
    checks: dict[str, dict[str, None]] = {}
    targets: dict[str, dict[str, None]] = {}
    for need in needs:
        sql = need.reason.cure or ""
        checks.setdefault(sql, {})[need.check.id] = None
        targets.setdefault(sql, {})[need.target.label] = None
    return tuple(Cure(sql, tuple(checks[sql]), tuple(targets[sql])) for sql in sorted(checks))
