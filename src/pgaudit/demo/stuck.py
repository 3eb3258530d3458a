"""The sessions that the unwell database is found with: who waits, who sleeps, who never ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Until(Enum):
    """The state in which a session is left; SQL that is true of it in pg_stat_activity."""

    IDLE_IN_TRANSACTION = "a.state = 'idle in transaction'"
    ACTIVE = "a.state = 'active' AND a.wait_event_type IS DISTINCT FROM 'Lock'"
    BLOCKED = "cardinality(pg_blocking_pids(a.pid)) > 0"


@dataclass(frozen=True, slots=True)
class Stuck:
    """One session: the name it connects with, its statements in one transaction, how it is left."""

    application_name: str
    until: Until
    statements: tuple[str, ...]


_TAKE_ONE = "UPDATE products SET stock = stock - 1 WHERE id = 17"

STUCK: tuple[Stuck, ...] = (
    # idle-in-transaction and the head of the queue: it took a lamp and calls a payment service.
    Stuck("shop-worker", Until.IDLE_IN_TRANSACTION, (_TAKE_ONE,)),
    # blocked-session: customers who want the same lamp. The first waits for the transaction of the
    # holder, the others for the row's own lock, that is, for the first.
    Stuck("shop-web", Until.BLOCKED, (_TAKE_ONE,)),
    Stuck("shop-web", Until.BLOCKED, (_TAKE_ONE,)),
    Stuck("shop-web", Until.BLOCKED, (_TAKE_ONE,)),
    # blocked-session: a deployment's CREATE INDEX waits for every writer of the table. It wants a
    # SHARE lock: readers, and functions such as pg_relation_size, pass while it waits. (An ALTER
    # TABLE would stop those too.)
    Stuck("shop-migrate", Until.BLOCKED, ("CREATE INDEX products_name_idx ON products (name)",)),
    # blocked-session: another lamp, but every new writer queues behind the deployment.
    Stuck("shop-web", Until.BLOCKED, ("UPDATE products SET stock = stock - 1 WHERE id = 18",)),
    # idle-in-transaction, long-transaction: a notebook left open. Its snapshot keeps vacuum from
    # removing any row that has died since.
    Stuck(
        "metabase",
        Until.IDLE_IN_TRANSACTION,
        ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM users"),
    ),
    # long-running-statement: two join conditions were forgotten. One process, so that a machine
    # of two cores keeps one.
    Stuck(
        "metabase",
        Until.ACTIVE,
        (
            "SET LOCAL max_parallel_workers_per_gather = 0",
            "SELECT u.country, sum(i.price * i.quantity) FROM users u, orders o, order_items i"
            " WHERE o.status = 'returned' GROUP BY u.country",
        ),
    ),
)
"""In the order in which they must connect: each is in its state before the next begins."""

POOL = "shop-web"
"""Who holds the idle connections: connections-near-limit, idle-connections."""

POOL_SHARE = 0.85
"""The share of the connections for ordinary roles that is taken in the end: 80 % to 90 %."""

POOL_MOST = 90
"""Idle connections are never more than this, however many the server would take."""

# reserved_connections exists from 16 on; a setting that is not there counts as 0.
FREE_SLOTS = """
SELECT sum(CASE s.name WHEN 'max_connections' THEN s.setting::int ELSE -s.setting::int END)::int,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int
FROM   pg_settings s
WHERE  s.name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
"""
"""The connections for ordinary roles, and the client sessions that there are."""
