"""Connections that are being opened: what became of it, and when it is tried again."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError
from forebay.relay import MicroPool, Server
from forebay.topology.reports import HintKind
from forebay.worker.agenda import Agenda
from forebay.worker.pool.backoff import Backoff

if TYPE_CHECKING:
    from forebay.worker.pool.manager import PoolManager

logger = logging.getLogger("forebay.pool")

# Where the node watches the servers, it is the node that warns of one that is away. When it has not
# noticed anything for so long, the worker does.
NODE_WARNS_S = 2.0
# What a server says that dies, or that does not serve yet.
HINTS: dict[str, HintKind] = {"57P01": "terminated", "57P02": "crashed", "57P03": "starting"}

OpenServer = Callable[[MicroPool], Awaitable[tuple[Server, tuple[int, int]]]]


class Openings:
    """Those of one manager's, which says when one is to be begun.

    `open_server` opens, authenticates and prepares a connection for a micro-pool and returns it
    unstarted with the server's (max_connections, reserved).
    """

    def __init__(self, agenda: Agenda, manager: "PoolManager", open_server: OpenServer) -> None:
        self._agenda = agenda
        self._manager = manager
        self._open_server = open_server
        self._retirements = 0
        self.backoffs: dict[MicroPool, Backoff] = {}

    # ---- what has failed ----

    @property
    def is_failing(self) -> bool:
        """Whether connections could not be opened lately, for a reason that concerns them all."""
        return any(each.is_transient for each in self.backoffs.values())

    def refusal(self, pool: MicroPool) -> Exception | None:
        """What the database has refused connections of `pool` for, as far as it need not be asked
        again yet; None if it may be."""
        backoff = self.backoffs.get(pool)
        if backoff is None or backoff.is_transient or pool.size:
            return None
        if self._agenda.now() < backoff.retry_at:
            return backoff.error
        self._end_backoff(pool)
        return None

    def last_error(self, pool: MicroPool) -> str | None:
        """Why no connection could be opened lately, for those who waited in vain."""
        backoff = self.backoffs.get(pool)
        return None if backoff is None else str(backoff.error)

    def forget_errors(self, pool: MicroPool) -> None:
        """What the database has refused for good may be different by now."""
        backoff = self.backoffs.get(pool)
        if backoff is not None and not backoff.is_transient:
            self._end_backoff(pool)

    def forget(self, pool: MicroPool) -> None:
        """It is gone."""
        self.backoffs.pop(pool, None)

    def forget_all(self) -> None:
        """What was learnt of the server does not hold any more."""
        for pool in list(self.backoffs):
            self._end_backoff(pool)

    def _end_backoff(self, pool: MicroPool) -> None:
        self.backoffs.pop(pool, None)
        pool.retry_at = 0.0

    # ---- what is opened ----

    def begin(self, pool: MicroPool, name: str) -> None:
        """Open a connection for `pool`; there is room. `name`: of the task."""
        pool.begin_opening()
        self._agenda.spawn(self._open(pool), name)

    def retire(self) -> None:
        """Close every connection that is being opened as it comes free."""
        self._retirements += 1

    def retry(self, now: float) -> None:
        """Where connections could not be opened and nobody waits for one, try again, each time that
        it is due: who is sent elsewhere meanwhile may come back."""
        manager = self._manager
        due = [pool for pool, each in self.backoffs.items() if each.retry_at <= now]
        for pool in due:
            is_tried = pool.waiting > 0 or pool.opening > 0
            if manager.has_room and not is_tried and not manager.is_held_back(pool):
                manager.probe(pool)

    async def open_now(self, pool: MicroPool, open_server: OpenServer) -> None:
        """Open a connection for `pool` in a way of its own. The caller has seen to it that there is
        room. Raises PgError or ConnectError with why there is none."""
        pool.begin_opening()
        try:
            await self._open_by(pool, open_server)
        except BaseException:
            self._manager.schedule()  # what was kept free for it may serve another pool
            raise

    async def _open(self, pool: MicroPool) -> None:
        try:
            await self._open_by(pool, self._open_server)
        except (PgError, ConnectError) as error:
            self._failed(pool, error)

    async def _open_by(self, pool: MicroPool, open_server: OpenServer) -> None:
        manager, retirements = self._manager, self._retirements
        try:
            server, told = await open_server(pool)
        except BaseException:
            pool.end_opening(False)
            raise
        pool.end_opening(True)
        manager.servers.add(server)
        manager.record.note_opened(len(manager.servers), self._agenda.now())
        self._end_backoff(pool)
        manager.note_limits(*told)
        server.retired = retirements != self._retirements or manager.is_held_back(pool)
        server.start()
        manager.schedule()

    def _failed(self, pool: MicroPool, error: Exception) -> None:
        manager, now = self._manager, self._agenda.now()
        manager.record.note_failed(len(manager.servers), now)
        kind = hint_of(error)
        if kind is not None:
            manager.hint(kind)
        if manager.census.on_hold:
            return  # there may be no server at all now: nobody is to be refused for that
        manager.relieve()
        backoff = Backoff.after(error, now, self.backoffs.get(pool))
        self.backoffs[pool] = backoff
        pool.retry_at = backoff.retry_at
        fields = {"database": pool.database, "user": pool.user, "retry_in_s": backoff.delay_s}
        is_news = kind is None or not manager.limits.is_watched
        has_lasted = now - backoff.since >= NODE_WARNS_S
        logger.log(
            logging.WARNING if is_news or has_lasted else logging.INFO,
            "A database connection could not be opened: %s",
            error,
            extra={"fields": fields},
        )
        if backoff.is_transient or pool.size:
            # Those who wait have time left, or other connections of this pool will serve them.
            self._agenda.later(backoff.delay_s, manager.schedule)
        else:
            manager.refuse_all(pool, error)
        manager.schedule()  # what was kept free for it may serve another pool


def hint_of(error: Exception) -> HintKind | None:
    """What a failure says of the server as a whole; None if it says nothing."""
    if isinstance(error, ConnectError):
        return "refused" if error.transient else None
    return HINTS.get(error.sqlstate) if isinstance(error, PgError) else None
