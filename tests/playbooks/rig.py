"""The compiled relay with the real pool and sessions; actors are its clients and databases.

Everything runs in the calling thread and only when ``settle`` is called, so that a conversation has
one course. The sockets are real; asyncio, the opening of connections and the delivery of cancel
requests are played (see `agenda`).
"""

import contextlib
import logging
import select
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast
from unittest import mock

from forebay.net.connector import ConnectError, Target
from forebay.net.login import LoggedIn
from forebay.net.tls import ClientContexts
from forebay.protocol.messages import message, query, ready_for_query
from forebay.relay import Client, MicroPool, Relay, Server
from forebay.session.settings import InternTable
from forebay.worker.agenda import Agenda
from forebay.worker.cancel import OWN_STEP_S, Canceller
from forebay.worker.pool.chores import Chores, Timeouts
from forebay.worker.pool.janitor import Janitor
from forebay.worker.pool.manager import Limits, PoolManager
from forebay.worker.sessions.sessions import Sessions
from tests.harness.credentials import cancel_keys
from tests.playbooks.actors import Actor, NearEnd, connect
from tests.playbooks.agenda import Gate, ScriptedAgenda

# What a connection of the rig reports when it is opened.
PARAMETERS = {"server_version": "15.0", "client_encoding": "UTF8"}
# What lets a session forget what others have drawn from sequences, and the answer.
FORGET = query("DISCARD SEQUENCES")
FORGOTTEN = message(b"C", b"DISCARD SEQUENCES\0") + ready_for_query(b"I")
# A relay that still finds work after so many turns is spinning.
TURNS_LIMIT = 10_000

Chunker = Callable[[bytes], Iterable[bytes]]


class NotTakenError(AssertionError):
    """The relay does not read what an actor sends."""


def whole(data: bytes) -> list[bytes]:
    return [data]


class Rig:
    """One proxy's relay, pool and sessions. ``with Rig(limit=2) as rig:``.

    limit: database connections. queue: clients that may wait. database_tls: connections to the
    database are encrypted. buffer_bytes: of every socket; 0 is the kernel's default. forgets: the
    database does at once, and in the script nothing of it appears, what a connection is told before
    a client begins on it that others have used: to forget what these have drawn from sequences.
    retryable, replays: see `Losses`.
    """

    def __init__(
        self,
        *,
        limit: int = 2,
        queue: int = 1000,
        database_tls: bool = False,
        buffer_bytes: int = 0,
        forgets: bool = True,
        retryable: bool = False,
        replays: bool = True,
        chunker: Chunker = whole,
    ) -> None:
        self.chunker = chunker
        self.limit = limit
        self.database_tls = database_tls
        self.buffer_bytes = buffer_bytes
        self.forgets = forgets
        before = _epoll_sets()
        self.relay = Relay()
        (epoll,) = _epoll_sets() - before
        self.agenda = ScriptedAgenda(self.relay.poller)
        agenda = cast(Agenda, self.agenda)
        self.intern = InternTable()
        self.sessions = Sessions(agenda, self.intern, cancel_keys())
        self.sessions.losses.in_transaction_error = "retryable" if retryable else "close"
        self.sessions.losses.replays = replays
        self.manager = PoolManager(
            agenda, Limits(100, 100, queue, ""), self.intern, self._open, self._cancel
        )
        self.timeouts = Timeouts(120.0, 1800.0, 86400.0, 300.0, 86400.0)
        self.janitor = Janitor(agenda, self.timeouts, [Chores(agenda, self.manager)], self.sessions)
        self.canceller = Canceller(lambda: Target("nowhere"), ClientContexts())
        self.actors: dict[str, Actor] = {}
        self.clients: dict[str, Client] = {}
        self.servers: dict[str, Server] = {}
        self.opening_errors: list[Exception] = []
        self.opening: Gate | None = None  # openings wait for it
        self.cancels: dict[Server, list[Gate]] = {}
        self.complaints: list[logging.LogRecord] = []
        self._closing = False
        self._handler = _Collector(self.complaints)
        self._poll = select.poll()
        self._poll.register(epoll, select.POLLIN)
        self._patches = [
            mock.patch("forebay.net.connector.send_cancel", self._deliver),
            mock.patch("forebay.worker.cancel.pause", self._pause),
        ]

    def __enter__(self) -> Self:
        logging.getLogger("forebay.relay").addHandler(self._handler)
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            for patch in self._patches:
                patch.stop()
            logging.getLogger("forebay.relay").removeHandler(self._handler)
            for actor in self.actors.values():
                actor.close()
            self.relay.close()

    # ---- who is there ----

    def client(
        self,
        name: str,
        settings: tuple[tuple[str, str], ...] = (),
        *,
        known: bool = True,
        tls: bool = False,
        early: bytes = b"",
        unsent: bytes = b"",
        database: str = "app",
        user: str = "app",
    ) -> Client:
        """A client that has just proved who it is. `known`: its parameters are in the cache, and
        it has read its greeting. `unsent`: what its login left for the relay to send."""
        actor, end = connect(name, "client" if tls else "", self.buffer_bytes)
        end.leftover = early
        stream = SimpleNamespace(detach=lambda: _detached(end, unsent))
        login = LoggedIn(cast(Any, stream), user, database, settings, 0, "")
        pool = self.manager.pool(database, user)
        if known:
            self._teach(pool, settings)
        self.actors[name] = actor
        client = self.clients[name] = self.sessions.admit(login, pool)
        self.janitor.watch(client)
        self.settle()
        if known and not unsent:
            actor.receive()
            actor.inbox = b""
        return client

    def _teach(self, pool: MicroPool, settings: tuple[tuple[str, str], ...]) -> None:
        values = PARAMETERS | {name: text for name, text in settings if name == "application_name"}
        self.sessions.greetings.remember(pool, settings, self.intern.parameters(values))

    async def _open(self, pool: MicroPool) -> tuple[Server, tuple[int, int]]:
        if self.opening is not None:
            await self.opening
        if self._closing:
            raise ConnectError("the rig is closing", transient=False)
        if self.opening_errors:
            raise self.opening_errors.pop(0)
        name = f"db{len(self.servers) + 1}"
        actor, end = connect(name, "server" if self.database_tls else "", self.buffer_bytes)
        self.actors[name] = actor
        self.servers[name] = Server(
            self.relay.poller,
            end.fd,
            pool,
            1000 + len(self.servers),
            b"key!",
            settings=self.intern.none,
            parameters=self.intern.parameters(PARAMETERS),
            tls=end.tls,
            incoming=end.incoming,
            outgoing=end.outgoing,
        )
        return self.servers[name], (self.limit, 0)

    async def _cancel(self, server: Server, is_meant: Callable[[], bool]) -> None:
        await self.canceller.cancel_server(server, is_meant)

    async def _deliver(self, target: object, pid: int, key: bytes, **_: object) -> None:
        server = next(each for each in self.servers.values() if each.pid == pid)
        gate = Gate()
        self.cancels.setdefault(server, []).append(gate)
        await gate

    async def _pause(self) -> None:
        gate = Gate()
        self.agenda.later(OWN_STEP_S, gate.open)
        await gate

    # ---- what happens ----

    def settle(self) -> None:
        """Let the relay work until there is nothing left to do."""
        for _ in range(TURNS_LIMIT):
            worked = bool(self._poll.poll(0))
            if worked:
                self.relay.select(0)
            if not self.agenda.run_soon() and not worked and not self._forget():
                return
        raise AssertionError("the relay does not come to rest")

    def _forget(self) -> bool:
        """Answer for the databases that have been told to forget; whether one has."""
        told = False
        for name, server in self.servers.items() if self.forgets else ():
            if not server.forgetting:
                continue
            actor = self.actors[name]
            looked_at = len(actor.inbox)
            actor.receive()
            at = actor.inbox.find(FORGET, looked_at)
            if at >= 0:
                actor.inbox = actor.inbox[:at] + actor.inbox[at + len(FORGET) :]
                with contextlib.suppress(BrokenPipeError):
                    actor.sock.send(actor.wrap(FORGOTTEN))
                told = True
        return told

    def send(self, name: str, data: bytes) -> None:
        """Send `data` from an actor, encrypted if it has TLS."""
        self.transmit(name, self.actors[name].wrap(data))

    def transmit(self, name: str, data: bytes) -> None:
        """Send `data` as it is, in chunks, and let each arrive."""
        actor = self.actors[name]
        for chunk in self.chunker(data):
            view = memoryview(chunk)
            while view:
                try:
                    view = view[actor.sock.send(view) :]
                except (BrokenPipeError, ConnectionResetError):
                    return  # the relay has closed it: what is sent goes nowhere
                except BlockingIOError:
                    raise NotTakenError(f"what {name} sends is not taken") from None
                self.settle()

    def received(self, name: str) -> bytes:
        """What an actor has received and nobody has looked at yet."""
        actor = self.actors[name]
        before = -1
        while before < len(actor.inbox):
            before = len(actor.inbox)
            actor.receive()
            self.settle()  # there may be more for it, now that it has taken this
        return actor.inbox

    def leave(self, name: str) -> None:
        """An actor closes its socket."""
        self.actors[name].close()
        self.settle()

    def pass_time(self, seconds: float) -> None:
        self.agenda.pass_time(seconds)
        now = self.agenda.now()
        self.relay.poller.now = now  # until the relay looks at the clock again
        self.janitor.tick(now)
        self.settle()

    def cancel(self, name: str) -> None:
        """A cancel request that names this client."""
        self.agenda.spawn(self.canceller.cancel_client(self.clients[name]), "cancel")
        self.settle()

    def deliver_cancel(self, name: str) -> None:
        """The first cancel request on its way to this database connection arrives."""
        self.cancels[self.servers[name]].pop(0).open()
        self.settle()

    # ---- what must hold ----

    def check(self) -> None:
        """What holds whenever the relay is at rest."""
        self.manager.assert_counts()
        for pool in self.manager.pools.values():
            lent = [s for s in self.manager.servers if s.pool is pool and s not in pool.idle]
            assert len(lent) == pool.borrowed, (lent, pool.borrowed)
            for server in pool.idle:
                assert server.client is None
                assert server.ledger.count == 0
                assert not server.in_transaction
                assert not server.dirty
            places = 0
            place = pool.first_waiter
            while place is not None:
                places += 1
                place = place.waits_before
            assert places == pool.waiting
        assert len(self.sessions.clients) == sum(p.clients for p in self.manager.pools.values())
        self._check_times()
        if self.complaints:
            raise AssertionError(logging.Formatter().format(self.complaints[0]))

    def _check_times(self) -> None:
        """No request and no transaction has a beginning if there is none."""
        for client in self.sessions.clients.values():
            is_at_rest = client.greeted and not client.is_waiting and not client.is_stalled
            if is_at_rest and client.server is None:
                assert client.asked_at == 0.0
        for server in self.manager.servers:
            if server.client is None:
                assert server.asked_at == server.transaction_at == 0.0
            elif server.ledger.count == 0:
                assert server.asked_at == 0.0
                if not server.client.is_stalled:
                    assert server.client.asked_at == 0.0
                    assert server.in_transaction or server.transaction_at == 0.0

    def finish(self) -> None:
        """Everybody leaves: nothing may be left behind."""
        self.check()
        self._closing = True
        for actor in self.actors.values():
            actor.close()
        self.settle()
        self.pass_time(10.0)
        self.check()
        assert not self.sessions.clients, "a client is left behind"
        assert not self.manager.servers, "a database connection is left behind"
        assert all(each.is_closed for each in self.clients.values())
        assert all(each.is_closed for each in self.servers.values())


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.ERROR)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def _detached(end: NearEnd, unsent: bytes) -> SimpleNamespace:
    return SimpleNamespace(
        fd=end.fd,
        sslobj=end.tls,
        incoming=end.incoming,
        outgoing=end.outgoing,
        leftover=end.leftover,
        unsent=unsent,
    )


def _epoll_sets() -> set[int]:
    """The descriptors of this process that are epoll sets."""
    sets = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()) == "anon_inode:[eventpoll]":
                sets.add(int(link.name))
    return sets
