"""Every value that crosses a module border: frozen, made once, without I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum

from pgaudit import quote
from pgaudit.evidence import Sample, Window
from pgaudit.units import Value

Row = Mapping[str, Value]
"""One row of a check's query: column name to value, in the units of `pgaudit.units`."""


class Severity(IntEnum):
    """How bad a finding is; a higher number is worse."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        """The severity as it is written everywhere."""
        return self.name.lower()


class Status(StrEnum):
    """What became of one check; only `passed` and `failed` are verdicts."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERRORED = "errored"


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a check's rule comes from."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a user may change; `default`, `minimum` and `maximum` are in the type's unit."""

    type: str
    default: Value
    help: str
    minimum: Value = None
    maximum: Value = None


@dataclass(frozen=True, slots=True)
class Requirements:
    """What must be true of a server before a check can be asked."""

    privileges: tuple[str, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Which counters a check reads, and how long they must have been counting.

    `view` names the statistics view; `since` a timestamp column with the row's own start, if any;
    `minimum` the duration parameter below which the check is not run. `window` is the shortest window,
    in seconds, that a user may ask for instead, None where only `minimum` counts; `windowed` is False
    where what is now is judged, whatever window is asked for.
    """

    view: str
    since: str | None = None
    minimum: str | None = None
    window: float | None = None
    windowed: bool = True


@dataclass(frozen=True, slots=True)
class ObjectRule:
    """Which columns name the object that a row is about."""

    kind: str
    name: tuple[str, ...]
    parent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeverityRule:
    """How a row's severity is found: one word, or levels on a measured column, mildest first.

    `shown` is False where the measure is a flag, and no figure for people.
    """

    word: Severity | None = None
    measure: str | None = None
    worse: str = "higher"
    levels: Mapping[Severity, Value] = field(default_factory=dict)
    shown: bool = True


@dataclass(frozen=True, slots=True)
class RemedyRule:
    """The templates of a remedy."""

    text: str
    sql: str | None = None
    undo: str | None = None
    impact: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedFinding:
    """What a proof expects of one finding; None means that it does not matter."""

    object: str
    severity: Severity
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """One case that a check file carries; `expect` is the findings in order, or None for "not run".

    `given` maps a view to canned rows; `sessions` are scripts whose connections stay open while the
    check is asked; `teardown` is run when the case's database is gone, for what no database holds;
    `line` is the 1-based line of the case in its file.
    """

    name: str
    line: int
    expect: tuple[ExpectedFinding, ...] | None
    setup: str | None = None
    teardown: str | None = None
    sessions: tuple[str, ...] = ()
    given: Mapping[str, tuple[Mapping[str, object], ...]] = field(default_factory=dict)
    rows: tuple[Row, ...] | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    severity: SeverityRule | None = None
    since: int = 0
    remedied: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One check file, validated. `parameters` hold the values in force (defaults or the user's).

    `matches` are the patterns that statements are looked through for.
    `queries` maps the first major version to the SQL that serves it, or None for "not applicable";
    `query_lines` maps the same key to the 1-based line on which that SQL starts in `file`.
    """

    id: str
    title: str
    category: str
    tags: tuple[str, ...]
    since: str
    status: str
    why: str
    scope: str
    role: str
    reads: tuple[str, ...]
    columns: Mapping[str, str]
    queries: Mapping[int, str | None]
    object: ObjectRule
    severity: SeverityRule
    message: str
    remedy: RemedyRule
    file: str
    aliases: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    requirements: Requirements = Requirements()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    evidence: Evidence | None = None
    detail: str | None = None
    timeout: float | None = None
    proofs: tuple[Proof, ...] = ()
    query_lines: Mapping[int, int] = field(default_factory=dict)
    origin: str = "built-in"
    matches: tuple[str, ...] = ()

    def values(self) -> dict[str, Value]:
        """Return the parameters in force, as the query's placeholders take them."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    @property
    def evidence_view(self) -> str:
        """The statistics view whose counters are judged, or nothing."""
        return self.evidence.view if self.evidence else ""

    def having(self, values: Mapping[str, Value]) -> Check:
        """Return the check with these values of its parameters in force; other names are left out."""
        changed = {
            n: replace(p, default=values.get(n, p.default)) for n, p in self.parameters.items()
        }
        return replace(self, parameters=changed)

    def variant(self, major: int) -> int | None:
        """Return the key of the query for a server's major version, or None if it is too old."""
        return max((first for first in self.queries if first <= major), default=None)


@dataclass(frozen=True, slots=True)
class Target:
    """A server to audit: a label for people, and what libpq needs. Its repr hides the latter."""

    label: str
    conninfo: str = field(repr=False)
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension of the audited database.

    `loaded` is False when its library is not preloaded, `usable` when the role may not use its schema.
    """

    name: str
    version: str
    schema: str
    loaded: bool = True
    usable: bool = True


@dataclass(frozen=True, slots=True)
class Server:
    """What is true of one server, database and session, asked once.

    `shapes` maps a statistics view to its columns here (empty where the view does not exist);
    `memberships` are the roles whose rights the session has; `available` the extensions that
    could be created; `roles` every predefined role that exists here; `windows` a statistics view to
    what its counters cover; `now` is the server's clock.
    """

    version: str
    version_number: int
    standby: bool
    database: str
    user: str
    superuser: bool
    memberships: frozenset[str]
    roles: frozenset[str]
    extensions: Mapping[str, Extension]
    available: frozenset[str]
    settings: Mapping[str, str]
    shapes: Mapping[str, tuple[str, ...]]
    windows: Mapping[str, Window]
    started_at: datetime | None
    now: datetime

    @property
    def major(self) -> int:
        """The major version, such as 16."""
        return self.version_number // 10000

    @property
    def role(self) -> str:
        """Either primary or standby."""
        return "standby" if self.standby else "primary"


@dataclass(frozen=True, slots=True)
class Measure:
    """The number that a finding's severity was read from, with the unit of its kind."""

    column: str
    kind: str
    value: Value


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to type: a sentence, statements with everything quoted, how to take it back, its cost."""

    text: str
    sql: str | None = None
    undo: str | None = None
    impact: str | None = None


@dataclass(frozen=True, slots=True)
class NamedObject:
    """What a finding is about: its kind, the unquoted parts of its name, and of its owner's."""

    kind: str
    name: tuple[str, ...]
    parent: tuple[str, ...] = ()

    @property
    def display(self) -> str:
        """The name for people, quoted only where needed."""
        return quote.display(self.name, self.kind)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one object, in complete sentences.

    `kinds` gives the unit of each column of `row`; `detail` is the message without the object and
    the measure, for tables that show those in columns of their own.
    """

    check: str
    severity: Severity
    object: NamedObject
    message: str
    detail: str
    row: Row
    kinds: Mapping[str, str]
    remedy: Remedy
    measure: Measure | None = None
    window: Window | None = None

    @property
    def key(self) -> str:
        """Name the finding for people, options and globs."""
        return f"{self.check}/{self.object.display}"

    @property
    def fingerprint(self) -> str:
        """Name the finding for machines: stable over dumps, failovers, renamed databases, versions.

        Source of the formula: design, "Fingerprints"; v1 is SHA-256 over NUL-separated parts.
        """
        parts = ("v1", self.check, self.object.kind, *self.object.name)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a check was not run or did not finish, and the one statement that would change it.

    `kind` is one of version, role, privilege, extension, setting, package, window, error, lost,
    interrupted; `privilege` names the role to grant where that is the cure; `where` is file:line.
    """

    kind: str
    text: str
    cure: str | None = None
    privilege: str | None = None
    sqlstate: str | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one check on one database; `seconds` is what the question took.

    `truncated` says that the row limit was reached and more may be wrong than is listed.
    """

    check: Check
    status: Status
    database: str
    findings: tuple[Finding, ...] = ()
    reason: Reason | None = None
    seconds: float = 0.0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a target could not be audited at all."""

    message: str
    server: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One database of one target: its server and a result for every selected check, or a failure.

    `notes` say what bears on all results, such as a reset inside the window; `sample` is what a later
    run may be compared with, if that was asked for.
    """

    label: str
    server: Server | None
    results: tuple[Result, ...] = ()
    failure: Failure | None = None
    notes: tuple[str, ...] = ()
    sample: Sample | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding of this target, in the order of the results."""
        return tuple(f for result in self.results for f in result.findings)


@dataclass(frozen=True, slots=True)
class Report:
    """One run: everything that was asked, of every target.

    `fail_on` is None for "never"; `interrupted` says that the user stopped it.
    """

    version: str
    started_at: datetime
    seconds: float
    fail_on: Severity | None
    targets: tuple[TargetReport, ...]
    strict: bool = False
    interrupted: bool = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding of every target."""
        return tuple(f for target in self.targets for f in target.findings)

    @property
    def worst(self) -> Severity | None:
        """The worst severity found, or None."""
        return max((f.severity for f in self.findings), default=None)

    @property
    def complete(self) -> bool:
        """Whether all that was selected was looked at; declared skips do not make it incomplete."""
        return not self.interrupted and not any(
            target.failure is not None or any(self._missed(r) for r in target.results)
            for target in self.targets
        )

    @property
    def gated(self) -> bool:
        """Whether something is at or above `fail_on`."""
        return self.fail_on is not None and self.worst is not None and self.worst >= self.fail_on

    def count(self, statuses: Iterable[Status]) -> dict[Status, int]:
        """Count the results of all targets by status."""
        results = [r for target in self.targets for r in target.results]
        return {s: sum(r.status is s for r in results) for s in statuses}

    def _missed(self, result: Result) -> bool:
        if result.status is Status.ERRORED:
            return True
        return (
            self.strict
            and result.status is Status.SKIPPED
            and result.reason is not None
            and result.reason.kind == "privilege"
        )
