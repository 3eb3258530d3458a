"""A report made by hand that has everything: every severity and reason, hostile names, a failure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pgaudit.evidence import Window
from pgaudit.model import (
    Check,
    Extension,
    Failure,
    Finding,
    Measure,
    NamedObject,
    ObjectRule,
    Reason,
    Reference,
    Remedy,
    RemedyRule,
    Report,
    Result,
    Server,
    Severity,
    SeverityRule,
    Status,
    TargetReport,
)
from pgaudit.quote import qualified
from pgaudit.units import Value

RESET = datetime(2025, 9, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 4, 9, 12, 45, 123456, tzinfo=UTC)
RESET_STAMP = Window(RESET, "reset stamp")
ESCAPE = "\x1b"
HOSTILE = (
    '"; DROP TABLE x; --',
    "[bold]",
    "[/]",
    f"{ESCAPE}[2J{ESCAPE}[31m",
    "a\tb",
    "a\nb\r\nc",
    "left|right",
    "<b>&amp;",
    ":smile: \\[x] %s {y}",
    "🐘" * 15 + "abc",
    "abc\u202etxt.exe",
    "e\u0301\u200d\u200b",
    "\x7f\x9b31m\u2028",
    "x" * 63,
)
"""Names that a database may have; 🐘 times 15 and three letters is 63 bytes, PostgreSQL's most."""

COLUMNS = {
    "schema": "text",
    "name": "text",
    "size": "size",
    "age": "duration",
    "share": "percent",
    "scans": "count",
    "seen_at": "timestamp",
    "valid": "boolean",
}
CURE = {
    "privilege": "GRANT pg_read_all_stats TO auditor;",
    "extension": "CREATE EXTENSION pg_stat_statements;",
}
REASONS = (
    Reason("version", "needs PostgreSQL 16 or newer, this is 14.11"),
    Reason("role", "asks a primary; this is a standby"),
    Reason(
        "privilege",
        "needs pg_read_all_stats, which auditor lacks",
        cure=CURE["privilege"],
        privilege="pg_read_all_stats",
    ),
    Reason("extension", "needs the extension pg_stat_statements", cure=CURE["extension"]),
    Reason("setting", "needs track_io_timing = on, it is off"),
    Reason("window", "statistics cover 2 h, this check needs 7 days"),
    Reason("interrupted", "was not reached before the audit was interrupted"),
)
ERRORS = (
    Reason(
        "error",
        'column "no\nsuch" does not exist',
        sqlstate="42703",
        where="checks/indexes/broken-check.yaml:31",
    ),
    Reason("lost", "the server closed the connection"),
)


def make_check(
    identifier: str, category: str = "indexes", columns: dict[str, str] | None = None
) -> Check:
    return Check(
        id=identifier,
        title=f"What {identifier} finds",
        category=category,
        tags=("disk", "writes"),
        since="1.0",
        status="stable",
        why="It costs something with every write.",
        scope="database",
        role="any",
        reads=(),
        columns=COLUMNS if columns is None else columns,
        queries={14: "SELECT 1"},
        object=ObjectRule("index", ("schema", "name")),
        severity=SeverityRule(word=Severity.WARNING),
        message="{object} is unused.",
        remedy=RemedyRule("Drop it."),
        file=f"checks/{category}/{identifier}.yaml",
        false_positives=("the index serves a standby", "a job uses it once a year"),
        references=(Reference("CREATE INDEX", "https://www.postgresql.org/docs/current/"),),
    )


def make_finding(
    check: Check,
    name: str,
    severity: Severity = Severity.WARNING,
    *,
    measure: str | None = "size",
    size: int = 1288490188,
    window: Window | None = RESET_STAMP,
    detail: str = "no scan since 2025-09-01",
) -> Finding:
    row: dict[str, Value] = {
        "schema": "public",
        "name": name,
        "size": size,
        "age": 275400.0,
        "share": 91.27,
        "scans": 0,
        "seen_at": NOW,
        "valid": True,
    }
    named = NamedObject("index", ("public", name), ("public", "orders"))
    return Finding(
        check=check.id,
        severity=severity,
        object=named,
        message=f"{named.display} is unused.",
        detail=detail,
        row=row,
        kinds=check.columns,
        remedy=Remedy(
            "Drop the index, unless it serves a constraint or a standby.",
            sql=f"DROP INDEX CONCURRENTLY {qualified(named.name)};",
            undo=f"CREATE INDEX {qualified(named.name[1:])} ON orders (id);",
            impact="waits for transactions; blocks nothing",
        ),
        measure=Measure(measure, check.columns[measure], row[measure]) if measure else None,
        window=window,
    )


def make_server(
    *, database: str = "shop", version: str = "16.4", standby: bool = False, user: str = "auditor"
) -> Server:
    return Server(
        version=version,
        version_number=int(version.partition(".")[0]) * 10000 + 4,
        standby=standby,
        database=database,
        user=user,
        superuser=False,
        memberships=frozenset({"pg_read_all_settings"}),
        roles=frozenset({"pg_monitor", "pg_read_all_stats"}),
        extensions={"plpgsql": Extension("plpgsql", "1.0", "pg_catalog")},
        available=frozenset({"pg_stat_statements"}),
        settings={"track_io_timing": "off"},
        shapes={},
        windows={"pg_stat_database": RESET_STAMP},
        started_at=datetime(2026, 1, 1, 4, 42, 45, tzinfo=UTC),
        now=NOW,
    )


def with_findings(
    check: Check, findings: Sequence[Finding], *, database: str = "shop", truncated: bool = False
) -> Result:
    return Result(
        check, Status.FAILED, database, tuple(findings), seconds=0.0421, truncated=truncated
    )


def alone(*findings: Finding, check: Check) -> Report:
    """Make a report of one target with the findings of one check."""
    results = (with_findings(check, findings),) if findings else ()
    target = TargetReport("shop@db1:5432", make_server(), results)
    return Report("1.0.0", NOW, 1.25, Severity.WARNING, (target,))


def everything() -> Report:
    """Make the report that has everything."""
    unused, duplicate, invalid = map(
        make_check, ("unused-index", "duplicate-index", "invalid-index")
    )
    statement = make_check("statement-slow", "queries")
    hostile = [
        make_finding(unused, name, list(Severity)[number % 3], size=1000**2 * (number + 1))
        for number, name in enumerate(HOSTILE)
    ]
    many = [
        make_finding(duplicate, f"orders_{number}_idx", Severity.INFO, measure=None, window=None)
        for number in range(12)
    ]
    broken = make_finding(
        invalid, "Orders by note", Severity.CRITICAL, measure="age", detail="was left half built"
    )
    shop = (
        with_findings(unused, hostile),
        with_findings(duplicate, many, truncated=True),
        with_findings(invalid, [broken]),
        Result(statement, Status.PASSED, "shop", seconds=0.002),
        *(
            Result(make_check(f"skip-{reason.kind}"), Status.SKIPPED, "shop", reason=reason)
            for reason in REASONS
        ),
        *(
            Result(
                make_check(f"errored-{reason.kind}"),
                Status.ERRORED,
                "shop",
                reason=reason,
                seconds=1.5,
            )
            for reason in ERRORS
        ),
    )
    shop_server, standby = make_server(), make_server(database="[red]shop", standby=True)
    targets = (
        TargetReport("shop@db1.example.org:5432", shop_server, shop),
        TargetReport(
            "[red]shop@/run/postgresql",
            standby,
            (
                with_findings(
                    statement,
                    [make_finding(statement, "orders", measure="share")],
                    database="[red]shop",
                ),
                Result(unused, Status.PASSED, "[red]shop", seconds=0.01),
            ),
        ),
        TargetReport(
            "gone@db2:5432",
            None,
            failure=Failure(
                "gone@db2:5432 cannot be reached.",
                server=f"connection to server failed: {ESCAPE}[2JConnection refused",
                hint="is the server running on that host?",
            ),
        ),
    )
    return Report("1.0.0", NOW, 12.3456, Severity.WARNING, targets, strict=True, interrupted=True)
