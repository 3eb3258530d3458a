"""What each program of the demo's fleet asks: a connection and a turn in, statements out.

Every visit is a function of its turn number, so that two runs ask the same questions.
The comments name the check that should notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from psycopg import Connection
from psycopg.types.numeric import Int8

Visit = Callable[[Connection[Any], int], None]
"""One round of a program's work: the connection, and the number of the round from 0."""


@dataclass(frozen=True, slots=True)
class Program:
    """One member of the fleet: the name it connects with and what it does again and again.

    `pause` is the time in seconds between two rounds; `prepare` are statements run once before.
    """

    application_name: str
    visit: Visit
    pause: float = 0.0
    prepare: tuple[str, ...] = ()


def show_orders(connection: Connection[Any], turn: int) -> None:
    """Show a customer's orders the N+1 way: one query for the orders, one more for each of them.

    unindexed-foreign-key and seq-scan-heavy-table (orders, order_items), slow-statement,
    dominant-statement.
    """
    customer = 1 + turn * 7919 % 20_000
    orders = connection.execute(
        "SELECT id, status, total FROM orders WHERE user_id = %s ORDER BY created_at DESC LIMIT 5",
        [customer],
    ).fetchall()
    for order in orders:
        # Int8: a bare int is sent with the smallest type that holds it, which makes two statements.
        items = connection.execute(
            "SELECT id, product_id, quantity, price FROM order_items WHERE order_id = %s",
            [Int8(order[0])],
        ).fetchall()
        for item in items:
            connection.execute("SELECT name, price FROM products WHERE id = %s", [item[1]])


def browse(connection: Connection[Any], turn: int) -> None:
    """Stamp the session, write one event row at a time, and look up each comment's author singly.

    dead-tuples (sessions), stale-statistics and never-vacuumed-table (events, by their inserts).
    """
    session = 1 + turn * 4001 % 30_000
    connection.execute(
        "UPDATE sessions SET hits = hits + 1, last_seen_at = now() WHERE id = %s", [session]
    )
    for click in range(5):
        connection.execute(
            "INSERT INTO events (id, user_id, kind, payload, occurred_at) VALUES"
            " (gen_random_uuid(), %s, 'page_view', jsonb_build_object('click', %s::int), now())",
            [1 + session % 20_000, click],
        )
    comments = connection.execute(
        "SELECT id, author_id, body FROM comments WHERE document_id = %s ORDER BY created_at",
        [1 + turn * 13 % 35_000],
    ).fetchall()
    for comment in comments:
        connection.execute("SELECT full_name, country FROM users WHERE id = %s", [comment[1]])


def replay_events(connection: Connection[Any], turn: int) -> None:
    """Look up events by their hashed keys, which lie all over the index: index-low-cache-hit."""
    for step in range(10):
        connection.execute(
            "SELECT kind, payload FROM events WHERE id = md5('event ' || %s)::uuid",
            [str(1 + (turn * 10 + step) * 7919 % 150_000)],
        )


def search_documents(connection: Connection[Any], turn: int) -> None:
    """Search in the text of all documents with a pattern that no btree can serve.

    slow-statement, statement-low-cache-hit; seq-scan-heavy-table, table-low-cache-hit (documents).
    """
    word = ("refund", "invoice", "chair", "lamp", "leg of the", "without delay")[turn % 6]
    connection.execute(
        "SELECT id, title FROM documents WHERE title || ' ' || body ILIKE %s"
        " ORDER BY updated_at DESC LIMIT 20",
        [f"%{word}%{turn % 9}0%"],
    )


def purge_returned(connection: Connection[Any], turn: int) -> None:
    """Delete one returned order, for which PostgreSQL looks through all order items.

    unindexed-foreign-key (order_items): what it costs shows where rows of the parent are deleted.
    """
    connection.execute(
        "DELETE FROM orders WHERE id = %s AND status = 'returned'", [Int8(6 + 7 * turn)]
    )


def summarise(connection: Connection[Any], turn: int) -> None:
    """Sum up the events since a moment: an hour of them, but every eighth time all of them.

    statement-time-unstable: the mean says nothing about a statement with two faces.
    """
    since = "2025-01-01" if turn % 8 == 7 else "2025-07-27"
    connection.execute(
        "SELECT kind, count(*), avg((payload ->> 'duration')::int) FROM events"
        " WHERE occurred_at >= %s::timestamptz AND occurred_at < '2025-08-01' GROUP BY kind",
        [since],
    )


def report_sales(connection: Connection[Any], turn: int) -> None:
    """Rank a quarter of the items sold, in the 64 kB of memory that this program was given.

    statement-temp-spill, slow-statement.
    """
    connection.execute(
        "SELECT * FROM (SELECT o.status, i.product_id, i.price, o.note,"
        " rank() OVER (PARTITION BY o.status ORDER BY i.price * i.quantity DESC, i.id) AS place"
        " FROM order_items i JOIN orders o ON o.id = i.order_id WHERE i.quantity = %s) AS ranked"
        " WHERE place <= 10",
        [1 + turn % 4],
    )


def read_price_list(connection: Connection[Any], turn: int) -> None:
    """Read the widest index from one end to the other: index-low-cache-hit."""
    connection.execute(
        "SELECT product_id, min(price), sum(quantity) FROM order_items"
        " WHERE product_id >= %s GROUP BY product_id",
        [turn % 3],
    )


_COLUMNS = ("id", "user_id", "status", "total", "coupon_code", "note", "created_at")
_CHOICES = tuple(
    ", ".join(columns) for size in range(1, 6) for columns in combinations(_COLUMNS, size)
)


def build_reports(connection: Connection[Any], turn: int) -> None:
    """Ask as a report builder does: every choice of columns and order is a statement of its own.

    statements-evicted: more shapes of statement than pg_stat_statements keeps.
    """
    for step in range(4):
        number = turn * 4 + step
        columns = _CHOICES[number % len(_CHOICES)]
        order = _COLUMNS[number // len(_CHOICES) % len(_COLUMNS)]
        sql = f"SELECT {columns} FROM orders WHERE id = %s ORDER BY {order}"
        connection.execute(sql.encode(), [1 + number % 90_000])


FLEET: tuple[Program, ...] = (
    *[Program("shop-web", show_orders)] * 3,
    Program("shop-web", browse, pause=0.005),
    Program("shop-web", search_documents, pause=0.2),
    Program("shop-worker", replay_events, pause=0.01),
    Program("shop-worker", summarise, pause=0.03),
    Program("shop-worker", purge_returned, pause=0.25),
    Program(
        "metabase",
        report_sales,
        pause=0.2,
        prepare=("SET work_mem = '64kB'", "SET max_parallel_workers_per_gather = 0"),
    ),
    Program("metabase", read_price_list, pause=0.2, prepare=("SET random_page_cost = 1.1",)),
    Program("metabase", build_reports, pause=0.05),
)
"""The programs of the shop, one thread each."""
