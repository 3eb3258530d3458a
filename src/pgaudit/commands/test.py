"""`pgaudit test`: run the proofs inside check files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pgaudit import proof
from pgaudit.catalog import find
from pgaudit.errors import Exit
from pgaudit.model import Check
from pgaudit.postgres import embedded


def test(
    paths: Sequence[Path], *, no_server: bool, verbose: int, environ: Mapping[str, str]
) -> Exit:
    """Prove the checks of files and folders, or the built-in ones; FINDINGS if a proof fails.

    Raises CheckError for files that are no check files, ServerError if no server can be started.
    """
    found = [s for path in paths for s in find.in_path(path)] if paths else find.sources()
    checks = find.checks(found, proofs=True)
    if no_server:
        return _told(checks, _without_server(checks), verbose)
    with (
        embedded.throwaway(environ, settings=proof.SETTINGS) as server,
        proof.Bench.on(server.conninfo) as bench,
    ):
        return _told(checks, bench.prove_all(checks), verbose)


def _without_server(checks: Sequence[Check]) -> Iterator[tuple[Check, proof.Outcome]]:
    for check in checks:
        for case in check.proofs:
            if case.rows is None:
                yield check, proof.Outcome(check.id, case, skipped="needs a server")
            else:
                yield check, proof.judged(check, case)


def _told(
    checks: Sequence[Check], outcomes: Iterator[tuple[Check, proof.Outcome]], verbose: int
) -> Exit:
    held = failed = skipped = 0
    for check, outcome in outcomes:
        where = f"{check.file}:{outcome.proof.line}"
        if outcome.faults:
            failed += 1
            _say(f"failed  {where}: {check.id}: {outcome.proof.name}", *outcome.faults)
        elif outcome.skipped is not None:
            skipped += 1
            if verbose:
                _say(f"not run {where}: {check.id}: {outcome.proof.name}", outcome.skipped)
        else:
            held += 1
            if verbose:
                _say(f"holds   {where}: {check.id}: {outcome.proof.name}")
    _say(f"{len(checks)} checks, {held} proofs hold, {failed} failed, {skipped} not run here")
    return Exit.FINDINGS if failed else Exit.CLEAN


def _say(line: str, *more: str) -> None:
    sys.stdout.write("\n        ".join((line, *more)) + "\n")
    sys.stdout.flush()
