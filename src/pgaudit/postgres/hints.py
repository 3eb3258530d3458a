"""What libpq said when it could not connect → what to try next."""

from __future__ import annotations

import re
from collections.abc import Mapping

# psycopg gives connection errors no SQLSTATE, so the text decides; it is English, because libpq's own
# messages are and the server's start-up messages are in its lc_messages only.
_HINTS: Mapping[str, str] = {
    r"no password supplied": "put it into ~/.pgpass or PGPASSWORD, or leave out --no-password",
    r"password authentication failed": "check the user name and the password (~/.pgpass, PGPASSWORD)",
    r"no pg_hba\.conf entry.*no encryption": "the server wants TLS: add sslmode=require to the target",
    r"no pg_hba\.conf entry": "allow this host in pg_hba.conf, or run pgaudit on a host that is allowed",
    r"(Peer|Ident) authentication failed": "name a host (-h localhost) or run as that system user",
    r"authentication failed": "check the user name and how pg_hba.conf lets it in",
    r"server does not support SSL": "the server has no TLS: use sslmode=prefer or sslmode=disable",
    r"certificate verify failed|root certificate|certificate.*(not|does)":
        "check sslrootcert, or choose another sslmode",
    r"database \".*\" does not exist": "name a database that exists; psql -l lists them",
    r"role \".*\" does not exist": "name a user that exists (-U), or create it",
    r"permission denied for database": "GRANT CONNECT ON DATABASE … TO this role;",
    r"too many clients|remaining connection slots|too many connections":
        "the server has no free connection; pg_monitor members may use reserved ones from PostgreSQL 16 on",
    r"starting up|not yet accepting|recovery mode": "wait until the server is up, then try again",
    r"shutting down": "wait until the server is back",
    r"unsupported startup parameter": "a pooler refused it: add it to its ignore_startup_parameters",
    r"Connection refused": "is the server running, and are host and port right?",
    r"No such file or directory": "no server listens on that socket: is it running? name a host with -h",
    r"could not translate host name|Name or service not known|resolve": "check the host's name",
    r"timeout|timed out": "a firewall may drop the packets; connect_timeout=… waits longer",
    r"No route to host|Network is unreachable": "check the network and the host's address",
    r"definition of service": "look into ~/.pg_service.conf, or the file that PGSERVICEFILE names",
    r"server closed the connection unexpectedly": "look into the server's log; is that port PostgreSQL's?",
    r"invalid (port|integer)": "the port is a number from 1 to 65535",
}  # fmt: skip


def connecting(said: str) -> str | None:
    """Return a hint for what libpq said, or None.

    >>> connecting('connection to server at "db1" (10.0.0.7), port 5432 failed: Connection refused')
    'is the server running, and are host and port right?'
    """
    for pattern, hint in _HINTS.items():
        if re.search(pattern, said, re.IGNORECASE | re.DOTALL):
            return hint
    return None


def needs_password(said: str) -> bool:
    """Say whether asking for a password might help."""
    return "no password supplied" in said


def plain(said: str) -> str:
    r"""Return what libpq said in one line, without the driver's prefix and its help text.

    >>> plain('connection failed: connection to server on socket "/x" failed: No such file\n\tIs it?')
    'connection to server on socket "/x" failed: No such file'
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    kept = [
        line
        for line in lines
        if not line.startswith(("Is the server running", "Is it", "Multiple"))
    ]
    text = " · ".join(kept)
    for prefix in ("connection failed: ", "connection is bad: "):
        text = text.removeprefix(prefix)
    return text.replace("FATAL:  ", "").replace("FATAL: ", "")
