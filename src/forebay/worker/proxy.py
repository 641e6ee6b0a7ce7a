"""One endpoint with its pool: puts together what serves its clients.

Doorman ──▶ log_in ──▶ Sessions ──▶ relay ⇄ MicroPool ◀── PoolManager ◀── Opener ──▶ database
                                                Janitor: whatever is due
"""

import asyncio
import dataclasses
import logging
import os
import socket
from collections.abc import Callable, Mapping

import msgspec

from forebay.channel import WorkerProxy
from forebay.config.settings import ProxySettings
from forebay.identity.verifier import KeysVerifier
from forebay.net import handshake
from forebay.net.connector import Target
from forebay.net.login import (
    ByKeys,
    Credentials,
    LoggedIn,
    LoginFailed,
    LoginPolicy,
    Throttle,
    UserEntry,
    log_in,
    refuse,
)
from forebay.net.stream import Stream
from forebay.net.tls import ClientContexts, server_context
from forebay.protocol import errors
from forebay.protocol.startup import CancelRequest
from forebay.relay import MicroPool, Server
from forebay.session.settings import InternTable, Parameters
from forebay.worker.agenda import Agenda
from forebay.worker.cancel import Canceller
from forebay.worker.doorman import Doorman
from forebay.worker.evacuation import Evacuations, Evacuator
from forebay.worker.kept import parameters_of
from forebay.worker.pool.janitor import Janitor, Timeouts
from forebay.worker.pool.manager import Limits, PoolManager
from forebay.worker.pool.opener import Login, Opener
from forebay.worker.sessions.functions import sought_by
from forebay.worker.sessions.sessions import Sessions

logger = logging.getLogger("forebay.login")

# How often a drain looks whether the last client has gone.
DRAIN_STEP_S = 0.02


class Proxy:
    """One endpoint. Made by ``Proxy.start``."""

    def __init__(
        self, agenda: Agenda, given: WorkerProxy, policy: LoginPolicy, evacuator: Evacuator
    ) -> None:
        settings = given.settings
        self._agenda = agenda
        self._settings = settings
        self._policy = policy
        self._draining = False
        self._tls_contexts = ClientContexts()
        self._intern = InternTable()
        self._sessions = Sessions(agenda, self._intern)
        self._sessions.apply(settings.pinning, sought_by(settings))
        self._canceller = Canceller(self._target, self._tls_contexts)
        self._opener = Opener(
            agenda, self._intern, self._login(settings), self._target, self._tls_contexts
        )
        self._manager = PoolManager(
            agenda,
            _limits(settings),
            self._intern,
            self._open,
            self._canceller.cancel_server,
        )
        self._manager.holds.forget = self._forget_databases
        server = self._target().host, self._target().port
        evacuator.add(server, self._manager.holds)
        self._sessions.evacuations = Evacuations(evacuator, server, self._sessions.texts)
        # What the connection opened last reports, by (database, user).
        self._reported: dict[tuple[str, str], Parameters] = {}
        self._janitor = Janitor(agenda, _timeouts(settings), self._manager, self._sessions)
        self._doorman = Doorman(agenda.loop, self._log_in)

    @classmethod
    async def start(cls, agenda: Agenda, given: WorkerProxy, evacuator: Evacuator) -> "Proxy":
        """Serve this endpoint. Raises ValueError with the reason why it cannot be done."""
        proxy = cls(agenda, given, await _policy(given, None), evacuator)
        handshake.prepare(agenda.loop)
        proxy._janitor.start()
        proxy._doorman.listen(given.listen_fds)
        if given.credentials:
            database, user = given.settings.target.database, given.credentials[0].username
            proxy._manager.probe(proxy._manager.pool(database, user))
        return proxy

    async def reconfigure(self, given: WorkerProxy) -> list[str]:
        """Use other settings from now on. Returns in sentences what could not be changed."""
        policy = await _policy(given, self._policy)
        settings, old = given.settings, self._settings
        unchanged = []
        if settings.target != old.target:
            unchanged.append(f"{given.name}: the target can't be changed while running")
            settings = msgspec.structs.replace(settings, target=old.target)
        self._policy = policy
        self._settings = settings
        self._sessions.apply(settings.pinning, sought_by(settings))
        self._opener.login = self._login(settings)
        self._manager.apply(_limits(settings))
        self._janitor.timeouts = _timeouts(settings)
        if settings.pool.init_query != old.pool.init_query:
            self._sessions.greetings.forget()
        return unchanged

    def _target(self) -> Target:
        target = self._settings.target
        address = target.addresses()[0]
        return Target(address.host, address.port, target.sslmode, target.sslrootcert)

    def _login(self, settings: ProxySettings) -> Login:
        return Login(self._password_of, settings.pool.init_query, settings.target.connect_timeout)

    def _password_of(self, user: str) -> str | None:
        known = self._policy.credentials.get(user)
        return None if known is None else known.passwords[0]

    async def _open(self, pool: MicroPool) -> tuple[Server, tuple[int, int]]:
        """See `Opener.open`. A database that reports something else than before (it was upgraded,
        say, or its defaults were changed) is no longer greeted for from memory."""
        server, told = await self._opener.open(pool)
        place = pool.database, pool.user
        parameters = parameters_of(server)
        if self._reported.setdefault(place, parameters) is not parameters:
            self._reported[place] = parameters
            self._sessions.greetings.forget()
        return server, told

    def _forget_databases(self, is_meant: Callable[[str], bool]) -> None:
        """Databases of these names are gone, or others: nobody is greeted for them from memory."""
        self._sessions.greetings.forget_databases(is_meant)
        for place in [place for place in self._reported if is_meant(place[0])]:
            del self._reported[place]

    # ---- a connection comes ----

    async def _log_in(self, sock: socket.socket, peer: object) -> None:
        """Take one new connection through its login."""
        self._sessions.counts.received += 1
        stream = Stream(sock, self._agenda.loop)
        address = _address_of(peer)
        try:
            outcome = await log_in(stream, self._policy_for(sock), address)
            if isinstance(outcome, LoggedIn):
                await self._admit(outcome)
            elif isinstance(outcome, CancelRequest):
                await self._cancel(outcome, stream)
        except LoginFailed as failure:
            self._sessions.counts.failed += 1
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

    def _policy_for(self, sock: socket.socket) -> LoginPolicy:
        """Clients have no TLS over Unix sockets, where nobody could overhear them."""
        if self._policy.require_tls and sock.family == socket.AF_UNIX:
            return dataclasses.replace(self._policy, require_tls=False)
        return self._policy

    async def _admit(self, login: LoggedIn) -> None:
        limit = self._settings.max_client_connections
        if self._draining or len(self._sessions.clients) >= limit:
            error = errors.admin_shutdown() if self._draining else errors.too_many_clients(limit)
            await refuse(login.stream, error)
            raise LoginFailed(error.message, login.user, error.sqlstate)
        pool = self._manager.pool(login.database, login.user)
        self._janitor.watch(self._sessions.admit(login, pool))

    async def _cancel(self, request: CancelRequest, stream: Stream) -> None:
        try:
            client = self._sessions.find(request.pid, request.key)
            if client is not None:
                await self._canceller.cancel_client(client)
        finally:
            stream.close()

    # ---- the end ----

    async def drain(self, deadline: float) -> None:
        """Accept nobody, let transactions end, and close everything by `deadline` (loop time)."""
        self._draining = True
        self._doorman.close()
        farewell = errors.admin_shutdown().encode()
        for client in list(self._sessions.clients.values()):
            client.part(farewell)
        # Each client's end is the relay's doing, in compiled code that knows no events.
        while self._sessions.clients and self._agenda.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_STEP_S)
        for client in list(self._sessions.clients.values()):
            client.fail(farewell, "Forebay is shutting down")
        self._janitor.stop()
        self._manager.close_all()
        await asyncio.sleep(0)

    def stats(self) -> Mapping[str, int | float]:
        """Counters and gauges; see docs/operations.md."""
        manager, sessions = self._manager, self._sessions
        servers, budget = manager.servers, manager.budget
        at_once = manager.borrows - manager.census.waits.count
        return {
            "client_connections": len(sessions.clients),
            "client_connections_received": sessions.counts.received,
            "client_connections_setup_succeeded": sessions.counts.succeeded,
            "client_connections_setup_failed": sessions.counts.failed,
            "client_connections_closed": sessions.counts.closed,
            "wrong_passwords": self._policy.throttle.wrong_passwords,
            "logins_under_way": self._doorman.logins,
            "clients_waiting": manager.waiting,
            "clients_pinned": sum(server.is_pinned for server in servers),
            "pins": sessions.pinner.counts.begun.total(),
            "database_connections": len(servers),
            "database_connections_peak": manager.peak,
            "database_connections_borrowed": sum(p.borrowed for p in manager.pools.values()),
            "database_connections_in_transaction": sum(s.in_transaction for s in servers),
            "database_connections_opened": manager.opened,
            "database_connections_failed": manager.open_failures,
            "max_database_connections_allowed": budget.limit if budget else 0,
            "server_max_connections": budget.max_connections if budget else 0,
            "server_reserved_connections": budget.reserved if budget else 0,
            "prepared_statement_bytes": sessions.texts.account.bytes,
            "transactions": manager.transactions,
            "borrow_wait_us_p50": manager.census.waits.percentile_us(0.5, at_once),
            "borrow_wait_us_p99": manager.census.waits.percentile_us(0.99, at_once),
            **sessions.pinner.counts.figures(),
        }


async def _policy(given: WorkerProxy, old: LoginPolicy | None) -> LoginPolicy:
    credentials = await Credentials.derive(
        [UserEntry(each.username, (each.password,), each.auth) for each in given.credentials],
        previous=None if old is None else old.credentials,
    )
    return LoginPolicy(
        credentials=credentials,
        require_tls=given.settings.require_tls,
        tls_context=server_context(given.tls_certificate_pem, given.tls_private_key_pem),
        throttle=Throttle() if old is None else old.throttle,
        login_timeout_s=given.settings.login_timeout,
        refuse_options=given.settings.pinning == "rds",
        verifier=_verifier(given),
    )


def _verifier(given: WorkerProxy) -> ByKeys | None:
    iam = given.settings.iam
    if iam is None:
        return None
    return ByKeys(KeysVerifier(given.access_keys, region=iam.region, hosts=iam.host_names()))


def _limits(settings: ProxySettings) -> Limits:
    pool = settings.pool
    return Limits(
        max_connections_percent=pool.max_connections_percent,
        max_idle_connections_percent=pool.max_idle_connections_percent,
        max_waiting_clients=pool.max_waiting_clients,
        init_query=pool.init_query.strip(),
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
