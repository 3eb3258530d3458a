"""Check format 1 as types: they validate a file, make its JSON Schema, and fill its reference page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from pgaudit.units import KINDS

FORMAT = 1
CATEGORIES = (
    "queries", "indexes", "tables", "vacuum", "cache", "sessions",
    "replication", "wal", "settings", "schema", "security", "storage",
)  # fmt: skip
KEBAB = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"

Text = Annotated[str, StringConstraints(min_length=1)]
Word = Annotated[str, StringConstraints(pattern=KEBAB)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*$")]
Identifier = Annotated[str, StringConstraints(pattern=KEBAB, min_length=3, max_length=60)]
Link = Annotated[str, StringConstraints(pattern=r"^https://\S+$")]
Amount = str | int | float | bool
TypeWord = Literal["size", "duration", "percent", "count", "timestamp", "text", "boolean", "sql"]
Level = Literal["info", "warning", "critical"]
ObjectKind = Literal[
    "index", "table", "column", "constraint", "sequence", "function", "view", "schema", "database",
    "role", "setting", "extension", "slot", "subscription", "session", "query", "tablespace", "server",
    "type", "trigger", "policy", "foreign server",
]  # fmt: skip

if set(TypeWord.__args__) != set(KINDS):  # type: ignore[attr-defined]
    raise AssertionError("the type words of the format are the kinds of pgaudit.units")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReferenceEntry(_Strict):
    """Where the check's reasoning can be read."""

    title: Text = Field(description="What the page is called.")
    url: Link = Field(description="https only; PostgreSQL's own documentation first.")


class RequiresEntry(_Strict):
    """What must be true of a server before the question makes sense."""

    privileges: list[Name] = Field(
        default_factory=list,
        description="Roles whose rights the session must have, such as pg_read_all_stats.",
    )
    extensions: dict[Name, Text] = Field(
        default_factory=dict, description='Extension to its oldest version in quotes, or "any".'
    )
    settings: dict[str, Text] = Field(
        default_factory=dict,
        description="Setting to the value without which the result means nothing.",
    )


NEVER = "never"
"""What `evidence.window` says where no window bears on what is judged."""


class EvidenceEntry(_Strict):
    """Which cumulative counters the check judges, and how long they must have been counting."""

    view: Name = Field(description="The statistics view whose counters are judged; one of `reads`.")
    since: Name | None = Field(
        default=None,
        description="A timestamp column with the row's own start; NULL means the view's.",
    )
    minimum: Name | None = Field(
        default=None, description="The duration parameter below which the check is not run."
    )
    window: Text | None = Field(
        default=None,
        description="The shortest --window that means the same (a rate); `never`: judges what is now.",
    )


class ParameterEntry(_Strict):
    """A number that users may change."""

    type: TypeWord = Field(description="One of the units.")
    default: Amount = Field(description="The value in force unless a user says otherwise.")
    help: Text = Field(description="What it does, as one sentence.")
    minimum: Amount | None = Field(default=None, description="The smallest value allowed.")
    maximum: Amount | None = Field(default=None, description="The largest value allowed.")


class ObjectEntry(_Strict):
    """What a row is about."""

    kind: ObjectKind = Field(description="The kind of object.")
    name: Annotated[list[Name], Field(min_length=1)] = Field(
        description="The columns that identify it; kind and name are a finding's identity."
    )
    parent: list[Name] = Field(
        default_factory=list, description="The columns that name the object it belongs to."
    )


class SeverityEntry(_Strict):
    """Levels on a measured column; the highest level reached wins, below the lowest is no finding."""

    measure: Name = Field(description="A numeric column.")
    worse: Literal["higher", "lower"] = Field(
        default="higher", description="Which direction is worse."
    )
    info: Amount | None = Field(default=None, description="From here on it is worth knowing.")
    warning: Amount | None = Field(default=None, description="From here on it hurts.")
    critical: Amount | None = Field(default=None, description="From here on it is an emergency.")
    shown: bool = Field(
        default=True, description="false: the measure is a flag, and no figure for people."
    )


class RemediationEntry(_Strict):
    """What to do about it. pgaudit prints it and never runs it."""

    text: Text = Field(description="What to do, in the imperative, in one to three sentences.")
    sql: Text | None = Field(default=None, description="The statements that do it, as a template.")
    undo: Text | None = Field(default=None, description="The statements that take it back.")
    impact: Text | None = Field(
        default=None, description="Locks, duration, restarts: what it does to a busy server."
    )


class ExpectEntry(_Strict):
    """One finding that a proof expects."""

    object: Text = Field(description="The object's name as it is shown; * for any.")
    severity: Level = Field(description="The severity.")
    message: Text | None = Field(default=None, description="The whole message, if it matters.")


def _kind_of(value: object) -> str:
    return "word" if isinstance(value, str) else "mapping"


SeverityField = Annotated[
    Annotated[Level, Tag("word")] | Annotated[SeverityEntry, Tag("mapping")],
    Discriminator(_kind_of),
]
ExpectField = Annotated[
    Annotated[Literal["not run"], Tag("word")] | Annotated[list[ExpectEntry], Tag("mapping")],
    Discriminator(_kind_of),
]


class ProofEntry(_Strict):
    """One case that proves the check, on a real server."""

    name: Text = Field(description="The behaviour in plain words.")
    setup: Text | None = Field(
        default=None,
        description="SQL run in a fresh database by its owner, on a connection then closed. The "
        "roles that it makes go with the database.",
    )
    teardown: Text | None = Field(
        default=None,
        description="SQL run afterwards in the database postgres, to drop tablespaces and files.",
    )
    sessions: list[Text] = Field(
        default_factory=list,
        description="Scripts, each on a connection that stays open (or blocked) while the check is asked.",
    )
    given: dict[Name, list[dict[str, Any]]] = Field(
        default_factory=dict,
        description="Canned rows for views named in `reads`, in the view's newest shape.",
    )
    rows: list[dict[str, Any]] | None = Field(
        default=None, description="Rows as the query would return them, judged without a server."
    )
    parameters: dict[Name, Amount] = Field(
        default_factory=dict, description="Parameters for this case."
    )
    severity: SeverityField | None = Field(default=None, description="The severity for this case.")
    since: int = Field(default=0, description="The oldest major version that the case applies to.")
    expect: ExpectField = Field(
        description="The exact findings in order; [] is silence; 'not run' means skipped."
    )
    remedied: bool = Field(
        default=False,
        description="Run the remedy: the check must fall silent, and undo bring it back.",
    )


class CheckFile(_Strict):
    """A pgaudit check, format 1."""

    format: Literal[1] = Field(description="The number of this format.")
    id: Identifier = Field(
        description="Names what is found; equals the file's name; never changes meaning."
    )
    aliases: list[Identifier] = Field(default_factory=list, description="Former ids.")
    title: Annotated[str, StringConstraints(min_length=3, max_length=60)] = Field(
        description="One noun phrase without a full stop."
    )
    category: Word = Field(description="One of pgaudit's categories; plug-ins may use their own.")
    tags: list[Word] = Field(default_factory=list, description="Words for selection.")
    since: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        description="The version that introduced it."
    )
    status: Literal["preview", "stable", "deprecated"] = Field(
        description="preview runs on request, stable by default, deprecated only by name."
    )
    why: Text = Field(description="Two to five sentences on what it costs; never the fix.")
    false_positives: list[Text] = Field(
        default_factory=list, description="When a finding is fine, a sentence each."
    )
    references: list[ReferenceEntry] = Field(default_factory=list, description="Further reading.")
    scope: Literal["database", "cluster"] = Field(
        description="Asked in each audited database, or once per server."
    )
    role: Literal["primary", "standby", "any"] = Field(
        default="any", description="Where the question makes sense."
    )
    reads: list[Name] = Field(
        default_factory=list,
        description="The statistics views that the SQL names, unqualified; [] for catalogs only.",
    )
    matches: list[Word] = Field(
        default_factory=list,
        description="Patterns to find in statements; the matches are rows of matched_statement.",
    )
    requires: RequiresEntry = Field(
        default_factory=RequiresEntry, description="What must be true of the server."
    )
    evidence: EvidenceEntry | None = Field(
        default=None, description="The cumulative counters that are judged."
    )
    parameters: dict[Name, ParameterEntry] = Field(
        default_factory=dict, description="Only these may stand in the SQL as %(name)s."
    )
    columns: Annotated[dict[Name, TypeWord], Field(min_length=1)] = Field(
        description="Column to type, in the order in which the query returns them."
    )
    sql: Annotated[dict[int, Text | None], Field(min_length=1, max_length=3)] = Field(
        description="First major version to query; null means not applicable from there on."
    )
    timeout: Text | None = Field(default=None, description="A duration; the default is --timeout.")
    object: ObjectEntry = Field(description="What a row is about.")
    severity: SeverityField = Field(description="One word, or levels on a measure.")
    message: Text = Field(description="One sentence that names the object and the figure.")
    detail: Text | None = Field(
        default=None, description="The message without object and measure, for tables."
    )
    remediation: RemediationEntry = Field(description="What to do about it.")
    tests: list[ProofEntry] = Field(description="The proofs; the last key of the file.")


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a check file."""
    made = CheckFile.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
