"""Reports as people and programs get them: golden files, and what must hold for any report."""

from __future__ import annotations

import dataclasses
import functools
import json as standard
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from pgaudit import plan, quote, render
from pgaudit.errors import UsageError
from pgaudit.evidence import Sample, SampledRow, SampledView, Window
from pgaudit.model import (
    Check,
    Failure,
    Finding,
    Measure,
    NamedObject,
    Reason,
    Remedy,
    Report,
    Requirements,
    Result,
    Severity,
    Status,
    TargetReport,
)
from pgaudit.plan import PlannedTarget
from pgaudit.render import json, plain, table, text
from pgaudit.render import plan as plan_text
from pgaudit.render.fold import fold
from pgaudit.render.style import Style
from pgaudit.units import KINDS, Value

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = Path(json.__file__).with_name("report.schema.json")
EVERYTHING = sample.everything()
WIDTHS = (40, 60, 69, 70, 80, 100, 120, 200)


def planned() -> list[PlannedTarget]:
    """Make a plan with a privilege and an extension missing, and a target that is not there."""
    named = {
        name: sample.make_check(name)
        for name in ("unused-index", "statement-slow", "long-query", "settings", "newer")
    }
    needs = {"settings": "pg_monitor", "long-query": "pg_read_all_stats"}
    for name, role in needs.items():
        named[name] = dataclasses.replace(named[name], requirements=Requirements((role,)))
    reasons = {reason.kind: reason for reason in sample.REASONS}
    monitor = Reason(
        "privilege",
        "needs pg_monitor, which auditor lacks",
        cure="GRANT pg_monitor TO auditor;",
        privilege="pg_monitor",
    )
    shop: tuple[tuple[Check, Reason | None], ...] = (
        (named["unused-index"], None),
        (named["statement-slow"], reasons["extension"]),
        (named["long-query"], reasons["privilege"]),
        (named["settings"], monitor),
        (named["newer"], reasons["version"]),
    )
    return [
        PlannedTarget("shop@db1:5432", sample.make_server(), shop),
        PlannedTarget(f"{sample.ESCAPE}[2J@db2", None, (), Failure("It cannot be reached.")),
    ]


GOLDENS: dict[str, Callable[[], str]] = {
    **{
        f"table-{width}.txt": functools.partial(table.render, EVERYTHING, Style(width=width))
        for width in (40, 80, 120)
    },
    "table-color.txt": lambda: table.render(EVERYTHING, Style(color=True)),
    "table-ascii.txt": lambda: table.render(EVERYTHING, Style(ascii_only=True)),
    "table-verbose.txt": lambda: table.render(EVERYTHING, Style(verbose=1)),
    "table-quiet.txt": lambda: table.render(EVERYTHING, Style(quiet=1)),
    "plain.txt": lambda: plain.render(EVERYTHING, Style()),
    "plain-quiet.txt": lambda: plain.render(EVERYTHING, Style(quiet=1)),
    "report.json": lambda: json.write(EVERYTHING, Style(indent=True)),
    "plan.txt": lambda: plan_text.render(planned(), Style()),
    "plan.json": lambda: plan_text.write_json(planned(), Style(indent=True)),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_golden(name: str, request: pytest.FixtureRequest) -> None:
    said = GOLDENS[name]()
    file = GOLDEN / name
    if request.config.getoption("--update-golden"):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(said.encode())
    assert said == file.read_bytes().decode(), f"look at it, then pytest --update-golden {__file__}"


def test_no_golden_file_is_left_over() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == GOLDENS.keys()


# --- table


def squeezed(said: str) -> str:
    """Remove what folding may add or swallow."""
    return re.sub(r"\s", "", said)


def unprintable(said: str) -> set[str]:
    return {c for c in said if c != "\n" and not c.isprintable()}


def statements(report: Report, style: Style) -> set[str]:
    """Return the lines of SQL in a table, which may be too wide: not everything can be folded."""
    remedies = (f.remedy.sql or "" for f in report.findings)
    cures = (r.reason.cure or "" for t in report.targets for r in t.results if r.reason)
    lines = [line for sql in remedies for line in sql.splitlines()] + list(cures)
    return {
        f"    {part}".rstrip()
        for line in lines
        for part in fold(style.words(line), style.width - 4)
    }


def too_wide(said: str, style: Style, report: Report) -> list[str]:
    allowed = statements(report, style)
    return [x for x in said.split("\n") if cell_len(x) > style.width and x not in allowed]


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("width", WIDTHS)
def test_table_is_printable_and_fits(width: int, verbose: int) -> None:
    style = Style(width=width, verbose=verbose)
    said = table.render(EVERYTHING, style)
    assert unprintable(said) == set()
    assert too_wide(said, style, EVERYTHING) == []
    assert said.endswith("\n")
    assert not said.endswith("\n\n")


@pytest.mark.parametrize("width", WIDTHS)
def test_ascii_table_is_ascii_and_fits(width: int) -> None:
    style = Style(width=width, verbose=1, ascii_only=True)
    said = table.render(EVERYTHING, style)
    assert said.isascii()
    assert too_wide(said, style, EVERYTHING) == []


def test_colored_table_says_the_same() -> None:
    colored = table.render(EVERYTHING, Style(color=True))
    assert "\x1b[" in colored
    bare = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert [line.rstrip() for line in bare.split("\n")] == table.render(EVERYTHING, Style()).split(
        "\n"
    )


def names_alone(finding: Finding) -> Finding:
    """Leave nothing beside the name that folding could put between its parts."""
    return dataclasses.replace(finding, detail="", measure=None)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", sample.HOSTILE, ids=ascii)
def test_table_never_cuts_a_name(name: str, width: int) -> None:
    check = sample.make_check("unused-index")
    findings = [
        names_alone(sample.make_finding(check, n, severity))
        for n in (name, "orders")
        for severity in (Severity.INFO, Severity.CRITICAL)
    ]
    findings = [
        dataclasses.replace(f, remedy=Remedy("Drop it."), object=f.object) for f in findings
    ]
    said = table.render(sample.alone(*findings, check=check), Style(width=width))
    listed = said.partition("unused-index")[2].partition("→")[0]
    shown = squeezed(text.safe(findings[0].object.display))
    assert squeezed(listed).count(shown) == 2


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=63))
@settings(max_examples=60, deadline=None)
def test_table_shows_any_name(name: str) -> None:
    check = sample.make_check("unused-index")
    finding = names_alone(sample.make_finding(check, name))
    for width in (40, 80):
        report, style = sample.alone(finding, check=check), Style(width=width)
        said = table.render(report, style)
        assert unprintable(said) == set()
        assert too_wide(said, style, report) == []
        listed = said.partition("1 finding")[2].partition("→")[0]
        shown = text.safe(finding.object.display)
        assert squeezed(shown) in squeezed(listed) or "→" in shown


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_table_keeps_names_whole(width: int) -> None:
    said = table.render(EVERYTHING, Style(width=width, verbose=1))
    for finding in EVERYTHING.findings:
        assert text.safe(finding.object.display) in said


@pytest.mark.parametrize("width", WIDTHS)
def test_table_never_folds_inside_a_quoted_name(width: int) -> None:
    check = sample.make_check("unused-index")
    name = "an index whose old name has words and words and words"
    finding = sample.make_finding(check, name)
    cure = Reason(
        "privilege", "needs it", cure='GRANT pg_monitor TO "a role whose name has words";'
    )
    skipped = Result(check, Status.SKIPPED, "shop", reason=cure)
    report = sample.alone(finding, check=check)
    (target,) = report.targets
    target = dataclasses.replace(target, results=(*target.results, skipped))
    report = dataclasses.replace(report, targets=(target,))
    said = table.render(report, Style(width=width))
    assert f'"public"."{name}";\n' in said
    assert '"a role whose name has words";\n' in said


QUOTED = st.text("ab \"'", max_size=12)
PIECES = st.one_of(
    st.sampled_from(["DROP", "INDEX", "=>", "(1.0)", ";", ",", "."]),
    QUOTED.map(quote.identifier),
    QUOTED.map(quote.literal),
)


@given(pieces=st.lists(PIECES, max_size=12), width=st.integers(1, 40))
def test_folded_sql_means_the_same(pieces: list[str], width: int) -> None:
    lines = fold(" ".join(pieces), width)
    rest = list(pieces)
    for line in lines:
        taken: list[str] = []
        while rest and (not taken or " ".join(taken) != line):
            taken.append(rest.pop(0))
        assert " ".join(taken) == line, "only whole words and quoted names go into a line"
        assert cell_len(line) <= width or len(taken) == 1
    assert rest == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; -- a comment that would go on",
        "DO $do$ BEGIN a b c; END $do$;",
        "SELECT E'it\\'s a b c d e';",
        "SELECT 'never closed a b c",
        "SELECT /* a b c */ 1;",
    ],
)
def test_sql_that_needs_a_parser_is_not_folded(sql: str) -> None:
    assert fold(sql, 10) == [sql]


def test_table_says_when_windows_differ() -> None:
    check = sample.make_check("unused-index")
    own = [Window(datetime(2025, month, 1, tzinfo=UTC), "entry's own stamp") for month in (11, 3)]
    findings = [sample.make_finding(check, f"i{n}", window=w) for n, w in enumerate(own)]
    said = table.render(sample.alone(*findings, check=check), Style(width=120))
    assert (
        "evidence: counted since 2025-03-01 00:00 UTC at the earliest, "
        "2025-11-01 00:00 UTC at the latest (entry's own stamp)" in said
    )
    assert text.covered(findings[:1]) == "since 2025-11-01 00:00 UTC (entry's own stamp)"
    assert text.covered([dataclasses.replace(findings[0], window=None)]) == ""


def test_header_splits_a_database_called_like_an_address() -> None:
    check = sample.make_check("unused-index")
    target = TargetReport("a@b@db1:5432", sample.make_server(database="a@b"))
    report = dataclasses.replace(sample.alone(check=check), targets=(target,))
    assert table.render(report, Style(width=120)).startswith("a@b on db1:5432 · ")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_table_lists_ten_of_a_check_unless_verbose(width: int) -> None:
    short, verbose = (
        table.render(EVERYTHING, Style(width=width, verbose=level)) for level in (0, 1)
    )
    assert len(re.findall(r"^ +public\.orders_\d+_idx\b", short, re.M)) == 10
    assert len(re.findall(r"^ +public\.orders_\d+_idx\b", verbose, re.M)) == 12
    assert "and 2 more (--verbose)" in short
    assert "more (--verbose)" not in verbose
    assert "fine if: a job uses it once a year" in squeezed_lines(verbose)
    assert "fine if" not in short


def squeezed_lines(said: str) -> str:
    return re.sub(r"\s+", " ", said)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_table_says_every_reason_and_failure(width: int) -> None:
    said = squeezed(table.render(EVERYTHING, Style(width=width, verbose=1)))
    failure = EVERYTHING.targets[2].failure
    assert failure is not None
    for part in (failure.message, failure.server, failure.hint):
        assert squeezed(text.safe(part or "?")) in said
    wide = table.render(EVERYTHING, Style(width=400))
    for reason in (*sample.REASONS, *sample.ERRORS):
        assert text.safe(reason.text) in wide
        assert (reason.cure or "") in wide
        assert (reason.where or "") in wide


def numbers(line: str) -> tuple[int, dict[str, int]]:
    """Read '3 findings: 1 critical, 2 info' → its total and its parts."""
    found = re.match(r"([\d,]+) \w+: (.*)", line)
    assert found, line
    parts = re.findall(r"([\d,]+) ([a-z ]+)", found[2].partition("   ")[0])
    return int(found[1].replace(",", "")), {w: int(n.replace(",", "")) for n, w in parts}


def test_totals_add_up() -> None:
    last = table.render(EVERYTHING, Style(width=120)).splitlines()[-5:]
    findings = next(line for line in last if re.match(r"[\d,]+ findings:", line))
    checks = next(line for line in last if re.match(r"[\d,]+ checks:", line))
    total, parts = numbers(findings)
    counted = {s.word: sum(f.severity is s for f in EVERYTHING.findings) for s in Severity}
    assert parts == counted
    assert total == sum(counted.values()) == len(sample.HOSTILE) + 12 + 1 + 1
    total, parts = numbers(checks)
    statuses = EVERYTHING.count(Status)
    assert parts == {
        "passed": statuses[Status.PASSED],
        "with findings": statuses[Status.FAILED],
        "not run": statuses[Status.SKIPPED],
        "failed to run": statuses[Status.ERRORED],
    }
    assert total == sum(statuses.values()) == sum(len(t.results) for t in EVERYTHING.targets)


def test_verdicts() -> None:
    check = sample.make_check("unused-index")
    finding = sample.make_finding(check, "orders", Severity.INFO)
    clean = dataclasses.replace(sample.alone(check=check), targets=())
    said = {
        "incomplete": table.render(EVERYTHING, Style()),
        "below": table.render(sample.alone(finding, check=check), Style()),
        "gated": table.render(
            sample.alone(dataclasses.replace(finding, severity=Severity.CRITICAL), check=check),
            Style(),
        ),
        "never": table.render(
            dataclasses.replace(sample.alone(finding, check=check), fail_on=None), Style()
        ),
        "clean": table.render(clean, Style()),
    }
    assert "Interrupted: this is what was known by then." in said["incomplete"]
    assert said["incomplete"].endswith("Incomplete: not everything could be looked at.\n")
    assert "Nothing at or above" not in said["incomplete"]
    assert said["below"].endswith("Nothing at or above warning.\n")
    assert "Nothing at or above" not in said["gated"]
    assert "Incomplete" not in said["gated"]
    assert said["never"].endswith("No gate was set.\n")
    assert said["clean"].startswith("No findings\n")


@pytest.mark.parametrize("name", ["table", "plain"])
def test_twice_quiet_is_silent(name: str) -> None:
    assert render.FORMATS[name]()(EVERYTHING, Style(quiet=2)) == ""
    assert render.FORMATS[name]()(EVERYTHING, Style(quiet=1)) != ""


# --- plain


def test_plain_lines_have_the_documented_fields() -> None:
    documented = re.search(r"Fields: ([a-z, ]+)\.", plain.__doc__ or "")
    assert documented
    width = len(documented[1].split(", "))
    assert width == 7
    said = plain.render(EVERYTHING, Style())
    assert unprintable(said) == {"\t"}
    for line in said.splitlines():
        got = line.split("\t")
        assert 5 <= len(got) <= width, line  # empty fields at the end of a line are left out
        assert got[0] and got[-1], line


def test_plain_first_words_are_documented() -> None:
    known = {s.word for s in Severity}
    for line in plain.render(EVERYTHING, Style()).splitlines():
        word = line.split("\t")[0]
        assert word in known or f"`{word}`" in (plain.__doc__ or ""), word


def fields(said: str) -> list[list[str]]:
    return [(line.split("\t") + [""] * 7)[:7] for line in said.splitlines()]


def test_plain_says_everything() -> None:
    rows = fields(plain.render(EVERYTHING, Style()))
    listed = [row for row in rows if row[0] in {s.word for s in Severity}]
    assert len(listed) == len(EVERYTHING.findings)
    for finding in EVERYTHING.findings:
        window = "2025-09-01T00:00:00Z (reset stamp)" if finding.window else ""
        found = [
            row
            for row in listed
            if row[:3] == [finding.severity.word, finding.check, text.safe(finding.object.display)]
        ]
        assert len(found) == 1
        assert found[0][3:5] == [text.measured(finding), finding.detail]
        assert found[0][6] == window
    skipped = [row for row in rows if row[0] == "skipped"]
    errored = [row for row in rows if row[0] == "errored"]
    assert {row[1] for row in skipped} == {f"skip-{r.kind}" for r in sample.REASONS}
    assert {row[1] for row in errored} == {f"errored-{r.kind}" for r in sample.ERRORS}
    assert [row[2] for row in rows if row[0] == "unreachable"] == ["gone@db2:5432"]


def test_plain_names_the_database() -> None:
    rows = fields(plain.render(EVERYTHING, Style()))
    assert {row[5] for row in rows if row[0] != "unreachable"} == {"shop", "[red]shop"}


def test_quiet_plain_leaves_out_what_was_not_run() -> None:
    words = {row[0] for row in fields(plain.render(EVERYTHING, Style(quiet=1)))}
    assert words == {"critical", "warning", "info", "truncated", "unreachable"}


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=63))
@settings(max_examples=60, deadline=None)
def test_plain_holds_any_name_on_one_line(name: str) -> None:
    check = sample.make_check("unused-index")
    said = plain.render(sample.alone(sample.make_finding(check, name), check=check), Style())
    assert said.count("\n") == 1
    assert said.count("\t") == 6
    assert unprintable(said) == {"\t"}


# --- json


def valid(document: object) -> None:
    schema = standard.loads(SCHEMA.read_text())
    validator = jsonschema.Draft202012Validator(schema)
    faults = [f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(document)]
    assert faults == []


def test_schema_is_a_schema_and_refuses() -> None:
    schema = standard.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.document(EVERYTHING)
    document["targets"][0]["results"][0]["status"] = "fine"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize("style", [Style(), Style(indent=True), Style(ascii_only=True)])
def test_json_is_valid(style: Style) -> None:
    said = json.write(EVERYTHING, style)
    valid(standard.loads(said))
    assert standard.loads(said) == json.document(EVERYTHING)
    assert ("\n" in said) is style.indent
    assert said.isascii() is style.ascii_only


def test_json_counts_add_up() -> None:
    document = json.document(EVERYTHING)
    results = [r for t in document["targets"] for r in t["results"]]
    assert sum(document["summary"]["checks"].values()) == len(results)
    assert sum(document["summary"]["findings"].values()) == sum(len(r["findings"]) for r in results)
    assert {r["check"] for r in results} == document["checks"].keys()
    assert document["summary"]["worst"] == "critical"
    assert document["summary"]["complete"] is False


def essence(report: Report) -> object:
    """Return what a report read back must have kept."""
    return [
        (
            target.label,
            target.failure,
            [
                (r.check.id, r.status, r.database, r.findings, r.reason, r.truncated)
                for r in target.results
            ],
        )
        for target in report.targets
    ]


def test_json_reads_back() -> None:
    again = json.read(json.write(EVERYTHING, Style()))
    assert essence(again) == essence(EVERYTHING)
    assert json.write(again, Style()) == json.write(EVERYTHING, Style())
    assert again.findings == EVERYTHING.findings
    assert [f.fingerprint for f in again.findings] == [f.fingerprint for f in EVERYTHING.findings]
    for name in ("table", "plain"):
        renderer = render.FORMATS[name]()
        assert renderer(again, Style()) == renderer(EVERYTHING, Style())


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe = st.none() | anything
moments = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))
VALUES: dict[str, st.SearchStrategy[Value]] = {
    "size": st.integers(0, 2**62),
    "duration": st.floats(0, 1e9),
    "percent": st.floats(0, 100),
    "count": st.integers(-(2**62), 2**62),
    "timestamp": moments,
    "text": anything,
    "boolean": st.booleans(),
    "sql": anything,
}
windows = st.none() | st.builds(Window, moments, anything)
seconds = st.floats(0, 1e6)


@st.composite
def findings(draw: st.DrawFn, check: Check) -> Finding:
    row = {c: draw(st.none() | VALUES[kind]) for c, kind in check.columns.items()}
    measured = [c for c, kind in check.columns.items() if KINDS[kind].numeric]
    column = draw(st.none() | st.sampled_from(measured)) if measured else None
    name = st.lists(anything, min_size=1, max_size=3).map(tuple)
    return Finding(
        check=check.id,
        severity=draw(st.sampled_from(Severity)),
        object=NamedObject(draw(st.sampled_from(["table", "query"])), draw(name), draw(name)),
        message=draw(anything),
        detail=draw(anything),
        row=row,
        kinds=check.columns,
        remedy=draw(st.builds(Remedy, anything, maybe, maybe, maybe)),
        measure=Measure(column, check.columns[column], row[column]) if column else None,
        window=draw(windows),
    )


KINDS_OF_REASON = [r.kind for r in (*sample.REASONS, *sample.ERRORS)]
reasons = st.builds(Reason, st.sampled_from(KINDS_OF_REASON), anything, maybe, maybe, maybe, maybe)


@st.composite
def results(draw: st.DrawFn, check: Check) -> Result:
    status = draw(st.sampled_from(Status))
    found = draw(st.lists(findings(check), min_size=1, max_size=3)) if status == "failed" else []
    reason = draw(reasons) if status in {"skipped", "errored"} else None
    database, took, truncated = draw(anything), draw(seconds), draw(st.booleans())
    return Result(check, status, database, tuple(found), reason, took, truncated)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    columns = st.dictionaries(anything, st.sampled_from(sorted(KINDS)), max_size=5)
    checks = [
        sample.make_check(f"check-{n}", columns=draw(columns))
        for n in range(draw(st.integers(1, 3)))
    ]
    targets = []
    for _ in range(draw(st.integers(0, 3))):
        reached = draw(st.booleans())
        asked = tuple(draw(results(check)) for check in checks) if reached else ()
        failure = None if reached else draw(st.builds(Failure, anything, maybe, maybe))
        server = sample.make_server(database=draw(anything)) if reached else None
        targets.append(TargetReport(draw(anything), server, asked, failure))
    return Report(
        draw(anything), draw(moments), draw(seconds), draw(st.none() | st.sampled_from(Severity)),
        tuple(targets), draw(st.booleans()), draw(st.booleans()),
    )  # fmt: skip


@given(report=reports())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_report_reads_back(report: Report) -> None:
    written = json.write(report, Style())
    again = json.read(written)
    assert essence(again) == essence(report)
    assert json.write(again, Style()) == written
    valid(standard.loads(written))


@given(report=reports())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_report_can_be_drawn(report: Report) -> None:
    for width in (40, 80):
        style = Style(width=width, verbose=1)
        said = table.render(report, style)
        assert unprintable(said) == set()
        assert too_wide(said, style, report) == []
    assert unprintable(plain.render(report, Style())) <= {"\t"}


RUBBISH = [
    "", "rubbish", "{", "[]", "[1, 2]", "null", "1", '"a report"', "{}", '{"format": "1"}',
    '{"format": 1}', '{"format": true}', '{"format": 0}', "[" * 200_000,
    '{"format": 1, "checks": [], "targets": {}}', "\x00",
]  # fmt: skip


@pytest.mark.parametrize("said", RUBBISH, ids=lambda said: ascii(said)[:20])
def test_json_refuses_rubbish(said: str) -> None:
    with pytest.raises(UsageError) as refused:
        json.read(said)
    assert refused.value.hint


def test_json_refuses_a_newer_format() -> None:
    document = json.document(EVERYTHING) | {"format": 2}
    with pytest.raises(UsageError, match="format 2; this pgaudit reads format 1") as refused:
        json.read(standard.dumps(document))
    assert "newer" in (refused.value.hint or "")


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    return [
        path
        for key in keys
        for path in [(*at, key), *(paths(value[key], (*at, key)) if nested(value[key]) else [])]
    ]


def nested(value: object) -> bool:
    return isinstance(value, dict | list)


SMALL = json.document(
    dataclasses.replace(
        EVERYTHING,
        targets=tuple(
            dataclasses.replace(t, results=t.results[:1] + t.results[4:5])
            for t in EVERYTHING.targets
        ),
    )
)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_report_is_refused_or_read(data: st.DataObject) -> None:
    document = standard.loads(standard.dumps(SMALL))
    *way, last = data.draw(st.sampled_from(paths(document)))
    place = document
    for key in way:
        place = place[key]
    if data.draw(st.booleans()):
        del place[last]
    else:
        place[last] = data.draw(
            st.none() | st.booleans() | st.integers() | anything | st.just([]) | st.just({})
        )
    try:
        again = json.read(standard.dumps(document))
    except UsageError as refused:
        assert refused.hint
    else:  # what was read can be drawn
        for name in render.FORMATS:
            assert isinstance(render.FORMATS[name]()(again, Style(verbose=1)), str)


WRONG: tuple[object, ...] = (
    None, True, 5, -1, 10**400, 1.5, float("nan"), float("inf"), "x", "\ud800", "2025-01-01",
    "0001-01-01T00:00:00+23:59", [], {}, [None], {"x": None},
)  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: ascii(w)[:20])
def test_every_damage_is_refused_or_harmless(wrong: object) -> None:
    """Put one wrong value into each place of a report, one after the other."""
    one = SMALL["targets"][0]["results"][0]
    small = {**SMALL, "checks": {n: c for n, c in SMALL["checks"].items() if n == one["check"]}}
    few = {**one, "findings": one["findings"][:1]}
    shop = {**SMALL["targets"][0], "results": [few]}
    text_of = standard.dumps(small | {"targets": [shop, SMALL["targets"][2]]})
    for *way, last in paths(standard.loads(text_of)):
        document = place = standard.loads(text_of)
        for key in way:
            place = place[key]
        place[last] = wrong
        try:
            again = json.read(standard.dumps(document))
        except UsageError as refused:
            assert refused.hint
            continue
        for name in ("table", "plain", "json"):
            render.FORMATS[name]()(again, Style(verbose=1)).encode()


def test_json_reads_keys_that_format_1_gained_later() -> None:
    document = standard.loads(json.write(EVERYTHING, Style()))
    places = [
        document,
        document["summary"],
        document["targets"][0]["server"],
        document["targets"][2]["failure"],
        document["targets"][0]["results"][0],
        document["targets"][0]["results"][4]["reason"],
        document["targets"][0]["results"][0]["findings"][0],
        document["targets"][0]["results"][0]["findings"][0]["remediation"],
        next(iter(document["checks"].values())),
    ]
    for place in places:
        place["added_in_a_later_minor_version"] = 1
    assert essence(json.read(standard.dumps(document))) == essence(EVERYTHING)


# --- plan


def test_plan_lists_the_smallest_script() -> None:
    said = plan_text.render(planned(), Style())
    assert unprintable(said) == set()
    assert "1 check would run\n  unused-index\n" in said
    assert "4 checks would not\n" in said
    script = [line for line in said.splitlines() if ";" in line]
    assert script == [
        'GRANT pg_monitor TO "auditor";  -- 2 checks: long-query, settings',
        "CREATE EXTENSION pg_stat_statements;  -- 1 check: statement-slow",
    ]
    assert "\\x1b[2J@db2 cannot be reached\n  It cannot be reached.\n" in said
    assert plan_text.render(planned(), Style(ascii_only=True)).isascii()


def test_plan_json() -> None:
    document = standard.loads(plan_text.write_json(planned(), Style()))
    assert [t["label"] for t in document["targets"]] == ["shop@db1:5432", "\x1b[2J@db2"]
    assert [t["failure"] for t in document["targets"]] == [None, "It cannot be reached."]
    checks = document["targets"][0]["checks"]
    assert [c["check"] for c in checks if c["would_run"]] == ["unused-index"]
    assert all((c["reason"] is None) is c["would_run"] for c in checks)
    where = ["shop@db1:5432"]
    assert document["grants"] == [
        {
            "sql": 'GRANT pg_monitor TO "auditor";',
            "checks": ["long-query", "settings"],
            "targets": where,
        }
    ]
    assert document["other"] == [
        {"sql": sample.CURE["extension"], "checks": ["statement-slow"], "targets": where}
    ]


def lacking(label: str, user: str, *roles: str) -> PlannedTarget:
    """Make a target whose checks lack one privilege each."""
    entries = tuple(
        (
            dataclasses.replace(sample.make_check(f"needs-{r}"), requirements=Requirements((r,))),
            Reason("privilege", f"needs {r}", privilege=r),
        )
        for r in roles
    )
    return PlannedTarget(label, sample.make_server(user=user), entries)


@pytest.mark.parametrize(
    ("label", "user", "own"),
    [
        ("blog@db1:5432", "auditor", False),  # roles are shared by the databases of a server
        ("a@b@db1:5432", "auditor", False),
        ("blog@db2:5432", "auditor", True),
        ("blog@db1:5432", "other", True),
    ],
)
def test_grants_to_one_role_do_not_serve_another(label: str, user: str, *, own: bool) -> None:
    first = lacking("shop@db1:5432", "auditor", "pg_monitor")
    second = lacking(label, user, "pg_read_all_stats")
    cures = plan.grants([first, second])
    monitor = next(c for c in cures if "pg_monitor" in c.sql)
    rest = [c for c in cures if c is not monitor]
    if own:
        assert monitor.targets == ("shop@db1:5432",)
        assert [(c.sql, c.targets) for c in rest] == [
            (f'GRANT pg_read_all_stats TO "{user}";', (label,))
        ]
    else:
        assert rest == []
        assert monitor.targets == ("shop@db1:5432", label)
        assert monitor.checks == ("needs-pg_monitor", "needs-pg_read_all_stats")


def test_script_says_where_if_there_are_several_targets() -> None:
    reason = next(r for r in sample.REASONS if r.kind == "extension")
    entries = ((sample.make_check("statement-slow"), reason),)
    labels = [f"shop{n}@db1:5432" for n in range(5)]
    said = plan_text.render(
        [PlannedTarget(label, sample.make_server(), entries) for label in labels], Style()
    )
    assert f"{reason.cure}  -- 1 check: statement-slow, in {', '.join(labels)}\n" in said


def test_plan_that_needs_nothing_has_no_script() -> None:
    check = sample.make_check("unused-index")
    said = plan_text.render(
        [PlannedTarget("shop@db1", sample.make_server(), ((check, None),))], Style()
    )
    assert "--" not in said
    assert "would not" not in said
    assert plan.grants([]) == ()


def test_samples_and_notes_go_round() -> None:
    view = SampledView(
        ("calls", "total", "since"),
        {"1/t": SampledRow((3, 0.5, None)), "": SampledRow((0, 1, "x"))},
    )
    kept = Sample(sample.NOW, None, 5, sample.RESET, {"pg_stat_wal": view})
    targets = [dataclasses.replace(EVERYTHING.targets[0], notes=("it was reset",), sample=kept)]
    report = dataclasses.replace(EVERYTHING, targets=tuple(targets))
    document = json.document(report)
    jsonschema.validate(document, standard.loads(SCHEMA.read_text()))
    again = json.read(json.write(report, Style()))
    assert again.targets[0].notes == ("it was reset",)
    assert again.targets[0].sample == kept


@pytest.mark.parametrize(
    "row",
    [["k", 1, 2], ["k", 1, 2, True], ["k", 1, 2, [3]], ["k", 1, 2, float("nan")], [5, 1, 2, 3], []],
)
def test_damaged_samples_are_refused(row: list[object]) -> None:
    document = json.document(EVERYTHING)
    document["targets"][0]["sample"] = {
        "taken_at": "2026-01-04T00:00:00Z", "system": None, "database": 5,
        "started_at": "2026-01-04T00:00:00Z",
        "views": {"pg_stat_wal": {"columns": ["a", "b", "c"], "rows": [row]}},
    }  # fmt: skip
    with pytest.raises(UsageError, match="damaged"):
        json.read(standard.dumps(document))
