"""Requests that take longer than they may, and transactions that are idle for too long.

Both timeouts are PgBouncer's. A request is cancelled first, as PostgreSQL's statement_timeout does
it; only one that goes on regardless costs its client the connection, as with PgBouncer.
"""

import logging
from functools import partial
from typing import TYPE_CHECKING

from forebay.protocol import errors
from forebay.protocol.errors import PgError
from forebay.relay import Client, Server
from forebay.worker.agenda import Agenda
from forebay.worker.pool.holders import NAMED, Holder, holder_of, named

if TYPE_CHECKING:
    from forebay.worker.pool.manager import PoolManager

logger = logging.getLogger("forebay.pool")

# So long a request may go on when it was cancelled.
GRACE_S = 5.0


class Overdue:
    """Looks after the clients that have a connection of one manager's. Time is an argument."""

    def __init__(self, agenda: Agenda, manager: "PoolManager") -> None:
        self._agenda = agenda
        self._manager = manager
        # Requests that were cancelled: since when each was at the database, and since when it is
        # the database that it waits for.
        self._cancelled: dict[Server, tuple[float, float]] = {}

    def look(self, now: float) -> None:
        """Cancel requests and end clients whose time is over."""
        if not self._manager.groups.has_timeouts:
            return
        cancelled: list[Holder] = []
        ended: list[Holder] = []
        idle: list[Holder] = []
        self._cancelled = {
            server: (asked_at, cancelled_at)
            for server, (asked_at, cancelled_at) in self._cancelled.items()
            if _goes_on(server, asked_at)
        }
        for server in list(self._manager.servers):
            client = server.client
            if client is None or server.is_closed:
                continue
            if self._is_request_overdue(server, now):
                holder = holder_of(server)
                if server not in self._cancelled:
                    self._cancel(server, now)
                    cancelled.append(holder)
                elif self._is_beyond_grace(server, client, now):
                    _end(client, server, errors.query_timeout())
                    ended.append(holder)
            elif self._is_transaction_overdue(server, client, now):
                idle.append(holder_of(server))
                _end(client, None, errors.idle_transaction_timeout())
        _tell("Requests are cancelled, as query_timeout is over", cancelled, now)
        _tell("Requests did not end when they were cancelled: the connections close", ended, now)
        _tell("Clients are ended, as idle_transaction_timeout is over", idle, now)

    # ---- requests ----

    def _is_request_overdue(self, server: Server, now: float) -> bool:
        """Not the time that it has waited for a connection counts, but all at the database: the
        data of a COPY, and the sending of the result, however slowly the client reads it."""
        groups = self._manager.groups
        lasts_s = now - server.asked_at
        if lasts_s < groups.shortest_query_timeout_s:
            return False  # as with most: it need not be known whose it is
        if not server.asked_at or not server.ledger.count:
            return False
        timeout_s = groups.query_timeout_s(server.pool)
        return 0 < timeout_s <= lasts_s

    def _cancel(self, server: Server, now: float) -> None:
        self._cancelled[server] = server.asked_at, now
        self._agenda.spawn(self._deliver(server, server.asked_at), "cancel for query_timeout")

    async def _deliver(self, server: Server, asked_at: float) -> None:
        """The client's next request waits meanwhile. (One that the client itself has cancelled may
        be hit, as with PostgreSQL.)"""
        server.timeouts_in_flight += 1
        try:
            await self._manager.cancel(server, partial(_goes_on, server, asked_at))
        finally:
            server.timeout_finished()

    def _is_beyond_grace(self, server: Server, client: Client, now: float) -> bool:
        """Whether a cancelled request is to end with its connection. While the database waits for
        the client it does not hear of the cancelling, and is not to be blamed: it has its time
        again when the client goes on. idle_client_timeout is for clients that do not."""
        asked_at, waits_since = self._cancelled[server]
        if client.is_stalled:
            self._cancelled[server] = asked_at, now
            return False
        return now - waits_since >= GRACE_S

    # ---- transactions ----

    def _is_transaction_overdue(self, server: Server, client: Client, now: float) -> bool:
        """Idle is a client whose last request is answered, and who has not begun another one."""
        groups = self._manager.groups
        lasts_s = now - client.last_active
        if lasts_s < groups.shortest_idle_transaction_timeout_s:
            return False
        if not server.in_transaction or server.ledger.count:
            return False
        timeout_s = groups.idle_transaction_timeout_s(server.pool)
        return 0 < timeout_s <= lasts_s and not client.is_busy and not client.is_stalled


def _goes_on(server: Server, asked_at: float) -> bool:
    """Whether the request that is at the database since then is still not answered."""
    return not server.is_closed and server.client is not None and server.asked_at == asked_at


def _end(client: Client, server: Server | None, error: PgError) -> None:
    """End `client`, and close its connection if that is given; else it goes on without it."""
    client.fail(error.encode(), error.message)
    if server is not None and not server.is_closed:
        server.shut(error.message)


def _tell(what: str, holders: list[Holder], now: float) -> None:
    """Tell the log, many at once in one line."""
    if holders:
        holders.sort(key=lambda each: each.since)
        logger.warning(
            "%s: %s",
            what,
            named(holders, now),
            extra={
                "fields": {
                    "count": len(holders),
                    "holders": [each.fields(now) for each in holders[:NAMED]],
                }
            },
        )
