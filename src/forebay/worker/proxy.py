"""One endpoint with its pool: puts together what serves its clients.

Doorman ──▶ log_in ──▶ Sessions ──▶ relay ⇄ MicroPool ◀── PoolManager ◀── Opener ──▶ database
                                                Janitor: whatever is due
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from forebay.channel import Begin, PoolAction
from forebay.config.settings import ProxySettings
from forebay.net import handshake
from forebay.net.connector import Target
from forebay.net.login import LoggedIn, LoginFailed, log_in, refuse
from forebay.net.stream import Stream
from forebay.net.tls import ClientContexts
from forebay.protocol import errors
from forebay.protocol.errors import PgError
from forebay.protocol.startup import CancelRequest
from forebay.relay import MicroPool, Server
from forebay.session.settings import InternTable, Parameters
from forebay.worker.admin import Admin
from forebay.worker.agenda import Agenda
from forebay.worker.asking import AskNode
from forebay.worker.cancel import Canceller
from forebay.worker.doorman import Doorman
from forebay.worker.evacuation import Evacuations, Evacuator
from forebay.worker.front import Front, target_of
from forebay.worker.identities import Identities
from forebay.worker.kept import parameters_of
from forebay.worker.pool.janitor import Janitor, Timeouts
from forebay.worker.pool.manager import Limits, PoolManager
from forebay.worker.pool.opener import Login, Opener
from forebay.worker.prepared import Prepared
from forebay.worker.sessions.cancel_keys import CancelKeys
from forebay.worker.sessions.functions import sought_by
from forebay.worker.sessions.sessions import Sessions

logger = logging.getLogger("forebay.login")

# How often a drain looks whether the last client has gone.
DRAIN_STEP_S = 0.02


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the proxies of one worker have in common. ``begin``: what makes their cancel keys."""

    agenda: Agenda
    evacuator: Evacuator
    ask: AskNode
    begin: Begin


class Proxy:
    """One endpoint. Made by ``Proxy.start``."""

    def __init__(self, around: Surroundings, prepared: Prepared) -> None:
        agenda, settings = around.agenda, prepared.given.settings
        self.prepared = prepared
        self._around = around
        self._agenda = agenda
        self._draining = False
        self._tls_contexts = ClientContexts()
        self._intern = InternTable()
        keys = CancelKeys(around.begin, prepared.given.name)
        self._admin = Admin(prepared.given.name, around.ask, keys, lambda: self.settings)
        self.sessions = Sessions(agenda, self._intern, keys)
        self._canceller = Canceller(self._target, self._tls_contexts)
        self._identities = Identities(prepared.given.name, self._target, around.ask)
        self.opener = Opener(agenda, self._intern, self._login(), self._target, self._tls_contexts)
        self.manager = PoolManager(
            agenda,
            _limits(settings),
            self._intern,
            self._open,
            self._canceller.cancel_server,
        )
        self.manager.holds.forget = self._forget_databases
        self.manager.groups.apply(settings)
        self._front = Front(agenda, around.ask, self._identities, self.opener, self.manager)
        # What the connection opened last reports, by (database, user).
        self._reported: dict[tuple[str, str], Parameters] = {}
        self._janitor = Janitor(agenda, _timeouts(settings), self.manager, self.sessions)
        self._doorman = Doorman(agenda.loop, self._log_in)
        self._use()
        self._join()

    @classmethod
    def start(
        cls, around: Surroundings, prepared: Prepared, passed: Mapping[int, socket.socket]
    ) -> "Proxy":
        """Serve this endpoint. `passed`: listening sockets that are new in this worker."""
        proxy = cls(around, prepared)
        handshake.prepare(around.agenda.loop)
        proxy._janitor.start()
        proxy._doorman.listen(prepared.given.listeners, passed)
        proxy._probe()
        return proxy

    def change(self, prepared: Prepared, passed: Mapping[int, socket.socket]) -> None:
        """Be so from now on. Transactions that run go on where they are."""
        old, self.prepared = self.prepared, prepared
        target, before = self.settings.target, old.given.settings
        self._use()
        self._doorman.listen(prepared.given.listeners, passed)
        self.opener.login = self._login()
        self.manager.groups.apply(self.settings)
        self.manager.apply(_limits(self.settings))
        self.manager.schedule()
        self._janitor.timeouts = _timeouts(self.settings)
        if self.settings.pool.init_query != before.pool.init_query:
            self.sessions.greetings.forget()
        if target != before.target:
            self._move()

    def _use(self) -> None:
        """What others look at. Those whose identity is gone have to go."""
        settings = self.settings
        self.sessions.apply(settings.pinning, sought_by(settings))
        self.sessions.losses.in_transaction_error = settings.in_transaction_error
        self.sessions.losses.replays = settings.replay
        self.manager.pausing.apply(self.prepared.given.paused)
        for identity in self._front.use(self.prepared):
            if identity in self._identities:
                lasting = self._identities.lasting(identity)
                self.manager.upkeep.renew(identity, lasting, self._agenda.now())
            else:
                self._part_from(identity)
        self._admin.part(self._may_log_in)

    def _join(self) -> None:
        """Take part in what concerns all who connect to the same server."""
        server = self._target().host, self._target().port
        self._around.evacuator.add(server, self.manager.holds)
        self.sessions.evacuations = Evacuations(self._around.evacuator, server, self.sessions.texts)

    def _move(self) -> None:
        """Another target: connections to the one before are closed as they come free."""
        self._around.evacuator.remove(self.manager.holds)
        self._join()
        self.sessions.greetings.forget()
        self._reported.clear()
        self.manager.move()
        self._probe()

    def _probe(self) -> None:
        """Open a connection before any client wants one: it tells the server's limits."""
        identity = self._identities.first
        if identity is not None:
            pool = self.manager.pool(self.settings.target.database, identity)
            if not self.manager.is_held_back(pool):
                self.manager.probe(pool)

    def _part_from(self, identity: str) -> None:
        """Nobody may be this user any more: its clients end with their transactions."""
        farewell = errors.no_credentials(identity).encode()
        for client in list(self.sessions.clients.values()):
            if client.pool.user == identity:
                client.part(farewell)

    @property
    def settings(self) -> ProxySettings:
        return self.prepared.given.settings

    @property
    def is_logged_in_detail(self) -> bool:
        """Whether the log is to tell of clients that go, too."""
        return self.settings.debug_logging

    def _target(self) -> Target:
        return target_of(self.settings.target)

    def _login(self) -> Login:
        settings = self.settings
        return Login(
            self._identities,
            lambda identity: self._front.refresh(identity),
            settings.pool.init_query,
            settings.target.connect_timeout,
        )

    async def _open(self, pool: MicroPool) -> tuple[Server, tuple[int, int]]:
        """See `Opener.open`. A database that reports something else than before (it was upgraded,
        say, or its defaults were changed) is no longer greeted for from memory."""
        server, told = await self.opener.open(pool)
        place = pool.database, pool.user
        parameters = parameters_of(server)
        if self._reported.setdefault(place, parameters) is not parameters:
            self._reported[place] = parameters
            self.sessions.greetings.forget()
        return server, told

    def _forget_databases(self, is_meant: Callable[[str], bool]) -> None:
        """Databases of these names are gone, or others: nobody is greeted for them from memory."""
        self.sessions.greetings.forget_databases(is_meant)
        for place in [place for place in self._reported if is_meant(place[0])]:
            del self._reported[place]

    # ---- a connection comes ----

    async def _log_in(self, sock: socket.socket, peer: object) -> None:
        """Take one new connection through its login."""
        self.sessions.counts.received += 1
        stream = Stream(sock, self._agenda.loop)
        address = _address_of(peer)
        try:
            outcome = await log_in(stream, self._front.policy_for(sock), address)
            if isinstance(outcome, LoggedIn):
                await self._admit(outcome)
            elif isinstance(outcome, CancelRequest):
                await self._cancel(outcome, stream)
        except LoginFailed as failure:
            self.sessions.counts.login_failed(failure.sqlstate)
            logger.warning(
                "A client could not log in: %s",
                failure.reason,
                extra={
                    "fields": {
                        "client": address,
                        "user": failure.user or "",
                        "sqlstate": failure.sqlstate,
                    }
                },
            )
        except BaseException:
            stream.close()  # nobody else would: it is not a client yet
            raise

    def _may_log_in(self, user: str) -> bool:
        """As far as that is known without asking the database."""
        is_known = self._front.policy.credentials.get(user) is not None
        return is_known or bool(self.settings.auth_query)

    async def _admit_to_console(self, login: LoggedIn) -> None:
        """One who has a look at the pool takes no place in it."""
        error = errors.admin_shutdown() if self._draining else self._admin.obstacle(login)
        if error is not None:
            await _turn_away(login, error)
        self._admin.admit(login, self.sessions.clients)

    async def _admit(self, login: LoggedIn) -> None:
        if self._admin.is_meant(login.database):
            await self._admit_to_console(login)
            return
        limit = self.settings.max_client_connections
        if self._draining or len(self.sessions.clients) >= limit:
            error = errors.admin_shutdown() if self._draining else errors.too_many_clients(limit)
            await _turn_away(login, error)
        identity = self._front.identity_of(login)
        if identity is None:
            await _turn_away(login, errors.no_credentials(login.user))
        pool = self.manager.pool(login.database, identity)
        refusal = self.manager.groups.refusal(pool, login.user)
        if refusal is not None:
            await _turn_away(login, refusal)
        self.sessions.counts.logged_in(login.method, login.stream.tls)
        self._janitor.watch(self.sessions.admit(login, pool))

    async def _cancel(self, request: CancelRequest, stream: Stream) -> None:
        try:
            client = self.sessions.find(request.pid, request.key)
            if client is not None:
                await self._canceller.cancel_client(client)
            else:
                self._admin.cancel(request.pid, request.key)
        finally:
            stream.close()

    # ---- the end ----

    async def drain(self, deadline: float) -> None:
        """Accept nobody, let transactions end, and close everything by `deadline` (loop time)."""
        self._draining = True
        self._doorman.close()
        self._front.close()
        self._admin.close()
        self._around.evacuator.remove(self.manager.holds)
        farewell = errors.admin_shutdown().encode()
        for client in list(self.sessions.clients.values()):
            client.part(farewell)
        # Each client's end is the relay's doing, in compiled code that knows no events.
        while self.sessions.clients and self._agenda.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_STEP_S)
        for client in list(self.sessions.clients.values()):
            client.fail(farewell, "Forebay is shutting down")
        self._janitor.stop()
        self.manager.close_all()
        await asyncio.sleep(0)

    # ---- what it is told to do, and tells ----

    def command(self, action: PoolAction, database: str) -> int:
        """Returns how many connections are left; see `PoolCommand`."""
        pausing = self.manager.pausing
        if action == "kill":
            pausing.kill(database, self.sessions.clients.values())
        elif action == "reconnect":
            pausing.reconnect(database)
        return pausing.left(database)

    def now(self) -> float:
        """Seconds, monotonic."""
        return self._agenda.now()

    @property
    def wrong_passwords(self) -> int:
        """Wrong passwords and tokens, and unknown users, since the start."""
        return self._front.policy.throttle.wrong_passwords

    @property
    def logins_under_way(self) -> int:
        """Connections that have not logged in yet."""
        return self._doorman.logins


async def _turn_away(login: LoggedIn, error: PgError) -> NoReturn:
    """Raises LoginFailed when the client has been told."""
    await refuse(login.stream, error)
    raise LoginFailed(error.message, login.user, error.sqlstate)


def _limits(settings: ProxySettings) -> Limits:
    pool = settings.pool
    return Limits(
        max_connections_percent=pool.max_connections_percent,
        max_idle_connections_percent=pool.max_idle_connections_percent,
        max_waiting_clients=pool.max_waiting_clients,
        init_query=pool.init_query.strip(),
        max_connections=pool.max_connections,
    )


def _timeouts(settings: ProxySettings) -> Timeouts:
    return Timeouts(
        connection_borrow_timeout_s=settings.pool.connection_borrow_timeout,
        idle_client_timeout_s=settings.idle_client_timeout,
        max_client_age_s=settings.max_client_age,
        max_idle_time_s=settings.pool.max_idle_time,
        max_connection_age_s=settings.pool.max_connection_age,
    )


def _address_of(peer: object) -> str:
    """The address of a client, without its port."""
    return str(peer[0]) if isinstance(peer, tuple) else f"unix:{os.getuid()}"
