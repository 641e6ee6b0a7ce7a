"""PgBouncer's PAUSE, RESUME, RECONNECT and KILL, as they concern the connections of one proxy.

    PAUSE       nobody is lent a connection any more; idle ones are closed, others as they come
                free: after a transaction, or a pin. Clients log in and wait in the queue
    RESUME      connections are opened and lent again
    RECONNECT   connections are closed as they come free; new ones are opened meanwhile
    KILL        clients and connections are ended now; new clients wait until RESUME

What is paused is told by the node with everything else that a proxy is to be like, so that a worker
that is started later is told, too. (PgBouncer: usage.md, "Admin console".)
"""

import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from forebay.protocol import errors
from forebay.relay import Client, MicroPool

if TYPE_CHECKING:
    from forebay.worker.pool.manager import PoolManager

logger = logging.getLogger("forebay.pool")

EVERYTHING = ""
"""Instead of a database's name: all of them, also those that nobody has used yet."""
PAUSED_DETAIL = "An administrator has paused the database."
PAUSED_HINT = "It is served again after RESUME."


class Pausing:
    """The databases of one proxy whose connections are lent to nobody."""

    def __init__(self, manager: "PoolManager") -> None:
        self._manager = manager
        self._databases: frozenset[str] = frozenset()

    def covers(self, pool: MicroPool) -> bool:
        """Whether nobody is to get a connection of `pool` now."""
        return _are_meant(self._databases, pool)

    def apply(self, databases: Iterable[str]) -> None:
        """These are paused from now on, and no others."""
        before, self._databases = self._databases, frozenset(databases)
        if self._databases == before:
            return
        for pool in self._manager.pools.values():
            self._manager.mark(pool)
        pools = [each for each in self._pools(EVERYTHING) if self.covers(each)]
        new = {each for each in pools if not _are_meant(before, each)}
        self._vacate(new, "the database is paused")
        logger.info(
            "%s",
            "Databases are paused" if self._databases else "No database is paused any more",
            extra={"fields": {"databases": ", ".join(each or "all" for each in self._databases)}},
        )
        self._manager.schedule()

    def left(self, database: str) -> int:
        """How many connections a pause of `database` waits for, those being opened included."""
        return sum(pool.size for pool in self._pools(database))

    def reconnect(self, database: str) -> None:
        """Close the connections of `database` as they come free, what is being opened too."""
        if database == EVERYTHING:
            self._manager.retire_all()
            return
        self._manager.openings.retire()
        self._vacate(set(self._pools(database)), "it was retired")
        self._manager.schedule()

    def kill(self, database: str, clients: Iterable[Client]) -> None:
        """End the connections of `database` now, and those of `clients` that use it."""
        farewell = errors.admin_shutdown().encode()
        pools = set(self._pools(database))
        for client in list(clients):
            if client.pool in pools:
                client.fail(farewell, "an administrator has ended it (KILL)")
        for server in [each for each in self._manager.servers if each.pool in pools]:
            server.shut("an administrator has ended it (KILL)")

    def _vacate(self, pools: set[MicroPool], reason: str) -> None:
        """Close the connections of these as they come free; idle ones now, for this reason."""
        for server in self._manager.servers:
            if server.pool in pools:
                server.retired = True
        for pool in pools:
            for server in list(pool.idle):
                self._manager.close_idle(server, reason)

    def _pools(self, database: str) -> list[MicroPool]:
        pools = list(self._manager.pools.values())
        return [pool for pool in pools if _are_meant((database,), pool)]


def _are_meant(databases: Collection[str], pool: MicroPool) -> bool:
    return EVERYTHING in databases or pool.database in databases
