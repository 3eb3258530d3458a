"""A report and the options about output → text on stdout and files, each replaced in one step."""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgaudit import render
from pgaudit.commands import console
from pgaudit.commands.options import Showing
from pgaudit.errors import UsageError
from pgaudit.model import Report

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Destination:
    """One place a report goes to: a format and a path, or "-" for stdout."""

    format: str
    path: str


def destinations(showing: Showing) -> list[Destination]:
    """Decide where a report goes.

    Raises UsageError for an unknown format, two reports on stdout, or a file that could not be
    written in the end: that should be said before a server is asked anything.

    Without --format stdout gets the table on a terminal and `plain` in a pipe.
    """
    files = [_destination(text) for text in showing.files]
    to_stdout = [d for d in files if d.path == STDOUT]
    if len(to_stdout) > 1 or (to_stdout and showing.format is not None):
        raise UsageError(
            "Two reports cannot both go to stdout.", hint="name a file for one of them"
        )
    if not to_stdout:
        default = "table" if sys.stdout.isatty() else "plain"
        files.insert(0, Destination(known_format(showing.format or default), STDOUT))
    for file in files:
        if file.path != STDOUT:
            _refuse_unwritable(Path(file.path))
    return files


def known_format(name: str) -> str:
    """Return the name if it is a format; raises UsageError with suggestions."""
    if name in render.FORMATS:
        return name
    near = difflib.get_close_matches(name, list(render.FORMATS), n=1)
    known = ", ".join(render.FORMATS)
    raise UsageError(
        f"'{name}' is no format.", hint=f"did you mean {near[0]}?" if near else f"known are {known}"
    )


def write(
    report: Report, wanted: Sequence[Destination], showing: Showing, environ: Mapping[str, str]
) -> None:
    """Render the report for each destination. Files appear whole or not at all.

    Raises UsageError if a file cannot be written.
    """
    style = console.style(
        sys.stdout, environ, color=showing.color, verbose=showing.verbose, quiet=showing.quiet
    )
    for destination in wanted:
        if destination.path == STDOUT:
            emit(render.FORMATS[destination.format]()(report, style))
            continue
        always = showing.color == "always"
        file_style = dataclasses.replace(
            style,
            color=always,
            indent=True,
            ascii_only=False,
            width=console.PIPE_WIDTH,
        )
        _replace(Path(destination.path), render.FORMATS[destination.format]()(report, file_style))
        if showing.verbose or console.watched(environ, quiet=showing.quiet):
            print(f"wrote {destination.path}", file=sys.stderr)


def emit(text: str) -> None:
    """Write text to stdout; what its encoding cannot hold is escaped, never an exception."""
    if not text:
        return
    encoding = sys.stdout.encoding or "ascii"
    safe = text.encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(safe if safe.endswith("\n") else safe + "\n")
    sys.stdout.flush()


def _destination(text: str) -> Destination:
    name, equals, path = text.partition("=")
    if equals and name in render.FORMATS:
        return Destination(name, path)
    if text == STDOUT:
        default = "table" if sys.stdout.isatty() else "plain"
        return Destination(default, STDOUT)
    suffix = Path(text).suffix
    if suffix not in render.SUFFIXES:
        raise UsageError(
            f"The format of {text} is not clear from its name.",
            hint=f"use one of {', '.join(render.SUFFIXES)}, or say it: -o json={text}",
        )
    return Destination(render.SUFFIXES[suffix], text)


def _refuse_unwritable(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"Cannot write {path}: it is a folder.")
    if not path.parent.is_dir():
        raise UsageError(f"Cannot write {path}: there is no folder {path.parent}.")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"Cannot write {path}: the folder {path.parent} may not be written to.")


def _replace(path: Path, text: str) -> None:
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")
        # mkstemp makes files that only their owner may read; a report is an ordinary file.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from None
