"""`pgaudit advise`: index advice for one database, printed and never carried out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgaudit.advise import run
from pgaudit.advise.choose import Limits
from pgaudit.advise.model import Advised
from pgaudit.commands import console, output, target
from pgaudit.commands.options import Connecting, Showing
from pgaudit.errors import Exit, QueryError, TargetError, UsageError
from pgaudit.model import Server
from pgaudit.postgres import scratch, shape
from pgaudit.postgres.planner import Planner
from pgaudit.postgres.session import Session
from pgaudit.render import advice

STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Advising:
    """What `pgaudit advise` was told; `file` holds statements (`-` is stdin), `share` is 0 to 1."""

    connecting: Connecting
    showing: Showing
    file: Path | None = None
    share: float = 0.01
    per_table: int = 3


def advise(options: Advising, environ: Mapping[str, str]) -> Exit:
    """Print the advice; 0 where it could be given, whatever it is, 3 where no statement could be read.

    Raises UsageError, TargetError.
    """
    name = options.showing.format or "table"
    if name not in advice.FORMATS:
        known = ", ".join(advice.FORMATS)
        raise UsageError(f"'{name}' is no format of advise.", hint=f"known are {known}")
    texts = _texts(options.file) if options.file else None
    (one,) = target.resolve(options.connecting, environ)
    showing = options.showing
    shown = console.watched(environ, quiet=showing.quiet)
    with console.Progress(shown=shown) as progress:
        progress.say(f"connecting to {one.label}")
        with target.connect(one, options.connecting) as session:
            server = target.described(session, options.connecting)
            progress.say("asking the planner")
            advised = _advised(session, server, texts, options)
            place = session.place
    style = console.style(
        sys.stdout, environ, color=showing.color, verbose=showing.verbose, quiet=showing.quiet
    )
    output.emit(advice.FORMATS[name](place, advised, style))
    return Exit.INCOMPLETE if advised.unread else Exit.CLEAN


def _advised(
    session: Session, server: Server, texts: list[str] | None, options: Advising
) -> Advised:
    limits = Limits(options.share, options.per_table)
    asked = Planner(session, server, options.connecting.timeout)
    try:
        if texts is not None:
            return run.from_texts(asked, texts, limits=limits)
        if not server.shapes.get(shape.STATEMENTS):
            raise TargetError(
                "pg_stat_statements cannot be read in this database.",
                hint="name a file of statements with --statements, or install the extension",
            )
        return run.from_statistics(asked, limits=limits)
    except QueryError as error:
        raise TargetError(
            f"{session.place} could not be asked for advice.", server=error.message
        ) from None


def _texts(path: Path) -> list[str]:
    name = "standard input" if path == STDIN else str(path)
    try:
        read = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
        texts = scratch.statements(read.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"Cannot read {name}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"Cannot read {name}: it is not UTF-8.") from None
    if not texts:
        raise UsageError(
            f"There is no statement in {name}.", hint="SQL statements, each ended by a semicolon"
        )
    return texts
