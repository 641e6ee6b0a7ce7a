"""What the log says of sessions: in RDS Proxy's words, with the client's address and names.

Statements appear as digests only: their literals are replaced.
"""

import logging
import os
import socket

from forebay.relay import Client
from forebay.session.causes import PinReason
from forebay.worker.kept import settings_of

logger = logging.getLogger("forebay.session")


def pinned(
    client: Client, reason: PinReason, said: str, digest: str, until: str | None = None
) -> None:
    """The client is pinned now; `said` is what stands behind "Reason:". `until`: when that ends, if
    it is not told in RDS Proxy's words."""
    lasting = "for the remainder of the session" if until is None else f"until {until}"
    logger.warning(
        "The client session was pinned to the database connection [dbConnection=%d] %s."
        " The proxy can't reuse this connection until %s. Reason: %s%s",
        _connection_of(client),
        lasting,
        "the session ends" if until is None else "then",
        said,
        _quoted(digest),
        extra={
            "fields": {
                "reason": reason.value,
                "client": address_of(client),
                **describe(client),
            }
        },
    )


def will_pin(client: Client, reason: PinReason, said: str, digest: str) -> None:
    """A statement that was prepared will pin its client when it runs."""
    logger.info(
        "If this prepared statement runs, the client session will be pinned to the database"
        " connection [dbConnection=%d]. Reason: %s%s",
        _connection_of(client),
        said,
        _quoted(digest),
        extra={"fields": {"reason": reason.value, **describe(client)}},
    )


def no_longer_pinned(
    client: Client, reason: PinReason, duration_s: float, *, has_left: bool = False
) -> None:
    """A pin is over, after so many seconds. `has_left`: because its client has ended."""
    logger.info(
        "The client session is no longer pinned: %s%s",
        reason.value,
        " (the client has left)" if has_left else "",
        extra={
            "fields": {
                "reason": reason.value,
                "duration_s": round(duration_s, 3),
                **describe(client),
            }
        },
    )


def no_room_for_statements(client: Client, limit: int, refused: int) -> None:
    """All clients together have prepared as much as they may; so many statements were refused
    since that was told last."""
    logger.warning(
        "Clients have prepared statements of %d bytes together, and may prepare no more that nobody"
        " has: %d refused",
        limit,
        refused,
        extra={"fields": {"refused": refused, "client": address_of(client), **describe(client)}},
    )


def closed(client: Client, reason: str) -> None:
    """The client has gone."""
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug(
            "The client connection closed. Reason: %s", reason, extra={"fields": describe(client)}
        )


def _quoted(digest: str) -> str:
    return f' Digest: "{digest}".' if digest else ""


def _connection_of(client: Client) -> int:
    return 0 if client.server is None else client.server.pid


def address_of(client: Client) -> str:
    """Where the client is, with its port; empty for a Unix socket, or if it has gone."""
    if client.is_closed:
        return ""
    try:
        with socket.socket(fileno=os.dup(client.fd)) as copy:
            name = copy.getpeername()
    except OSError:
        return ""
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""


def describe(client: Client) -> dict[str, str | int]:
    """Who the client is, by its number and names."""
    values = dict(settings_of(client).values)
    return {
        "clientConnection": client.process_id,
        "user": client.pool.user,
        "database": client.pool.database,
        "application_name": values.get("application_name", ""),
    }
