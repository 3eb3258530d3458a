"""`python -m pgaudit.demo DSN`: traffic and stuck sessions for a database that has schema.sql."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pgaudit.demo.workload import workload


def parser() -> argparse.ArgumentParser:
    """Describe the options of `python -m pgaudit.demo`."""
    options = argparse.ArgumentParser(prog="python -m pgaudit.demo", description=__doc__)
    options.add_argument("dsn", nargs="?", default="", help="URI or libpq string (default: PG*)")
    options.add_argument("--seconds", type=float, default=10.0, help="of traffic (default: 10)")
    options.add_argument(
        "--hold", type=float, default=0.0, help="seconds to hold the sessions after"
    )
    options.add_argument("--forever", action="store_true", help="hold them until interrupted")
    options.add_argument("--ready", type=Path, help="file to make once the sessions are held")
    return options


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the workload and return 0; an interruption is an ordinary end."""
    options = parser().parse_args(arguments)
    # `docker stop` sends SIGTERM, which the first process of a container otherwise ignores.
    signal.signal(signal.SIGTERM, _stop)
    try:
        with workload(options.dsn, options.seconds):
            print("The stuck sessions are held open.", flush=True)  # noqa: T201
            if options.ready:
                options.ready.touch()
            threading.Event().wait(None if options.forever else options.hold)
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
