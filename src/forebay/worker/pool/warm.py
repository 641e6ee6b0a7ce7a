"""Connections to standbys, logged in ahead of time: when one of these servers writes, the first
requests do not wait for logins.

Sessions of a standby survive its promotion, and may write then. Two are kept to each, for the
micro-pool that has the most to do. They are asked something now and then; one that does not answer
is replaced.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forebay.net.connector import ConnectError, DatabaseConnection, Target, simple_query
from forebay.protocol.errors import PgError
from forebay.relay import MicroPool
from forebay.worker.agenda import Agenda
from forebay.worker.identities import Attempt
from forebay.worker.pool.opener import Opener

KEPT = 2
# Of one proxy; a cluster of many standbys promotes one of the first of them as well as any.
STANDBYS = 4
# Behind a change of the standbys, and as long as there is none.
SETTLE_S = 1.0
LOOK_S = 10.0
ANSWER_TIMEOUT_S = 1.0


@dataclass(slots=True, eq=False)
class Ready:
    """One connection, and for which micro-pool it will do."""

    connection: DatabaseConnection
    attempt: Attempt
    database: str
    user: str

    def fits(self, pool: MicroPool) -> bool:
        """Whether it is one of this micro-pool's."""
        return (self.database, self.user) == (pool.database, pool.user)


class Warm:
    """Of one proxy. ``busiest``: the micro-pool that has the most to do; None if there is none."""

    def __init__(
        self, agenda: Agenda, opener: Opener, busiest: Callable[[], MicroPool | None]
    ) -> None:
        self._agenda = agenda
        self._opener = opener
        self._busiest = busiest
        self._standbys: tuple[Target, ...] = ()
        self._kept: dict[Target, list[Ready]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_looking = self._is_closed = False

    def want(self, standbys: Sequence[Target]) -> None:
        """These are the standbys now. What is kept of others is closed in a while: one that writes
        by now is about to be taken from."""
        wanted = tuple(standbys[:STANDBYS])
        if wanted != self._standbys and not self._is_closed:
            self._standbys = wanted
            self._look_in(SETTLE_S)

    def take(self, target: Target, pool: MicroPool) -> Ready | None:
        """A connection to this server for this micro-pool; None if there is none."""
        kept = self._kept.get(target, [])
        found = next((each for each in kept if each.fits(pool)), None)
        if found is not None:
            kept.remove(found)
        return found

    def close(self) -> None:
        """Keep nothing any more."""
        self._is_closed, self._standbys = True, ()
        if self._timer is not None:
            self._timer.cancel()
        self._drop_others()

    def _look_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_closed:
            self._timer = self._agenda.later(delay_s, self._begin_to_look)

    def _begin_to_look(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            self._agenda.spawn(self._look(), "keep connections to standbys")

    async def _look(self) -> None:
        """Look after all, and again in a while as long as something is to be kept."""
        try:
            self._drop_others()
            for target in self._standbys:
                await self._replace_unfit(target)
                await self._fill(target)
        finally:
            self._is_looking = False
        if self._standbys:
            self._look_in(LOOK_S)

    def _drop_others(self) -> None:
        for target in self._kept.keys() - set(self._standbys):
            for each in self._kept.pop(target):
                each.connection.close()

    async def _replace_unfit(self, target: Target) -> None:
        pool = self._busiest()
        for each in list(self._kept.get(target, ())):
            is_fit = pool is not None and each.fits(pool) and await _answers(each)
            if not is_fit and each in self._kept.get(target, ()):  # nobody has taken it meanwhile
                self._kept[target].remove(each)
                each.connection.close()

    async def _fill(self, target: Target) -> None:
        while target in self._standbys and len(self._kept.get(target, ())) < KEPT:
            pool = self._busiest()
            if pool is None:
                return
            try:
                connection, attempt = await self._opener.connect_to(target, pool)
            except (PgError, ConnectError):
                return  # whether it can be reached is the node's to say
            if target not in self._standbys:
                connection.close()
                return
            ready = Ready(connection, attempt, pool.database, pool.user)
            self._kept.setdefault(target, []).append(ready)


async def _answers(ready: Ready) -> bool:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await simple_query(ready.connection.stream, "SELECT 1", ready.connection.parameters)
    except (PgError, ConnectError, TimeoutError):
        return False
    return True
