"""The relay as asyncio's selector: asyncio works as with any other, beside relayed sockets."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.net.login import LoggedIn
from forebay.relay import MicroPool, Relay, Server
from forebay.session.settings import InternTable
from forebay.worker.agenda import Agenda
from forebay.worker.pool.manager import Limits, PoolManager
from forebay.worker.sessions.sessions import Sessions
from tests.harness.credentials import cancel_keys
from tests.playbooks import wording
from tests.playbooks.rig import FORGET, FORGOTTEN

PAIRS = 200
TICK_S = 0.01
TICKS = 20
QUERY = wording.encode("Query 'SELECT 1'")
RESULT = wording.encode("DataRow x, CommandComplete 'SELECT 1', Ready I")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.SelectorEventLoop(Relay())
    yield loop
    loop.close()


def pair() -> tuple[socket.socket, socket.socket]:
    first, second = socket.socketpair()
    first.setblocking(False)
    second.setblocking(False)
    return first, second


class TestAsyncio:
    def test_readers_and_writers(self, loop: asyncio.AbstractEventLoop) -> None:
        async def exchange() -> bytes:
            first, second = pair()
            with first, second:
                sending = asyncio.ensure_future(loop.sock_sendall(first, b"x" * 1_000_000))
                received = b""
                while len(received) < 1_000_000:
                    received += await loop.sock_recv(second, 65536)
                await sending
                return received

        assert loop.run_until_complete(exchange()) == b"x" * 1_000_000

    def test_streams(self, loop: asyncio.AbstractEventLoop) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        async def ask() -> bytes:
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"hello\n")
                answer = await reader.read()
                writer.close()
                await writer.wait_closed()
                return answer

        assert loop.run_until_complete(ask()) == b"hello\n"

    def test_threads_wake_it(self, loop: asyncio.AbstractEventLoop) -> None:
        assert loop.run_until_complete(loop.run_in_executor(None, lambda: 5)) == 5

    def test_timers(self, loop: asyncio.AbstractEventLoop) -> None:
        order: list[int] = []

        async def wait() -> None:
            loop.call_later(0.02, order.append, 2)
            loop.call_later(0.01, order.append, 1)
            loop.call_soon(order.append, 0)
            await asyncio.sleep(0.05)

        loop.run_until_complete(wait())
        assert order == [0, 1, 2]


class TestSelector:
    @pytest.fixture
    def relay(self) -> Iterator[Any]:
        relay = Relay()
        yield relay
        relay.close()

    def test_events(self, relay: Any) -> None:
        first, second = pair()
        with first, second:
            relay.register(first, 1, "data")
            assert relay.select(0) == []
            second.send(b"x")
            assert [(key.data, events) for key, events in relay.select(0)] == [("data", 1)]
            relay.modify(first, 3, "both")
            assert [(key.data, events) for key, events in relay.select(0)] == [("both", 3)]
            relay.modify(first, 2, "write")
            assert [(key.data, events) for key, events in relay.select(0)] == [("write", 2)]
            assert relay.get_key(first).events == 2
            assert dict(relay.get_map()) == {first.fileno(): relay.get_key(first)}
            relay.unregister(first)
            assert relay.select(0) == []
            assert not relay.get_map()

    @pytest.mark.parametrize("armed_s", [0.0, 0.005, 0.05, 1.0])
    def test_it_waits_as_long_as_it_is_told(self, relay: Any, armed_s: float) -> None:
        """Whatever an earlier call, which something else has ended, was told."""
        first, second = pair()
        with first, second:
            relay.register(first, 1)
            second.send(b"x")
            assert len(relay.select(armed_s)) == 1
            first.recv(1)
            for timeout_s in (0.02, 0.0, 0.01, 0.001):
                start = time.monotonic()
                assert relay.select(timeout_s) == []
                assert time.monotonic() >= start + timeout_s
            later = threading.Timer(0.1, second.send, (b"x",))
            later.start()
            assert len(relay.select(None)) == 1
            later.join()

    def test_a_hang_up_is_reported_as_readable(self, relay: Any) -> None:
        first, second = pair()
        with first:
            relay.register(first, 1)
            second.close()
            assert [events for _, events in relay.select(0)] == [1]

    def test_mistakes(self, relay: Any) -> None:
        first, second = pair()
        with first, second:
            relay.register(first, 1)
            with pytest.raises(KeyError):
                relay.register(first, 1)
            with pytest.raises(KeyError):
                relay.unregister(second)
            with pytest.raises(KeyError):
                relay.get_key(second)

    def test_a_socket_closed_before_it_was_unregistered(self, relay: Any) -> None:
        first, second = pair()
        with second:
            relay.register(first, 1, "data")
            first.close()
            assert relay.unregister(first).data == "data"

    def test_a_number_that_is_given_out_again(self, relay: Any) -> None:
        first, second = pair()
        relay.register(first, 1, "old")
        relay.unregister(first)
        first.close()
        again, other = pair()
        with second, again, other:
            relay.register(again, 1, "new")
            other.send(b"x")
            assert [key.data for key, _ in relay.select(0)] == ["new"]


class Crowd:
    """Busy clients and databases on one loop: each reply brings the next query."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.agenda = Agenda(loop, loop._selector.poller)  # type: ignore[attr-defined]
        self.intern = InternTable()
        self.sessions = Sessions(self.agenda, self.intern, cancel_keys())
        limits = Limits(100, 100, 1000, "")
        self.manager = PoolManager(self.agenda, limits, self.intern, self._open, self._cancel)
        self.far: list[socket.socket] = []
        self.served = 0
        self.stopped = False
        pool = self.manager.pool("app", "app")
        parameters = self.intern.parameters({"server_version": "15.0"})
        self.sessions.greetings.remember(pool, (), parameters)
        for _ in range(PAIRS):
            far, near = pair()
            end = SimpleNamespace(
                fd=near.detach(),
                sslobj=None,
                incoming=None,
                outgoing=None,
                leftover=b"",
                unsent=b"",
            )
            stream = cast(Any, SimpleNamespace(detach=lambda end=end: end))
            self.sessions.admit(LoggedIn(stream, "app", "app", (), 0, ""), pool)
            far.recv(1000)
            self._watch(loop, far, RESULT, QUERY)
            far.send(QUERY)

    def _watch(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, wanted: bytes, answer: bytes
    ) -> None:
        self.far.append(sock)
        received = bytearray()

        def read() -> None:
            received.extend(sock.recv(65536))
            if received.startswith(FORGET) and not self.stopped:
                del received[: len(FORGET)]
                sock.send(FORGOTTEN)
            while len(received) >= len(wanted) and not self.stopped:
                assert received.startswith(wanted)
                del received[: len(wanted)]
                self.served += 1
                sock.send(answer)

        # On a loop of its own: this one is busy with being measured.
        self.others.call_soon_threadsafe(self.others.add_reader, sock, read)

    async def _open(self, pool: MicroPool) -> tuple[Server, tuple[int, int]]:
        far, near = pair()
        server = Server(
            self.agenda.poller,
            near.detach(),
            pool,
            1,
            b"key!",
            settings=self.intern.none,
            parameters=self.intern.parameters({"server_version": "15.0"}),
        )
        self._watch(self.agenda.loop, far, QUERY, RESULT)
        return server, (PAIRS // 4, 0)

    async def _cancel(self, server: Server, is_meant: object) -> None:
        pass

    others: asyncio.AbstractEventLoop


def test_timers_keep_firing_beside_busy_relayed_sockets() -> None:
    """No limit of time is asserted: only that neither side keeps the other from its turn."""
    loop = asyncio.SelectorEventLoop(Relay())
    Crowd.others = asyncio.new_event_loop()
    thread = threading.Thread(target=Crowd.others.run_forever)
    thread.start()
    crowd: Crowd | None = None
    try:

        async def measure() -> tuple[int, int]:
            nonlocal crowd
            crowd = Crowd(loop)
            before = 0
            ticks = busy = 0
            while ticks < TICKS:
                await asyncio.sleep(TICK_S)
                ticks += 1
                busy += crowd.served > before
                before = crowd.served
            return ticks, busy

        ticks, busy = loop.run_until_complete(asyncio.wait_for(measure(), 60))
        assert ticks == TICKS
        assert busy > TICKS // 2, "relayed traffic stood still beside the timers"
    finally:
        if crowd is not None:
            crowd.stopped = True
        Crowd.others.call_soon_threadsafe(Crowd.others.stop)
        thread.join()
        Crowd.others.close()
        if crowd is not None:
            for sock in crowd.far:
                sock.close()
            loop.run_until_complete(asyncio.sleep(0.01))
            for client in list(crowd.sessions.clients.values()):
                client.drop()
            crowd.manager.close_all()
        loop.close()
