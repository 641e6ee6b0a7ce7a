"""Who is let in, and when nobody is. The loop and the listeners are played."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from forebay.worker.doorman import ACCEPTS_AT_ONCE, PAUSE_S, Doorman

Outcome = tuple[object, object] | OSError


class Listener:
    """A listening socket: ``accept`` gives or raises what is in `queue`, then has nothing."""

    family = socket.AF_UNIX

    def __init__(self) -> None:
        self.queue: list[Outcome] = []
        self.is_closed = False

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def accept(self) -> tuple[object, object]:
        outcome = self.queue.pop(0) if self.queue else BlockingIOError()
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def close(self) -> None:
        self.is_closed = True


class Loop:
    """As much of an event loop as a doorman uses; `tasks` are the real one's."""

    def __init__(self) -> None:
        self.readers: dict[Listener, Callable[[], None]] = {}
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def add_reader(
        self, listener: Listener, call: Callable[[Listener], None], *arguments: Listener
    ) -> None:
        assert listener not in self.readers
        self.readers[listener] = lambda: call(*arguments)

    def remove_reader(self, listener: Listener) -> None:
        self.readers.pop(listener, None)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.timers.append((delay_s, call))

    def create_task(self, login: Any, name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(login, name=name)

    def ready(self) -> None:
        """Somebody has connected, as far as anybody looks."""
        for call in list(self.readers.values()):
            call()


class Door:
    """A doorman at one listener. Logins last until `leave` is set."""

    def __init__(self, limit: int = 1000) -> None:
        self.loop = Loop()
        self.listener = Listener()
        self.came: list[tuple[object, object]] = []
        self.cancelled: list[object] = []
        self.leave = asyncio.Event()
        self.failure: Exception | None = None
        self.doorman = Doorman(cast(Any, self.loop), cast(Any, self.log_in), limit)

    async def log_in(self, sock: object, address: object) -> None:
        self.came.append((sock, address))
        try:
            await self.leave.wait()
        except asyncio.CancelledError:
            self.cancelled.append(sock)
            raise
        if self.failure is not None:
            raise self.failure

    def come(self, count: int, *then: Outcome) -> None:
        """So many connect; `then`: what accept(2) has to say behind them."""
        self.listener.queue += [(f"socket {n}", f"address {n}") for n in range(count)]
        self.listener.queue += then
        self.loop.ready()


async def turns() -> None:
    """Let tasks that can go on do so."""
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.fixture
async def door() -> AsyncIterator[Callable[..., Door]]:
    doors: list[Door] = []

    def open_door(limit: int = 1000) -> Door:
        made = Door(limit)
        doors.append(made)
        made.doorman.listen([7], {7: cast(Any, made.listener)})
        return made

    yield open_door
    for each in doors:
        each.doorman.close()
    await turns()


async def test_who_connects_is_logged_in(door: Callable[..., Door]) -> None:
    here = door()
    here.come(2)
    await turns()
    assert here.came == [("socket 0", "address 0"), ("socket 1", "address 1")]
    assert here.doorman.logins == 2
    here.leave.set()
    await turns()
    assert here.doorman.logins == 0


async def test_others_have_their_turn_after_so_many(door: Callable[..., Door]) -> None:
    here = door()
    here.come(ACCEPTS_AT_ONCE + 1)
    assert here.doorman.logins == ACCEPTS_AT_ONCE == 32
    here.loop.ready()
    assert here.doorman.logins == ACCEPTS_AT_ONCE + 1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_descriptors_accepting_pauses_and_says_so(
    number: int, door: Callable[..., Door], caplog: pytest.LogCaptureFixture
) -> None:
    here = door()
    here.come(1, OSError(number, os.strerror(number)))
    assert f"cannot be accepted for now: [Errno {number}]" in caplog.text
    assert not here.loop.readers, "it would spin"
    ((delay_s, resume),) = here.loop.timers
    assert delay_s == PAUSE_S
    assert here.doorman.logins == 1
    resume()
    here.come(1)
    assert here.doorman.logins == 2


@pytest.mark.parametrize("error", [BlockingIOError(), ConnectionAbortedError(), InterruptedError()])
async def test_who_has_gone_again_is_nothing_to_tell(
    error: OSError, door: Callable[..., Door], caplog: pytest.LogCaptureFixture
) -> None:
    here = door()
    here.come(0, error)
    assert not caplog.records
    here.come(1)
    assert here.doorman.logins == 1


async def test_what_is_no_listener_is_not_passed_over(door: Callable[..., Door]) -> None:
    here = door()
    with pytest.raises(OSError, match="bad"):
        here.come(0, OSError(errno.EBADF, "bad"))


async def test_only_so_many_log_in_at_a_time(door: Callable[..., Door]) -> None:
    here = door(limit=3)
    here.come(5)
    await turns()
    assert (here.doorman.logins, here.loop.readers) == (3, {})
    here.leave.set()
    await turns()
    assert here.doorman.logins == 0
    here.leave.clear()
    here.loop.ready()
    await turns()
    assert len(here.came) == 5


async def test_a_login_that_fails_is_told_of_and_keeps_no_place(
    door: Callable[..., Door], caplog: pytest.LogCaptureFixture
) -> None:
    here = door(limit=1)
    here.failure = RuntimeError("no luck")
    here.come(2)
    here.leave.set()
    await turns()
    assert "Task login failed" in caplog.text
    assert here.doorman.logins == 0
    assert here.listener in here.loop.readers


async def test_who_is_late_finds_it_closed(door: Callable[..., Door]) -> None:
    here = door()
    here.come(2, OSError(errno.EMFILE, "full"))
    await turns()
    here.doorman.close()
    await turns()
    assert sorted(map(str, here.cancelled)) == ["socket 0", "socket 1"]
    assert here.listener.is_closed
    ((_, resume),) = here.loop.timers
    resume()
    assert not here.loop.readers


async def test_once_closed_it_accepts_nobody_any_more(door: Callable[..., Door]) -> None:
    """A proxy that drains is told of others' passwords as before, and where to listen with them."""
    here = door()
    here.doorman.close()
    here.doorman.listen([7], {})
    assert not here.loop.readers


async def test_what_is_accepted_sends_at_once_and_notices_who_vanished() -> None:
    came: asyncio.Queue[socket.socket] = asyncio.Queue()

    async def log_in(sock: socket.socket, address: object) -> None:
        came.put_nowait(sock)

    here = Doorman(asyncio.get_running_loop(), log_in)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here.listen([7], {7: listener})
        with socket.create_connection(listener.getsockname()), await came.get() as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        here.close()


async def test_listeners_come_and_go(door: Callable[..., Door]) -> None:
    here = door()
    other = Listener()
    here.doorman.listen([7, 8], {8: cast(Any, other)})
    assert here.loop.readers.keys() == {here.listener, other}
    here.doorman.listen([8], {})
    assert here.loop.readers.keys() == {other}
    assert here.listener.is_closed
    other.queue.append(("socket", "address"))
    here.loop.ready()
    await turns()
    assert here.came == [("socket", "address")]


async def test_a_listener_that_comes_during_a_pause_waits(door: Callable[..., Door]) -> None:
    here, other = door(limit=1), Listener()
    here.come(2)
    assert here.loop.readers == {}
    here.doorman.listen([7, 8], {8: cast(Any, other)})
    assert here.loop.readers == {}
    here.leave.set()
    await turns()
    assert here.loop.readers.keys() == {here.listener, other}
