"""An unwell database: `load` builds it, `workload` runs traffic and holds its sessions open."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.max": "150",
        "track_io_timing": "on",
        "shared_buffers": "16MB",
        "max_connections": "40",
        # As a server has them that is to last; throwaway ones start without.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
    }
)
"""Server settings (values as postgresql.conf takes them) under which every fault can show.

They are those of a small server: 16 MB of buffers for 150 MB of data (low-cache-hit-ratio), 150
statements in pg_stat_statements (statements-evicted), and 40 connections, which an ordinary pool
nearly fills (connections-near-limit).
"""


def schema() -> str:
    """Return the script that makes the unwell schema."""
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


def load(conninfo: str) -> None:
    """Build the unwell schema in the empty database at `conninfo`, in two to three seconds.

    The role must be a superuser, because the script creates pg_stat_statements. Statements run one
    by one, each in a transaction of its own, as psql would run them. psycopg.Error passes through.
    """
    from pgaudit.postgres import scratch

    scratch.run(conninfo, schema(), application_name="shop-migrate")
