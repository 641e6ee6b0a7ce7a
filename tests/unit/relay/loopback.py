"""The relay alone: clients and databases are the far ends of socket pairs, all else is a fake.

Everything runs in the calling thread, whenever a far end sends something or `settle` is called.
Messages are written as in `tests.playbooks.wording`.
"""

import os
import select
from collections.abc import Callable
from typing import Self

from forebay.protocol.messages import message, query, ready_for_query
from forebay.relay import Census, Client, MicroPool, Relay, Server
from forebay.relay.ports import ParametersPort, SettingsPort
from tests.harness.descriptors import descriptors
from tests.playbooks import wording
from tests.playbooks.actors import Actor, NearEnd, connect
from tests.unit.relay.fakes import PARAMETERS, PLAIN, Changeover, Manager, Sessions, guarded

# What lets a session forget what others have drawn from sequences, and the answer.
FORGET = query("DISCARD SEQUENCES")
FORGOTTEN = message(b"C", b"DISCARD SEQUENCES\0") + ready_for_query(b"I")
# A relay that still finds work after so many turns is spinning.
TURNS_LIMIT = 10_000
BACKEND_PID = 1000


class FarEnd:
    """A client or a database, seen from outside."""

    def __init__(self, actor: Actor, settle: Callable[[], None]) -> None:
        self.actor = actor
        self.settle = settle

    def sends(self, text: str) -> None:
        self.transmits(wording.encode(text))

    def transmits(self, data: bytes) -> None:
        """Send bytes, all of which are taken."""
        view = memoryview(self.actor.wrap(data))
        while view:
            try:
                view = view[self.actor.sock.send(view) :]
            except BlockingIOError:
                raise AssertionError(f"what {self.actor.name} sends is not taken") from None
            self.settle()

    def received(self) -> bytes:
        """What has come since this was asked last."""
        self.settle()
        before = -1
        while before < len(self.actor.inbox):
            before = len(self.actor.inbox)
            self.actor.receive()
            self.settle()  # there may be more, now that this was taken
        data, self.actor.inbox = self.actor.inbox, b""
        return data

    def gets(self, text: str) -> None:
        """Exactly these messages have come; "" for none."""
        messages, rest = wording.frames(self.received())
        wrong = wording.compare(messages, wording.messages(text))
        wrong = wrong or (f"half a message: {rest!r}" if rest else None)
        assert wrong is None, f"{self.actor.name}: {wrong}"

    @property
    def is_let_go(self) -> bool:
        """The relay has closed its end."""
        self.settle()
        self.actor.receive()
        return self.actor.ended

    def leaves(self) -> None:
        self.actor.close()
        self.settle()


class FarClient(FarEnd):
    peer: Client

    def asks(self, sent: str, database: "FarDatabase", answer: str) -> None:
        """Send what the database gets as it is, and get its answer."""
        self.sends(sent)
        database.answers(sent, answer)
        self.gets(answer)


class FarDatabase(FarEnd):
    peer: Server

    @property
    def is_idle(self) -> bool:
        """The connection is free, and in its pool."""
        self.settle()
        return self.peer in self.peer.pool.idle and self.peer.client is None

    def serves(self, client: FarClient) -> bool:
        self.settle()
        return self.peer.client is client.peer and client.peer.server is self.peer

    def changes_to(self, name: str, behind: str) -> None:
        """A change-over to these settings has come, and `behind` together with it."""
        data, change = self.received(), guarded(name)
        assert data[: len(change)] == change, data
        wrong = wording.compare(wording.frames(data[len(change) :])[0], wording.messages(behind))
        assert wrong is None, wrong

    def answers(self, asked: str, answer: str) -> None:
        """Exactly `asked` has come, and is answered."""
        self.gets(asked)
        self.sends(answer)


class Loopback:
    """One relay with one micro-pool. `forgets`: databases forget at once, and without a test's
    noticing, what others have drawn from sequences, when they are told to."""

    def __init__(self, *, forgets: bool = True) -> None:
        self.forgets = forgets
        before = _epoll_sets()
        self.relay = Relay()
        (epoll,) = _epoll_sets() - before
        self._poll = select.poll()
        self._poll.register(epoll, select.POLLIN)
        self.poller = self.relay.poller
        self.sessions = Sessions()
        self.manager = Manager()
        self.changeover = Changeover()
        self.pool = MicroPool("app", "app", Census(), self.manager, self.changeover)
        self.clients: list[FarClient] = []
        self.databases: list[FarDatabase] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Everybody leaves: nothing may be left behind."""
        try:
            far: list[FarEnd] = [*self.clients, *self.databases]
            for each in far:
                each.actor.close()
            if kind is None:
                self.settle()
                peers = [*(c.peer for c in self.clients), *(d.peer for d in self.databases)]
                assert all(each.is_closed for each in peers), "somebody is left behind"
                ended = [client for client, _ in self.sessions.ended]
                assert len(ended) == len(set(ended)), "a client has ended twice"
                lost = [server for server, _ in self.manager.lost]
                assert len(lost) == len(set(lost)), "a connection has ended twice"
                assert self.pool.size == self.pool.waiting == self.pool.borrowed == 0
        finally:
            self.relay.close()

    # ---- who is there ----

    def client(
        self,
        settings: SettingsPort = PLAIN,
        *,
        parameters: ParametersPort | None = PARAMETERS,
        tls: bool = False,
        early: bytes = b"",
        pending: bytes = b"",
        buffer_bytes: int = 0,
        strict: bool = False,
    ) -> FarClient:
        """A client that has just logged in. `parameters` None: they are not known yet. `pending`:
        came behind its login, and TLS has it."""
        number = len(self.clients) + 1
        actor, end = connect(f"client {number}", "client" if tls else "", buffer_bytes)
        far = FarClient(actor, self.settle)
        if end.incoming is not None:
            end.incoming.write(actor.wrap(pending))
        far.peer = Client(
            self.poller,
            end.fd,
            self.pool,
            self.sessions,
            number,
            settings=settings,
            parameters=parameters,
            tls=end.tls,
            incoming=end.incoming,
            outgoing=end.outgoing,
        )
        far.peer.strict = strict
        self.clients.append(far)
        far.peer.start(early)
        self.settle()
        return far

    def database(
        self,
        settings: SettingsPort = PLAIN,
        *,
        parameters: ParametersPort = PARAMETERS,
        tls: bool = False,
        early: bytes = b"",
        buffer_bytes: int = 0,
        ends: tuple[Actor, NearEnd] | None = None,
    ) -> FarDatabase:
        """A new database connection, free."""
        number = len(self.databases) + 1
        actor, end = ends or connect(f"database {number}", "server" if tls else "", buffer_bytes)
        far = FarDatabase(actor, self.settle)
        far.peer = Server(
            self.poller,
            end.fd,
            self.pool,
            BACKEND_PID + number,
            b"key!",
            settings=settings,
            parameters=parameters,
            tls=end.tls,
            incoming=end.incoming,
            outgoing=end.outgoing,
            early=early,
        )
        self.databases.append(far)
        self.pool.begin_opening()
        self.pool.end_opening(True)
        far.peer.start()
        self.settle()
        return far

    # ---- what happens ----

    def settle(self) -> None:
        """Let the relay work until there is nothing left to do."""
        for _ in range(TURNS_LIMIT):
            if self._poll.poll(0):
                self.relay.select(0)
            elif not self.forgets or not self._forget():
                return
        raise AssertionError("the relay does not come to rest")

    def _forget(self) -> bool:
        """Answer for the databases that were told to forget; whether one was."""
        told = False
        for far in self.databases:
            actor = far.actor
            if actor.closed or far.peer.is_closed or not far.peer.forgetting:
                continue
            looked_at = len(actor.inbox)
            actor.receive()
            at = actor.inbox.find(FORGET, looked_at)
            if at >= 0:
                actor.inbox = actor.inbox[:at] + actor.inbox[at + len(FORGET) :]
                actor.sock.send(actor.wrap(FORGOTTEN))
                told = True
        return told


def _epoll_sets() -> set[int]:
    """The descriptors of this process that are epoll sets."""
    mine = descriptors(os.getpid())
    return {fd for fd, target in mine.items() if target == "anon_inode:[eventpoll]"}
