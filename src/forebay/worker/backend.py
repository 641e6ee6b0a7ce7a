"""One database server, as one proxy uses it: the connections there, and how they come to be.

A READ_WRITE proxy has exactly one, whose address may become another; a READ_ONLY one has one for
each server that it reads from.

    Proxy ──▶ Backend ─▶ PoolManager ◀── Opener ──▶ database
                      ─▶ Canceller, Chores
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from forebay.config.settings import ProxySettings
from forebay.net.connector import ConnectError, Target
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError
from forebay.relay import MicroPool, Server
from forebay.session.settings import InternTable, Parameters
from forebay.worker.agenda import Agenda
from forebay.worker.cancel import Canceller
from forebay.worker.evacuation import Evacuator
from forebay.worker.kept import parameters_of
from forebay.worker.pool.chores import Chores
from forebay.worker.pool.manager import Limits, PoolManager
from forebay.worker.pool.opener import Login, Opener
from forebay.worker.pool.warm import ANSWER_TIMEOUT_S, Warm
from forebay.worker.sessions.greetings import Greetings


@dataclass(frozen=True, slots=True)
class Common:
    """What all backends of one proxy have in common."""

    agenda: Agenda
    intern: InternTable
    greetings: Greetings
    evacuator: Evacuator
    tls_contexts: ClientContexts


class Backend:
    """One database server for one proxy. ``target``: where it is now. ``number``: tells it from the
    proxy's others, past ones included."""

    def __init__(
        self, common: Common, target: Target, login: Login, settings: ProxySettings, number: int = 0
    ) -> None:
        self.target = target
        self.number = number
        self._greetings = common.greetings
        self._evacuator = common.evacuator
        agenda, tls_contexts = common.agenda, common.tls_contexts
        self.canceller = Canceller(lambda: self.target, tls_contexts)
        self.opener = Opener(agenda, common.intern, login, lambda: self.target, tls_contexts)
        self.manager = PoolManager(
            agenda,
            limits_of(settings),
            common.intern,
            self._open,
            self.canceller.cancel_server,
        )
        self.manager.holds.forget = self._forget_databases
        self.manager.groups.apply(settings)
        self.chores = Chores(agenda, self.manager)
        self.warm = Warm(agenda, self.opener, self._busiest)
        # What the connection opened last reports, by (database, user).
        self._reported: dict[tuple[str, str], Parameters] = {}
        self._join()

    @property
    def place(self) -> tuple[str, int]:
        """Host and port, by which evacuations know the server."""
        return self.target.host, self.target.port

    def apply(self, settings: ProxySettings, login: Login) -> None:
        """Be so from now on. Transactions that run go on where they are."""
        self.opener.login = login
        self.manager.groups.apply(settings)
        self.manager.apply(limits_of(settings))
        self.manager.schedule()

    def aim(self, target: Target) -> bool:
        """Connections are opened there from now on. Returns whether that is another place."""
        if target == self.target:
            return False
        self._leave()
        self.target = target
        self._join()
        return True

    def move(self, target: Target) -> None:
        """Another target: connections to the one before are closed as they come free."""
        self.aim(target)
        self._reported.clear()
        self.manager.move()

    def shun(self, cause: str, hint: str) -> None:
        """Open and lend no connections any more, and close those that are there as they come free.
        `cause`, `hint`: for clients who have waited here for too long."""
        manager = self.manager
        manager.holding.cause, manager.holding.hint = cause, hint
        if not manager.census.on_hold:
            manager.census.on_hold = True
            manager.forget_server()
            manager.budget = None
            manager.retire_all()
            self._leave()

    def welcome(self) -> None:
        """Use it again."""
        manager = self.manager
        manager.census.on_hold, manager.holding.cause = False, ""
        self._reported.clear()
        self._leave()
        self._join()
        manager.schedule()

    def probe(self, database: str, identity: str) -> None:
        """Open a connection before any client wants one: it tells the server's limits."""
        pool = self.manager.pool(database, identity)
        if not self.manager.is_held_back(pool):
            self.manager.probe(pool)

    def stand_aside(self) -> None:
        """Take no part any more in what concerns all who connect to the same server."""
        self._leave()
        self.warm.close()

    def _join(self) -> None:
        """Take part in what concerns all who connect to the same server."""
        self._evacuator.add(self.place, self.manager.holds)

    def _leave(self) -> None:
        self._evacuator.remove(self.manager.holds)

    async def _open(self, pool: MicroPool) -> tuple[Server, tuple[int, int]]:
        """See `Opener.open`. A database that reports something else than before (it was upgraded,
        say, or its defaults were changed) is no longer greeted for from memory."""
        server, told = await self._open_warm(pool) or await self.opener.open(pool)
        place = pool.database, pool.user
        parameters = parameters_of(server)
        if self._reported.setdefault(place, parameters) is not parameters:
            self._reported[place] = parameters
            self._greetings.forget()
        return server, told

    async def _open_warm(self, pool: MicroPool) -> tuple[Server, tuple[int, int]] | None:
        """A connection that was made while the server was a standby; None if there is none, or none
        that is any good."""
        while (ready := self.warm.take(self.target, pool)) is not None:
            with contextlib.suppress(PgError, ConnectError):
                return await self.opener.open_over(
                    ready.connection, ready.attempt, pool, ANSWER_TIMEOUT_S
                )
        return None

    def _busiest(self) -> MicroPool | None:
        pools = self.manager.pools.values()
        return max(pools, key=lambda pool: (pool.size, pool.clients), default=None)

    def _forget_databases(self, is_meant: Callable[[str], bool]) -> None:
        """Databases of these names are gone, or others: nobody is greeted for them from memory."""
        self._greetings.forget_databases(is_meant)
        for place in [place for place in self._reported if is_meant(place[0])]:
            del self._reported[place]


def limits_of(settings: ProxySettings) -> Limits:
    """What a manager is to keep to."""
    pool = settings.pool
    return Limits(
        max_connections_percent=pool.max_connections_percent,
        max_idle_connections_percent=pool.max_idle_connections_percent,
        max_waiting_clients=pool.max_waiting_clients,
        init_query=pool.init_query.strip(),
        max_connections=pool.max_connections,
        is_watched=settings.target.is_watched,
    )
