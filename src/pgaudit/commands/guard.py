"""A command → an exit code, whatever happens inside it: no traceback for what a user can act on."""

from __future__ import annotations

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
        print(*error.lines(), sep="\n", file=sys.stderr)
        return error.exit
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at its end; point it to where that cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.READER_GONE
    except Exception:  # a bug of ours must not read as "findings", which is Python's exit code 1
        _bug()
        return Exit.BUG
    return answer


def _bug() -> None:
    print(
        "This is a bug in pgaudit.\n"
        f"  pgaudit {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        "  Please report it to the project, with the text below; it may name objects of your database.\n",
        file=sys.stderr,
    )
    traceback.print_exc()
