"""A command → an exit code, whatever happens inside it: no traceback for what a user can act on."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
import traceback
from collections.abc import Callable

from pgaudit import __version__
from pgaudit.errors import Exit, PgauditError


def guard(command: Callable[[], Exit]) -> Exit:
    """Run a command; print what went wrong on stderr in at most three lines, or as a bug of ours."""
    try:
        answer = command()
        sys.stdout.flush()
    except PgauditError as error:
        _say(*error.lines())
        return error.exit
    except KeyboardInterrupt:
        _say("Interrupted.")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()
        return Exit.READER_GONE
    except OSError as error:
        return unwritten(error)
    except Exception:  # a bug of ours must not read as "findings", which is Python's exit code 1
        _bug()
        return Exit.BUG
    return answer


def unwritten(error: OSError) -> Exit:
    """Say that stdout cannot be written; any other error of the system is a bug of ours."""
    if error.filename is not None or error.errno not in _NO_ROOM:
        _bug()
        return Exit.BUG
    _give_up_stdout()
    _say(f"Cannot write to standard output: {error.strerror}.")
    return Exit.USAGE


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def _give_up_stdout() -> None:
    """Point stdout to where it cannot fail: Python flushes it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug() -> None:
    _say(
        "This is a bug in pgaudit.",
        f"  pgaudit {__version__}, Python {platform.python_version()}, {platform.platform()}",
        "  Please report it to the project, with the text below; it may name objects of your database.",
        "",
        traceback.format_exc().rstrip(),
    )


def _say(*lines: str) -> None:
    """Print on stderr; where that cannot be written either, the exit code is all that can be told."""
    with contextlib.suppress(OSError):
        print(*lines, sep="\n", file=sys.stderr, flush=True)
