"""Which connections have had their time: the old, the surplus, those that were made with an old
password, and those that do not answer any more.
"""

import random
from collections.abc import Container
from typing import TYPE_CHECKING

from forebay.relay import Lease, Server

if TYPE_CHECKING:
    from forebay.worker.pool.manager import PoolManager

# What Forebay asks between two clients may take so long; then the database is taken to be gone.
UNANSWERED_S = 30.0
# Connections that were made with an old password are replaced within this time.
RENEWAL_S = 60.0


class Upkeep:
    """Closes connections of one manager's. Time is an argument, in seconds of the loop's clock."""

    def __init__(self, manager: "PoolManager") -> None:
        self._manager = manager
        # Connections without a client that owe Forebay an answer, and since when that is known.
        self._unanswered: dict[tuple[Server, Lease], float] = {}

    def renew(self, user: str, lasting: Container[object], now: float) -> None:
        """Connections of this user that were not made by one of these logins are to be replaced in
        some time, not all at once. Clients that would be refused for the old one may try again."""
        for pool in self._manager.pools.values():
            if pool.user == user:
                self._manager.openings.forget_errors(pool)
        for server in self._manager.servers:
            if server.pool.user == user and server.made_by not in lasting:
                delay_s = RENEWAL_S * random.random()  # noqa: S311 - no secret
                server.renew_at = min(server.renew_at, now + delay_s)
        self._manager.schedule()

    def close_idle(self, now: float, max_idle_time_s: float, max_age_s: float) -> None:
        """Close idle connections that are too old, and long unused ones beyond the idle limit."""
        for server in self._manager.servers:
            is_old = now - server.opened_at > max_age_s * server.age_jitter
            if is_old or now > server.renew_at:
                server.retired = True
        idle_limit = 0 if self._manager.budget is None else self._manager.budget.idle_limit
        idle = [server for pool in self._manager.pools.values() for server in pool.idle]
        surplus = len(idle) - idle_limit
        for server in sorted(idle, key=lambda server: server.idle_since):
            if server.retired:
                self._manager.close_idle(
                    server, "it reached its greatest age, or was to be renewed"
                )
            elif surplus > 0 and now - server.idle_since > max_idle_time_s:
                self._manager.close_idle(
                    server, "it was idle beyond the limit for idle connections"
                )
            else:
                continue
            surplus -= 1

    def close_unanswering(self, now: float) -> None:
        """Close connections that do not answer what Forebay has asked for nobody's sake."""
        asked = [
            (server, server.lease)
            for server in self._manager.servers
            if server.client is None and server.ledger.action()
        ]
        self._unanswered = {each: self._unanswered.get(each, now) for each in asked}
        for (server, _), since in self._unanswered.items():
            if now - since > UNANSWERED_S:
                server.shut("it does not answer")
