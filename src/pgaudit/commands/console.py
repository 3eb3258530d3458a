"""The process's streams → decisions: colour, width, symbols, and a progress line on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from typing import TextIO

from pgaudit.model import Check
from pgaudit.render.style import Style

PIPE_WIDTH = 200
SHOWN_AFTER = 0.2
"""Seconds before a progress line appears; quick audits show none."""


def colored(stream: TextIO, choice: str, environ: Mapping[str, str]) -> bool:
    """Decide colour for one stream: an option wins over the environment, that over the terminal."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0") or environ.get(
        "CLICOLOR_FORCE", "0"
    ) not in ("", "0"):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


def width(stream: TextIO, environ: Mapping[str, str]) -> int:
    """Return COLUMNS, the terminal's width, or what a pipe gets."""
    if environ.get("COLUMNS", "").isdigit():
        return max(20, int(environ["COLUMNS"]))
    return shutil.get_terminal_size().columns if stream.isatty() else PIPE_WIDTH


def style(
    stream: TextIO, environ: Mapping[str, str], *, color: str, verbose: int, quiet: int
) -> Style:
    """Collect what a renderer has to know about where its text goes."""
    encoding = (stream.encoding or "ascii").lower()
    return Style(
        width=width(stream, environ),
        color=colored(stream, color, environ),
        verbose=verbose,
        quiet=quiet,
        ascii_only="utf" not in encoding,
        indent=stream.isatty(),
    )


class Progress:
    """One transient line on stderr, only where a person watches; says nothing when `shown` is False."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._text = ""
        self._drawn = False
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = time.monotonic()

    def __enter__(self) -> Progress:
        """Start drawing after a moment."""
        if self._shown:
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the line."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self.clear()

    def checking(self, done: int, all_of: int, check: Check) -> None:
        """Say which check is being asked."""
        self._say(f"{done + 1}/{all_of} {check.id}")

    def say(self, text: str) -> None:
        """Say anything else that takes time."""
        self._say(text)

    def clear(self) -> None:
        """Take the line away, so that other text can be printed."""
        with self._lock:
            if self._drawn:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
                self._drawn = False

    def _say(self, text: str) -> None:
        with self._lock:
            self._text, self._started = text, time.monotonic()

    def _draw(self) -> None:
        columns = shutil.get_terminal_size().columns
        if self._done.wait(SHOWN_AFTER):
            return
        while not self._done.wait(0.1):
            with self._lock:
                if self._text:
                    line = f"{self._text} {time.monotonic() - self._started:.1f} s"
                    sys.stderr.write(f"\r\x1b[K{line[: columns - 1]}")
                    sys.stderr.flush()
                    self._drawn = True


def watched(environ: Mapping[str, str], *, quiet: int) -> bool:
    """Say whether a person watches stderr."""
    return (
        sys.stderr.isatty()
        and not quiet
        and not environ.get("CI")
        and environ.get("TERM") != "dumb"
    )


def isolated() -> Mapping[str, str]:
    """Return the environment, and take libpq's own variables out of it for the rest of the process.

    A command that only ever connects to a server of its own must not be led elsewhere by PGSERVICE,
    PGHOSTADDR, PGOPTIONS and the like.
    """
    kept = dict(os.environ)
    for name in kept:
        if name.startswith("PG") and not name.startswith("PGAUDIT_"):
            del os.environ[name]
    return kept


def environment() -> Mapping[str, str]:
    """Return the process's environment; commands read it here and hand it on."""
    return os.environ
