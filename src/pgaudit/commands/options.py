"""What the command line said, as values; nothing heavy is imported for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgaudit.model import Severity

NEWEST_MAJOR = 19
"""The major that `explain --sql` writes for unless told otherwise."""

DEMO_SECONDS = 4.0
"""How long the demo's workload runs unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """What the command line says about connecting; `timeout` is in seconds."""

    targets: tuple[str, ...] = ()
    host: str | None = None
    port: str | None = None
    user: str | None = None
    database: str | None = None
    no_password: bool = False
    all_databases: bool = False
    globs: tuple[str, ...] = ()
    timeout: float = 10.0

    @property
    def many(self) -> bool:
        """Whether each target stands for several of its databases."""
        return self.all_databases or bool(self.globs)


@dataclass(frozen=True, slots=True)
class Choosing:
    """What the command line says about which checks; each list option takes commas and repeats."""

    chosen: tuple[str, ...] = ()
    extended: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    preview: bool = False
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Showing:
    """What the command line says about output."""

    format: str | None = None
    files: tuple[str, ...] = ()
    color: str = "auto"
    quiet: int = 0
    verbose: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that `pgaudit check` was told; `fail_on` is None for "never".

    `window` is in seconds; `since` an earlier report to compare with; at most one of them is said.
    """

    connecting: Connecting
    choosing: Choosing
    showing: Showing
    fail_on: Severity | None = Severity.WARNING
    strict: bool = False
    dry_run: bool = False
    window: float | None = None
    since: Path | None = None
    with_samples: bool = False
