"""The command line: options into values, one command called, its exit code returned."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pgaudit import __version__
from pgaudit.commands import console, guard
from pgaudit.commands.options import (
    DEMO_SECONDS,
    NEWEST_MAJOR,
    Choosing,
    Connecting,
    Options,
    Showing,
)
from pgaudit.errors import Exit, UsageError
from pgaudit.model import Severity
from pgaudit.units import read_duration, read_percent

CONTEXT = {"help_option_names": ["--help", "-?"]}
CONNECTION, CHOICE, GATE, OUTPUT = "Connection", "What to check", "What counts", "Output"

SHORT_HELP = """\
pgaudit audits a PostgreSQL server: it reads, judges and explains, and changes nothing.

  pgaudit check                     audit what psql would connect to
  pgaudit check service=shop        or any URI, libpq string or database name
  pgaudit demo                      audit an unwell throwaway server

pgaudit --help shows every command, pgaudit check --help every option.
"""

EPILOG = (
    "Exit codes: 0 complete and nothing at or above --fail-on, 1 complete with findings, "
    "2 wrong options or check files, 3 incomplete (a target or a check could not be audited), "
    "4 a bug in pgaudit, 130 interrupted, 141 the reader of a pipe went away."
)


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class FailOn(StrEnum):
    """From which severity on a complete audit fails."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    NEVER = "never"


app = typer.Typer(
    name="pgaudit",
    help="Audit a PostgreSQL server. It reads, judges and explains; it changes nothing.",
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
)


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    # A throwaway server is stopped by the `finally` of whoever started it, so a polite kill has to
    # arrive there as an exception.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    try:
        app()
    except OSError as error:  # of --help, which no command of ours prints
        raise SystemExit(guard.unwritten(error)) from None
    raise SystemExit(Exit.CLEAN)


def _terminated(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _end(command: Callable[[], Exit]) -> NoReturn:
    raise typer.Exit(guard.guard(command))


def _words(values: Iterable[str] | None) -> tuple[str, ...]:
    """Split a list option that takes commas and repeats."""
    return tuple(
        word.strip() for value in values or () for word in value.split(",") if word.strip()
    )


def _check_ids(incomplete: str) -> list[str]:
    from pgaudit.catalog import find

    return sorted(s.stem for s in find.sources() if s.stem.startswith(incomplete))


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Audit a PostgreSQL server. It reads, judges and explains; it changes nothing."""
    if version:
        sys.stdout.write(f"pgaudit {__version__}\n")
        raise typer.Exit(Exit.CLEAN)
    if context.invoked_subcommand is None:
        sys.stdout.write(SHORT_HELP)
        raise typer.Exit(Exit.CLEAN)


@app.command(epilog=EPILOG)
def check(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            help="URI, libpq string or database name; by default PGAUDIT_TARGET, DATABASE_URL, PG*.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", "-h", help="Server or socket folder.", rich_help_panel=CONNECTION),
    ] = None,
    port: Annotated[
        str | None, typer.Option("--port", "-p", help="Port.", rich_help_panel=CONNECTION)
    ] = None,
    username: Annotated[
        str | None, typer.Option("--username", "-U", help="Role.", rich_help_panel=CONNECTION)
    ] = None,
    dbname: Annotated[
        str | None, typer.Option("--dbname", "-d", help="Database.", rich_help_panel=CONNECTION)
    ] = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", "-w", help="Never ask.", rich_help_panel=CONNECTION)
    ] = False,
    all_databases: Annotated[
        bool,
        typer.Option(
            "--all-databases",
            help="Audit every database that accepts connections.",
            rich_help_panel=CONNECTION,
        ),
    ] = False,
    database: Annotated[
        list[str] | None,
        typer.Option(
            "--database",
            metavar="GLOB",
            help="Audit the databases whose name matches.",
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    timeout: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="Longest a check's question may run.",
            rich_help_panel=CONNECTION,
        ),
    ] = "10 s",
    select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="Only these: id, category, tag:word, glob, stable, preview, all.",
            rich_help_panel=CHOICE,
            autocompletion=_check_ids,
        ),
    ] = None,
    extend_select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD", help="These as well.", rich_help_panel=CHOICE, autocompletion=_check_ids
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD", help="Not these.", rich_help_panel=CHOICE, autocompletion=_check_ids
        ),
    ] = None,
    checks: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="A folder of your own check files.", rich_help_panel=CHOICE
        ),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Preview checks too.", rich_help_panel=CHOICE)
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="CHECK.PARAMETER=VALUE",
            help="Change a parameter for this run.",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Judge what the counters count from now on, for this long.",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            metavar="REPORT",
            help="Judge what was counted since a JSON report made --with-samples.",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    fail_on: Annotated[
        FailOn,
        typer.Option(
            help="The severity that makes the exit code 1.",
            rich_help_panel=GATE,
            envvar="PGAUDIT_FAIL_ON",
        ),
    ] = FailOn.WARNING,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="A check without its privilege is incomplete.", rich_help_panel=GATE
        ),
    ] = False,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="table, plain or json; table on a terminal, plain in a pipe.",
            rich_help_panel=OUTPUT,
            envvar="PGAUDIT_FORMAT",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also write .json or .txt; repeatable; json=FILE states it.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    color: Annotated[
        Color, typer.Option(help="When to colour.", rich_help_panel=OUTPUT)
    ] = Color.AUTO,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="Same as --color never.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Annotated[
        int,
        typer.Option(
            "--quiet", "-q", count=True, help="Findings only; -qq nothing.", rich_help_panel=OUTPUT
        ),
    ] = 0,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            help="Timings, reasons, every row; -vv the SQL.",
            rich_help_panel=OUTPUT,
        ),
    ] = 0,
    with_samples: Annotated[
        bool,
        typer.Option(
            "--with-samples",
            help="Keep the counters in the JSON report, for a later --since.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would run, what not, and why.", rich_help_panel=OUTPUT
        ),
    ] = False,
) -> None:
    """Audit each target and print the report.

    Connects as psql would and only reads: each check is one question in a read-only transaction of its
    own, with a statement timeout (--timeout) and a lock timeout of 1 s.

    Examples: [bold]pgaudit check[/bold] · [bold]pgaudit check service=shop --select indexes -f json[/bold]
    """
    from pgaudit.commands import check as command

    def run() -> Exit:
        options = Options(
            Connecting(
                targets=tuple(targets or ()),
                host=host,
                port=port,
                user=username,
                database=dbname,
                no_password=no_password,
                all_databases=all_databases,
                globs=tuple(database or ()),
                timeout=_duration("--timeout", timeout),
            ),
            Choosing(
                _words(select), _words(extend_select), _words(ignore), tuple(checks or ()),
                preview, tuple(set_ or ()),
            ),
            _showing(format_, out, color, no_color, quiet, verbose),
            None if fail_on is FailOn.NEVER else Severity[fail_on.upper()],
            strict,
            dry_run,
            _duration("--window", window) if window is not None else None,
            since,
            with_samples,
        )  # fmt: skip
        return command.check(options, console.environment())

    _end(run)


@app.command("list")
def list_checks(
    select: Annotated[list[str] | None, typer.Option(metavar="WORD", help="Only these.")] = None,
    extend_select: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="These as well.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="WORD", help="Not these.")] = None,
    checks: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Your own check files.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", "-f", help="table, plain or json.")
    ] = None,
    origin: Annotated[bool, typer.Option("--origin", help="Where each comes from.")] = False,
) -> None:
    """List the checks with severity, category and status."""
    from pgaudit.commands import list as command

    choosing = Choosing(_words(select), _words(extend_select), _words(ignore), tuple(checks or ()))
    _end(
        lambda: command.list_checks(choosing, format_, origin=origin, environ=console.environment())
    )


@app.command()
def explain(
    names: Annotated[list[str], typer.Argument(metavar="CHECK", autocompletion=_check_ids)],
    sql: Annotated[bool, typer.Option("--sql", help="Print the query, ready for psql.")] = False,
    server_version: Annotated[
        int, typer.Option(metavar="MAJOR", help="The major that --sql is for.")
    ] = NEWEST_MAJOR,
    checks: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Your own check files.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="CHECK.PARAMETER=VALUE", help="Change a parameter."),
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", "-f", help="text, markdown or json.")
    ] = None,
) -> None:
    """Tell everything about checks: why, evidence, when it is fine, parameters, remedy, references."""
    from pgaudit.commands import explain as command

    _end(
        lambda: command.explain(
            names, folders=tuple(checks or ()), settings=tuple(set_ or ()), sql=sql, major=server_version,
            format_name=format_, environ=console.environment(),
        )
    )  # fmt: skip


@app.command(epilog=EPILOG)
def advise(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET", help="URI, libpq string or database name.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", "-h", help="Server or socket folder.")
    ] = None,
    port: Annotated[str | None, typer.Option("--port", "-p", help="Port.")] = None,
    username: Annotated[str | None, typer.Option("--username", "-U", help="Role.")] = None,
    dbname: Annotated[str | None, typer.Option("--dbname", "-d", help="Database.")] = None,
    no_password: Annotated[bool, typer.Option("--no-password", "-w", help="Never ask.")] = False,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="Longest one question may run.")
    ] = "10 s",
    statements: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Advise for the SQL in a file (- is standard input), not pg_stat_statements.",
        ),
    ] = None,
    min_share: Annotated[
        str, typer.Option(metavar="PERCENT", help="What an index must save of the whole.")
    ] = "1 %",
    per_table: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="Indexes advised for one table at most.")
    ] = 3,
    format_: Annotated[str, typer.Option("--format", "-f", help="table, json or sql.")] = "table",
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="All of it.")] = 0,
    quiet: Annotated[int, typer.Option("--quiet", "-q", count=True, help="No progress.")] = 0,
) -> None:
    """Advise indexes for the most expensive statements, confirmed by the planner where HypoPG is there.

    Plans are asked for and no statement is run. Nothing is ever created: --format sql prints a script.
    """
    from pgaudit.commands import advise as command

    def run() -> Exit:
        connecting = Connecting(
            targets=(target,) if target else (),
            host=host,
            port=port,
            user=username,
            database=dbname,
            no_password=no_password,
            timeout=_duration("--timeout", timeout),
        )
        showing = Showing(format_, verbose=verbose, quiet=quiet)
        share = _percent("--min-share", min_share) / 100
        options = command.Advising(connecting, showing, statements, share, per_table)
        return command.advise(options, console.environment())

    _end(run)


@app.command()
def test(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Files or folders.")
    ] = None,
    no_server: Annotated[
        bool, typer.Option("--no-server", help="Only what needs no server: the format, and rows.")
    ] = False,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Every proof.")] = 0,
) -> None:
    """Run the proofs inside check files on a throwaway server."""
    from pgaudit.commands import test as command

    _end(
        lambda: command.test(
            paths or (), no_server=no_server, verbose=verbose, environ=console.isolated()
        )
    )


@app.command()
def demo(
    seconds: Annotated[
        float, typer.Option(help="How long the workload runs.", min=1.0, max=600.0)
    ] = DEMO_SECONDS,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running.")] = False,
    format_: Annotated[
        str | None, typer.Option("--format", "-f", help="table, plain or json.")
    ] = None,
    out: Annotated[
        list[str] | None, typer.Option("--output", "-o", metavar="FILE", help="Also write.")
    ] = None,
    color: Annotated[Color, typer.Option(help="When to colour.")] = Color.AUTO,
    no_color: Annotated[bool, typer.Option("--no-color", help="Same as --color never.")] = False,
    quiet: Annotated[int, typer.Option("--quiet", "-q", count=True, help="Findings only.")] = 0,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Every row.")] = 0,
) -> None:
    """Audit an unwell PostgreSQL that is started for it and removed afterwards."""
    from pgaudit.commands import demo as command

    def run() -> Exit:
        showing = _showing(format_, out, color, no_color, quiet, verbose)
        return command.demo(showing, seconds=seconds, keep=keep, environ=console.isolated())

    _end(run)


@app.command()
def schema(name: Annotated[str, typer.Argument(metavar="check|report")]) -> None:
    """Print the JSON Schema of check files or of JSON reports."""
    from pgaudit.commands import schema as command

    _end(lambda: command.schema(name))


@app.command()
def version(
    format_: Annotated[str, typer.Option("--format", "-f", help="text or json.")] = "text",
) -> None:
    """Print the versions of pgaudit and of what it stands on."""
    from pgaudit.commands import version as command

    _end(lambda: command.version(format_))


def _showing(
    format_name: str | None,
    files: list[str] | None,
    color: Color,
    no_color: bool,
    quiet: int,
    verbose: int,
) -> Showing:
    chosen = "never" if no_color else color.value
    return Showing(format_name, tuple(files or ()), chosen, quiet, verbose)


def _percent(option: str, text: str) -> float:
    try:
        return read_percent(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}.") from None


def _duration(option: str, text: str) -> float:
    try:
        return read_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}.") from None
