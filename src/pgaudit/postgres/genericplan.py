"""EXPLAIN's JSON → a plan: its cost, the indexes that it names, and its dearest node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a plan. `own` is its share of the plan's cost without that of its children.

    `total` is what EXPLAIN calls Total Cost; `rows` and `width` are the planner's estimates, the
    width in bytes; `condition` is the filter, index condition, join condition or sort key; `filtered`
    says that it reads rows only to throw some away.
    """

    kind: str
    own: float
    total: float
    rows: float
    width: int
    schema: str | None = None
    relation: str | None = None
    index: str | None = None
    condition: str | None = None
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A generic plan: total cost in the planner's unit, and its nodes from the top down."""

    cost: float
    nodes: tuple[Node, ...]

    @property
    def indexes(self) -> frozenset[tuple[str, str]]:
        """The schema and name of each index that the plan reads.

        A bitmap index scan does not say its schema, so that is the heap scan's above it.
        """
        schema, found = "", set()
        for node in self.nodes:
            schema = node.schema or schema
            if node.index is not None:
                found.add((schema, node.index))
        return frozenset(found)

    @property
    def worst(self) -> Node:
        """The node that costs most by itself."""
        return max(self.nodes, key=lambda node: node.own)

    def worst_of(self, relations: Collection[str]) -> Node:
        """Return the node that costs most of those that read one of these relations, or of all."""
        reading = [node for node in self.nodes if node.relation in relations]
        return max(reading or self.nodes, key=lambda node: node.own)


@dataclass(frozen=True, slots=True)
class NotPlanned:
    """Why a statement has no generic plan here, in the server's words or ours."""

    reason: str
    sqlstate: str | None = None


def read(explained: Sequence[Mapping[str, Any]]) -> Plan:
    """Turn what EXPLAIN (FORMAT JSON) returned into a plan.

    >>> scan = {"Node Type": "Seq Scan", "Total Cost": 90.0, "Plan Rows": 5, "Plan Width": 8,
    ...         "Relation Name": "t", "Filter": "(a = $1)"}
    >>> top = {"Node Type": "Sort", "Total Cost": 100.0, "Plan Rows": 5, "Plan Width": 8,
    ...        "Sort Key": ["b"], "Plans": [scan]}
    >>> plan = read([{"Plan": top}])
    >>> plan.cost, plan.worst.kind, plan.worst.own, plan.worst.condition
    (100.0, 'Seq Scan', 90.0, '(a = $1)')
    """
    top = explained[0]["Plan"]
    return Plan(float(top["Total Cost"]), tuple(_nodes(top, float(top["Total Cost"]))))


def _nodes(raw: Mapping[str, Any], paid: float) -> Iterator[Node]:
    """Yield a node and those below; `paid` is how much of the whole plan's cost is spent in it."""
    children: list[Mapping[str, Any]] = list(raw.get("Plans", ()))
    shares = _shares(raw, children, paid)
    conditions = [raw[name] for name in _CONDITIONS if raw.get(name)]
    condition = conditions[0] if conditions else None
    yield Node(
        kind=str(raw["Node Type"]),
        own=max(0.0, paid - sum(shares)),
        total=float(raw["Total Cost"]),
        rows=float(raw["Plan Rows"]),
        width=int(raw["Plan Width"]),
        schema=raw.get("Schema"),
        relation=raw.get("Relation Name"),
        index=raw.get("Index Name"),
        condition=", ".join(condition) if isinstance(condition, list) else condition,
        filtered="Filter" in raw,
    )
    for child, share in zip(children, shares, strict=True):
        yield from _nodes(child, share)


_CONDITIONS = (
    "Filter", "Index Cond", "Recheck Cond", "Sort Key", "Hash Cond", "Merge Cond", "Join Filter",
    "Group Key",
)  # fmt: skip
"""EXPLAIN's names for what a node is bound by, the costliest kind first."""


def _shares(
    raw: Mapping[str, Any], children: Sequence[Mapping[str, Any]], paid: float
) -> list[float]:
    """Return how much of the cost that a node is charged is spent in each child.

    The inner side of a nested loop is costed for one pass and runs once for each row of the outer
    side. Under a LIMIT a child is stopped early, so its own total is more than is spent.
    """
    spent = [float(child["Total Cost"]) for child in children]
    if raw["Node Type"] == "Nested Loop" and len(children) >= 2:
        passes = max(1.0, float(children[0]["Plan Rows"]))
        # What is kept or remembered is not made again on each pass.
        if children[1]["Node Type"] not in ("Materialize", "Memoize"):
            spent[1] *= passes
    together = sum(spent)
    scale = paid / together if together > paid else 1.0
    return [one * scale for one in spent]


_SCANS = {
    "Seq Scan": "sequential scan",
    "Index Scan": "index scan",
    "Index Only Scan": "index-only scan",
    "Bitmap Heap Scan": "bitmap heap scan",
}


def described(plan: Plan, *, work_memory: int, node: Node | None = None) -> str:
    """Say in words what a plan's dearest node is, or another; `work_memory` is work_mem in bytes.

    >>> scan = Node("Seq Scan", 95.0, 95.0, 3, 8, "public", "orders", None, "(note = $1)")
    >>> described(Plan(100.0, (scan,)), work_memory=4 << 20)
    'sequential scan on public.orders, (note = $1): 95 % of a cost of 100'
    """
    node = node or plan.worst
    said = _SCANS.get(node.kind, node.kind.lower())
    if node.relation:
        said += f" on {node.schema + '.' if node.schema else ''}{node.relation}"
    if node.kind == "Nested Loop":
        said += f" over {node.rows:,.0f} rows"
    if node.kind == "Sort":
        size = node.rows * node.width
        said += f" of {node.rows:,.0f} rows"
        said += " that does not fit into work_mem" if size > work_memory else ""
    if node.condition:
        said += f", {node.condition[:200]}"
    share = 100 * node.own / plan.cost if plan.cost else 100
    return f"{said}: {share:.0f} % of a cost of {plan.cost:,.0f}"
