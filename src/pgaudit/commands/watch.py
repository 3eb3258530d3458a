"""--window and --since → the first samples, what is waited for, and how each database is compared."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pgaudit import window
from pgaudit.commands import console, target
from pgaudit.commands.options import Options
from pgaudit.errors import TargetError, UsageError
from pgaudit.evidence import Sample
from pgaudit.model import Check, Server, Target
from pgaudit.postgres import sample
from pgaudit.postgres.difference import Difference
from pgaudit.postgres.session import Session

HINT = "make it with pgaudit check --format json --with-samples, and the same checks"


@dataclass(slots=True)
class Watch:
    """The first samples by the label of their database, and the views that are sampled.

    `until` is the moment, on the monotonic clock, before which no second sample is taken; `seen` the
    servers that a first sample was taken of, to be told if the rest is interrupted.
    """

    views: tuple[str, ...]
    timeout: float
    seconds: float | None = None
    samples: dict[str, Sample] = field(default_factory=dict)
    seen: list[tuple[str, Server]] = field(default_factory=list)
    until: float = 0.0

    def compared(
        self, session: Session, server: Server, *, keep: bool
    ) -> tuple[Difference | None, Sample | None]:
        """Take the sample of a database; compare it with the first one, if there is to be one.

        Raises TargetError if it cannot be taken, or is one of another server.
        """
        comparing = self.seconds is not None or bool(self.samples)
        if not comparing and not keep:
            return None, None
        second = sample.sample(session, server, self.views, timeout=self.timeout)
        kept = second if keep else None
        if not comparing:
            return None, kept
        first = self.samples.get(session.place)
        if first is None:
            raise TargetError(f"There is no earlier sample of {session.place}.", hint=self._hint())
        return window.between(first, second, server, session.place), kept

    def expected(self, server: Server, place: str) -> Difference | None:
        """Return what the comparison will be like, for a plan."""
        if self.seconds is not None:
            return window.expected(server, self.seconds)
        first = self.samples.get(place)
        if first is None:
            return None
        return window.expected(server, (server.now - first.taken_at).total_seconds())

    def take(self, one: Target, options: Options, progress: console.Progress) -> None:
        """Take the first sample of each database of a target; what cannot be reached is said later."""
        with (
            contextlib.suppress(TargetError),
            closing(target.sessions(one, options.connecting)) as opened,
        ):
            for session in opened:
                if not isinstance(session, tuple):
                    with contextlib.suppress(TargetError):
                        self._first(session, options, progress)
        self.until = time.monotonic() + (self.seconds or 0.0)

    def _first(self, session: Session, options: Options, progress: console.Progress) -> None:
        progress.say(f"sampling {session.place}")
        server = target.described(session, options.connecting)
        self.samples[session.place] = sample.sample(
            session, server, self.views, timeout=self.timeout
        )
        self.seen.append((session.place, server))

    def wait(self, say: Callable[[str], None]) -> None:
        """Wait until the window is over; KeyboardInterrupt ends it as it ends everything."""
        if self.seconds is None or not self.samples:
            return
        say(f"watching {', '.join(self.samples)} for {self.seconds:g} s")
        while (left := self.until - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))

    def _hint(self) -> str:
        if self.seconds is not None:
            return "it could not be sampled when the window began"
        return f"the report has {', '.join(self.samples)}"


def watch(options: Options, checks: Sequence[Check], *, writes_json: bool = True) -> Watch:
    """Prepare what the options about windows ask for.

    Raises UsageError if they do not go together, or the report of --since cannot be compared with.
    """
    if options.window is not None and options.since is not None:
        raise UsageError(
            "--window and --since both say what to compare with.", hint="use one of them"
        )
    if options.window is not None and options.window <= 0:
        raise UsageError("--window: a window is longer than nothing.")
    if options.with_samples and not writes_json and not options.dry_run:
        raise UsageError(
            "--with-samples keeps the counters in a JSON report.",
            hint="add -f json, or -o FILE.json",
        )
    made = Watch(window.views(checks), options.connecting.timeout, options.window)
    if options.since is not None:
        made.samples |= _earlier(options.since)
    return made


def announced(
    text: str, progress: console.Progress, environ: Mapping[str, str], quiet: int
) -> None:
    """Say on stderr what is waited for: on the transient line, or where nobody watches as a line."""
    if console.watched(environ, quiet=quiet):
        progress.say(f"{text}:")
    elif not quiet:
        print(f"pgaudit: {text}", file=sys.stderr, flush=True)


def _earlier(path: Path) -> dict[str, Sample]:
    from pgaudit.render import json

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"Cannot read {path}: {reason}.") from None
    report = json.read(text)
    samples = {t.label: t.sample for t in report.targets if t.sample is not None}
    if not samples:
        raise UsageError(f"{path} has no samples to compare with.", hint=HINT)
    return samples
