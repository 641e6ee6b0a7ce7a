"""One endpoint with its pool: puts together what serves its clients.

Doorman ──▶ log_in ──▶ Sessions ──▶ relay ⇄ MicroPool ◀── Backend ──▶ database
                                                Janitor: whatever is due
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from forebay.channel import Begin, Hint, PoolAction, Route
from forebay.config.settings import ProxySettings, TargetSettings
from forebay.net import handshake
from forebay.net.connector import Target
from forebay.net.login import LoggedIn, LoginFailed, log_in, refuse
from forebay.net.stream import Stream
from forebay.net.tls import ClientContexts
from forebay.protocol import errors
from forebay.protocol.errors import PgError
from forebay.protocol.startup import CancelRequest
from forebay.relay import Client, MicroPool
from forebay.session.settings import InternTable
from forebay.topology.reports import HintKind
from forebay.topology.targets import target_of
from forebay.worker.admin import Admin
from forebay.worker.agenda import Agenda
from forebay.worker.asking import AskNode
from forebay.worker.backend import Backend, Common
from forebay.worker.course import Course
from forebay.worker.doorman import Doorman
from forebay.worker.evacuation import Evacuations, Evacuator
from forebay.worker.front import Front
from forebay.worker.hints import Hints
from forebay.worker.identities import Identities
from forebay.worker.pool.chores import Chores, timeouts_of
from forebay.worker.pool.janitor import Janitor
from forebay.worker.pool.opener import Login
from forebay.worker.prepared import Prepared
from forebay.worker.readers import Readers
from forebay.worker.sessions.cancel_keys import CancelKeys
from forebay.worker.sessions.functions import sought_by
from forebay.worker.sessions.sessions import Sessions

logger = logging.getLogger("forebay.login")

# How often a drain looks whether the last client has gone.
DRAIN_STEP_S = 0.02


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the proxies of one worker have in common. ``begin``: what makes their cancel keys;
    ``hint``: tells the node what traffic sees of a server, and returns whether that was possible.
    """

    agenda: Agenda
    evacuator: Evacuator
    ask: AskNode
    begin: Begin
    hint: Callable[[Hint], bool] = lambda _: False


class Proxy:
    """One endpoint. Made by ``Proxy.start``."""

    def __init__(
        self, around: Surroundings, prepared: Prepared, route: Route | None = None
    ) -> None:
        agenda, settings = around.agenda, prepared.given.settings
        self.prepared = prepared
        self._around = around
        self._agenda = agenda
        self._draining = False
        self._course = Course(settings.target, route)
        self._hints = Hints(prepared.given.name, agenda.now, around.hint)
        intern = InternTable()
        keys = CancelKeys(around.begin, prepared.given.name)
        self._admin = Admin(prepared.given.name, around.ask, keys, lambda: self.settings)
        self.sessions = Sessions(agenda, intern, keys)
        self._identities = Identities(prepared.given.name, self._target, around.ask)
        greetings = self.sessions.greetings
        common = Common(agenda, intern, greetings, around.evacuator, ClientContexts())
        self._readers: Readers | None = None
        self._writers: list[Backend] = []
        ask: Callable[[], Backend] = self._backend
        if settings.target_role == "READ_ONLY":
            self._readers = Readers(
                common, self.sessions, settings, self._login, self._pause, self._hints.note
            )
            ask = self._readers.backend_to_ask
        else:
            self._writers = [Backend(common, self._target(), self._login(), settings)]
            self._writers[0].manager.hint = self._hint
        self._front = Front(agenda, around.ask, self._identities, ask)
        self._janitor = Janitor(agenda, timeouts_of(settings), [], self.sessions)
        self._look_after_backends()
        self._doorman = Doorman(agenda.loop, self._log_in)
        self._use()
        self._evacuate()

    @classmethod
    def start(
        cls,
        around: Surroundings,
        prepared: Prepared,
        passed: Mapping[int, socket.socket],
        route: Route | None = None,
    ) -> "Proxy":
        """Serve this endpoint. `passed`: listening sockets that are new in this worker."""
        proxy = cls(around, prepared, route)
        handshake.prepare(around.agenda.loop)
        proxy._hold_or_release()
        if proxy._readers is not None and proxy._course.route is not None:
            proxy.route(proxy._course.route)
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
        if self._readers is not None:
            self._readers.apply(self.settings)
        for backend in self.backends:
            backend.apply(self.settings, self._login())
        self._janitor.timeouts = timeouts_of(self.settings)
        if self.settings.pool.init_query != before.pool.init_query:
            self.sessions.greetings.forget()
        if target != before.target:
            self._move(before.target)

    def route(self, route: Route) -> None:
        """Which servers write and follow, as the node has told it now."""
        if self._readers is not None:
            self._readers.route(route)
            self._look_after_backends()
            self._probe([each for each in self.backends if not each.manager.size])
            return
        must_switch = self._course.take(route)
        backend = self._backend()
        if backend.aim(self._target()):
            self._evacuate()
        if must_switch:
            backend.manager.holding.switch(f"another server writes by now: {self._target()}")
            self._front.switched()
        self._hold_or_release()
        backend.warm.want([target_of(self.settings.target, each) for each in self._course.standbys])
        if not backend.manager.size:
            self._probe()

    @property
    def backends(self) -> list[Backend]:
        """The database servers; a READ_ONLY proxy's may be others at any time."""
        return self._writers if self._readers is None else self._readers.backends

    def _look_after_backends(self) -> None:
        chores: list[Chores | Readers] = [each.chores for each in self.backends]
        self._janitor.chores = chores if self._readers is None else [self._readers, *chores]

    def _pause(self, backend: Backend) -> None:
        """A server is a reader from now on."""
        backend.manager.pausing.apply(self.prepared.given.paused)

    def _hold_or_release(self) -> None:
        obstacle = self._course.obstacle
        for backend in self._writers:
            if obstacle:
                backend.manager.holding.hold(obstacle)
            else:
                backend.manager.holding.release()

    def _hint(self, kind: HintKind) -> None:
        """Traffic saw something that speaks against the server."""
        if self._course.is_watched:
            self._hints.note(str(self._course.address), kind)

    def _use(self) -> None:
        """What others look at. Those whose identity is gone have to go."""
        settings = self.settings
        self.sessions.apply(settings.pinning, sought_by(settings))
        self.sessions.losses.in_transaction_error = settings.in_transaction_error
        self.sessions.losses.replays = settings.replay
        has_writer = settings.target.is_watched and settings.target_role == "READ_WRITE"
        self.sessions.keep_requests(settings.replay and has_writer)
        for backend in self.backends:
            backend.manager.pausing.apply(self.prepared.given.paused)
        for identity in self._front.use(self.prepared):
            if identity in self._identities:
                lasting = self._identities.lasting(identity)
                for backend in self.backends:
                    backend.manager.upkeep.renew(identity, lasting, self._agenda.now())
            else:
                self._part_from(identity)
        self._admin.part(self._may_log_in)

    def _evacuate(self) -> None:
        """A statement that needs a database for itself has others leave it at this server."""
        for each in self._writers:
            self.sessions.evacuations = Evacuations(
                self._around.evacuator, each.place, self.sessions.texts
            )

    def _move(self, before: TargetSettings) -> None:
        """Another target: connections to the one before are closed as they come free. Where both
        are watched they stay until the node says that another server writes: these may be other
        names for the same."""
        route = self._course.route if before.is_watched else None
        self._course = Course(self.settings.target, route)
        self._hold_or_release()
        if before.is_watched and self._course.is_watched:
            return
        self.sessions.greetings.forget()
        for backend in self._writers:
            backend.move(self._target())
        self._evacuate()
        self._probe()

    def _probe(self, backends: Iterable[Backend] | None = None) -> None:
        """Open a connection before any client wants one; at these servers, or all."""
        identity = self._identities.first
        for backend in self.backends if backends is None else backends:
            if identity is not None and not backend.manager.census.on_hold:
                backend.probe(self.settings.target.database, identity)

    def _backend(self) -> Backend:
        """The one to which what comes next goes."""
        return self._writers[0] if self._readers is None else self._readers.backend()

    def _pool(self, database: str, identity: str) -> MicroPool:
        """Where a client that comes is to get its connections."""
        return self._backend().manager.pool(database, identity)

    def _refusal(self, pool: MicroPool, user: str) -> PgError | None:
        """Why nobody else may log in as `user` now; None if they may."""
        groups = [each.manager.groups for each in self.backends]
        return groups[0].refusal(pool, user, groups)

    def _backend_of(self, client: Client) -> Backend:
        """The one whose connections `client` gets."""
        manager = client.pool.manager
        return next(each for each in self.backends if each.manager is manager)

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
        return target_of(self.settings.target, self._course.address)

    def _login(self) -> Login:
        settings = self.settings
        return Login(
            self._identities,
            lambda identity: self._front.refresh(identity),
            settings.pool.init_query,
            settings.target.connect_timeout,
            must_write=self._course.is_watched and settings.target_role == "READ_WRITE",
        )

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
        pool = self._pool(login.database, identity)
        refusal = self._refusal(pool, login.user)
        if refusal is not None:
            await _turn_away(login, refusal)
        self.sessions.counts.logged_in(login.method, login.stream.tls)
        self._janitor.watch(self.sessions.admit(login, pool))

    async def _cancel(self, request: CancelRequest, stream: Stream) -> None:
        try:
            client = self.sessions.find(request.pid, request.key)
            if client is not None:
                await self._backend_of(client).canceller.cancel_client(client)
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
        for backend in self.backends:
            backend.stand_aside()
        farewell = errors.admin_shutdown().encode()
        for client in list(self.sessions.clients.values()):
            client.part(farewell)
        # Each client's end is the relay's doing, in compiled code that knows no events.
        while self.sessions.clients and self._agenda.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_STEP_S)
        for client in list(self.sessions.clients.values()):
            client.fail(farewell, "Forebay is shutting down")
        self._janitor.stop()
        for backend in self.backends:
            backend.manager.close_all()
        await asyncio.sleep(0)

    # ---- what it is told to do, and tells ----

    def command(self, action: PoolAction, database: str) -> int:
        """Returns how many connections are left; see `PoolCommand`."""
        left = 0
        for backend in self.backends:
            pausing = backend.manager.pausing
            if action == "kill":
                pausing.kill(database, self.sessions.clients.values())
            elif action == "reconnect":
                pausing.reconnect(database)
            left += pausing.left(database)
        return left

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


def _address_of(peer: object) -> str:
    """The address of a client, without its port."""
    return str(peer[0]) if isinstance(peer, tuple) else f"unix:{os.getuid()}"
