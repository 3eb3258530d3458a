"""A plan → text or JSON: what would run, what would not and why, and the smallest GRANT script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from pgaudit import plan
from pgaudit.plan import Cure, PlannedTarget
from pgaudit.render import text
from pgaudit.render.style import Style


def render(planned: Sequence[PlannedTarget], style: Style) -> str:
    """Return the plan as lines; the script at its end can be pasted into psql."""
    lines = [line for target in planned for line in _target(target)]
    many = sum(target.server is not None for target in planned) > 1
    grants, others = plan.grants(planned), plan.other_cures(planned)
    lines += _script(grants, "-- The smallest grants that would let more checks run:", many=many)
    lines += _script(others, "-- What else would let more checks run:", many=many)
    return "".join(style.words(line) + "\n" for line in lines)


def write_json(planned: Sequence[PlannedTarget], style: Style) -> str:
    """Return the plan as one JSON document."""
    document = {
        "targets": [_document(target) for target in planned],
        "grants": [_cure(cure) for cure in plan.grants(planned)],
        "other": [_cure(cure) for cure in plan.other_cures(planned)],
    }
    return json.dumps(document, indent=2 if style.indent else None, ensure_ascii=False)


def _target(target: PlannedTarget) -> Iterator[str]:
    server = target.server
    if server is None:
        yield f"{target.label} cannot be reached"
        failure = target.failure
        for said in (failure.message, failure.server, failure.hint) if failure else ():
            if said:
                yield f"  {said}"
        yield ""
        return
    yield (f"{target.label} · PostgreSQL {server.version} · {server.role} · as {server.user}")
    run = [check.id for check, reason in target.entries if reason is None]
    left = [(check.id, reason) for check, reason in target.entries if reason is not None]
    width = max((len(check.id) for check, _ in target.entries), default=0)
    yield f"{text.many(len(run), 'check')} would run"
    yield from (f"  {name}" for name in run)
    if left:
        yield f"{text.many(len(left), 'check')} would not"
    for name, reason in left:
        yield f"  {name:{width}}  {reason.text}"
    yield ""


def _script(cures: Sequence[Cure], head: str, *, many: bool) -> list[str]:
    """Write one statement a line; with several targets each says where it has to be run."""
    if not cures:
        return []
    lines = [head]
    for cure in cures:
        where = f", in {', '.join(cure.targets)}" if many else ""
        count = text.many(len(cure.checks), "check")
        lines.append(f"{cure.sql}  -- {count}: {_listed(cure.checks)}{where}")
    return [*lines, ""]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _document(target: PlannedTarget) -> dict[str, object]:
    return {
        "label": target.label,
        "failure": target.failure.message if target.failure else None,
        "checks": [
            {
                "check": check.id,
                "would_run": reason is None,
                "reason": reason.text if reason else None,
                "cure": reason.cure if reason else None,
            }
            for check, reason in target.entries
        ],
    }


def _cure(cure: Cure) -> dict[str, object]:
    return {"sql": cure.sql, "checks": [*cure.checks], "targets": [*cure.targets]}
