"""Hold and switch: what the pool does while it is not known which server writes, and when that is
another one.

    UP ── hold ──▶ nobody is lent a connection, none is opened; requests wait in order, and those
     ▲             that run already go on
     ├─ release ── the same server: idle connections are asked first whether it still writes
     └─ switch ─── another one, or the same started anew: every connection is cut before the first
                   to it is opened

Which of these, and when, is decided in the node (`forebay.topology`).
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from forebay.protocol.messages import parse_data_row
from forebay.relay import Command, Server
from forebay.session.settings import WITHOUT_TIMEOUT
from forebay.topology.questions import READ_ONLY

if TYPE_CHECKING:
    from forebay.worker.pool.manager import PoolManager

logger = logging.getLogger("forebay.pool")

WRITES_QUERY = (
    f"{WITHOUT_TIMEOUT} SELECT NOT (pg_catalog.pg_is_in_recovery() OR coalesce({READ_ONLY}, false))"
)
READ_ONLY_CAUSE = "the server says that it does not write any more"
# As long as the node may take to find that out, or something else.
NODE_ANSWERS_S = 1.0
HOLD_HINT = (
    "Requests wait until a server is found that writes, as long as connection_borrow_timeout"
    " allows; see forebay status."
)


class Holding:
    """Of one proxy's connections. ``cause``: in words, why they are held; empty: they are not.
    ``hint``: the way out."""

    def __init__(self, manager: "PoolManager", now: Callable[[], float]) -> None:
        self._manager = manager
        self._now = now
        self._is_own = False  # nobody but a connection has said so yet
        self._own_until = 0.0
        self.cause = ""
        self.hint = HOLD_HINT

    def hold(self, cause: str) -> None:
        """From now on nobody is lent a connection, and none is opened."""
        self._is_own = False
        if not self._manager.census.on_hold:
            self._manager.census.on_hold = True
            self._manager.record.note_held(self._now())
            fields = {"cause": cause, "connections": len(self._manager.servers)}
            logger.info("Requests wait: %s", cause, extra={"fields": fields})
        self.cause = cause

    def hold_until_told(self) -> None:
        """A connection has said that its server does not write any more, which the node will hear
        at once; should it think otherwise, requests are served again in a while."""
        if self._manager.census.on_hold:
            return
        self.hold(READ_ONLY_CAUSE)
        self._is_own = True
        self._own_until = self._now() + NODE_ANSWERS_S

    def look_again(self) -> None:
        """Called when ``hold_until_told`` may be over."""
        if self._is_own and self._now() >= self._own_until:
            self.release()

    def release(self) -> None:
        """Lend and open connections again. A server that was doubted may be a standby by now, to
        which connections from before lead: each idle one is asked before anybody gets it."""
        census = self._manager.census
        if not census.on_hold:
            return
        census.on_hold, self.cause, self._is_own = False, "", False
        self._manager.record.note_released(self._now())
        fields = {"waiting": self._manager.waiting, "connections": len(self._manager.servers)}
        logger.info("Requests are served again", extra={"fields": fields})
        for pool in list(self._manager.pools.values()):
            pool.retry_at = 0.0
            for server in list(pool.idle):
                pool.take(server)
                server.run(WRITES_QUERY.encode(), self._told)
        self._manager.schedule()

    def switch(self, reason: str) -> None:
        """Another server writes from now on: cut every connection. Those being opened are closed
        when they are there. Clients are told what has become of what they had asked."""
        manager = self._manager
        was_on_hold, manager.census.on_hold = manager.census.on_hold, True
        manager.record.note_switch(self._now())
        manager.openings.retire()
        for server in list(manager.servers):
            server.cut(reason)
        manager.forget_server()
        manager.census.on_hold = was_on_hold

    def _told(self, server: Server, command: Command) -> None:
        if writes(command) is not True:
            server.retired = True


def writes(command: Command) -> bool | None:
    """What the answer to ``WRITES_QUERY`` says; None: nothing."""
    if command.error is not None:
        return None
    rows = [parse_data_row(bytes(each)) for each in command.rows]
    return {"t": True, "f": False}.get(rows[0][0] or "") if len(rows) == 1 else None
