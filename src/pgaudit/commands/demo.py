"""`pgaudit demo`: an unwell throwaway PostgreSQL, audited for real, then gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

from pgaudit import demo as unwell
from pgaudit.commands import check, choice, console, output
from pgaudit.commands.options import Choosing, Connecting, Options, Showing
from pgaudit.demo.workload import workload
from pgaudit.errors import Exit
from pgaudit.model import Check, Report, Target
from pgaudit.postgres import embedded
from pgaudit.units import Value

HELD = 1.5
"""Seconds that the stuck sessions have been stuck when they are looked at."""

YOUNG = {"sessions": 1.0, "queries": 1.0, "": 4.0}
"""What duration parameters are lowered to, by category: the demo's server is only seconds old."""

SMALL = (
    "statement-temp-spill.min_total=64 MiB",
    "statement-temp-spill.min_calls=3",
    "statement-low-cache-hit.min_read=64 MiB",
    "table-low-cache-hit.min_blocks_read=1000",
    "index-low-cache-hit.min_blocks_read=500",
    "index-low-cache-hit.min_size=2 MiB",
    "never-vacuumed-table.min_age=0",
)
"""What else is lowered, because its workload is small."""


def demo(showing: Showing, *, seconds: float, keep: bool, environ: Mapping[str, str]) -> Exit:
    """Start, spoil, audit through the ordinary path, stop; findings are no failure here.

    With `keep` the server stays, and how to connect to it and how to stop it is printed. Raises
    ServerError if no server can be started.
    """
    wanted = output.destinations(showing)
    checks = young(choice.load(Choosing(settings=SMALL)))
    with console.Progress(shown=console.watched(environ, quiet=showing.quiet)) as progress:
        progress.say("starting a throwaway PostgreSQL")
        with embedded.throwaway(environ, settings=unwell.SETTINGS, keep=keep) as server:
            one = Target("demo", server.conninfo)
            progress.say("building an unwell schema")
            unwell.load(server.conninfo)
            progress.say(f"running a workload for {seconds:g} s")
            with workload(server.conninfo, seconds):
                time.sleep(HELD)
                report = _audited(one, checks, showing, environ)
            progress.clear()
            output.write(report, wanted, showing, environ)
            if keep:
                print(
                    f"The server stays. Connect: psql '{server.conninfo}'\n"
                    f"Audit it again: pgaudit check '{server.conninfo}'\n"
                    "  (without the lowered thresholds of the demo: checks that need counters of an "
                    "hour or more are then not run)\n"
                    f"Stop and remove it: {server.stop_command}",
                    file=sys.stderr,
                )
    verdict = check.verdict(report)
    return Exit.CLEAN if verdict is Exit.FINDINGS else verdict


def young(checks: Sequence[Check]) -> list[Check]:
    """Lower every duration parameter to what a server that is seconds old can have reached."""
    return [c.having(_lowered(c, YOUNG.get(c.category, YOUNG[""]))) for c in checks]


def _lowered(check: Check, seconds: float) -> dict[str, Value]:
    return {
        name: 0.0 if name == "minimum_window" else seconds
        for name, p in check.parameters.items()
        if p.type == "duration" and float(str(p.default)) >= seconds
    }


def _audited(
    one: Target, checks: Sequence[Check], showing: Showing, environ: Mapping[str, str]
) -> Report:
    options = Options(Connecting(), Choosing(), showing)
    return check.run([one], checks, options, environ)
