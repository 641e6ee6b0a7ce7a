"""The commands' end, against the real server and against sockets that say something else."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forebay.channel import encode
from forebay.control import client
from forebay.control.client import ControlClient, ControlError, StaleError
from forebay.control.messages import (
    Failed,
    Progress,
    StatusAnswer,
    StatusRequest,
    Stopped,
    StopRequest,
    Who,
    WhoRequest,
)
from forebay.control.peer import Peer
from tests.unit.control.fakes import FakeNode, serving


@contextlib.contextmanager
def answering(path: Path, talk: Callable[[socket.socket], object]) -> Iterator[None]:
    """A socket whose first connection ``talk`` serves, in a thread."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join()


@pytest.fixture
def path(place: Path) -> Path:
    return place / "control"


async def test_it_asks_a_node(path: Path) -> None:
    def ask() -> tuple[str, int]:
        with ControlClient(str(path)) as node:
            who = node.answer_to(WhoRequest(id=1), Who)
            found = node.answer_to(StatusRequest(id=2), StatusAnswer)
            assert who.configuration == found.status.configuration
            return who.configuration, node.pid

    node = FakeNode("/etc/a.toml")
    async with serving(node, path):
        assert await asyncio.to_thread(ask) == ("/etc/a.toml", os.getpid())


async def test_an_answer_of_several_messages(path: Path) -> None:
    seen = []
    begun = threading.Event()

    def ask() -> None:
        with ControlClient(str(path)) as node:
            for answer in node.ask(StopRequest(id=1)):
                seen.append(answer)
                begun.set()

    async with serving(FakeNode(), path) as server:
        asking = asyncio.create_task(asyncio.to_thread(ask))  # noqa: TID251
        await asyncio.to_thread(begun.wait)
        await server.finish(ok=True)
        await asking
    assert isinstance(seen[0], Progress)
    assert seen[-1] == Stopped(id=1, ok=True)


def test_where_there_is_none(path: Path) -> None:
    with pytest.raises(ControlError, match=f"{path}: no Forebay runs there: there is no such"):
        ControlClient(str(path))
    with pytest.raises(ControlError, match="at most 107"):
        ControlClient("/" + 107 * "a")


def test_what_a_dead_node_has_left(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(StaleError, match="its node has ended without removing it"):
        ControlClient(str(path))


def test_one_that_may_not_be_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path.touch()
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(client, "remedy", lambda uid: f"run this as {uid}")
    with pytest.raises(ControlError) as caught:
        ControlClient(str(path))
    assert str(caught.value) == (f"{path}: permission denied: run this as {os.geteuid()}")


def test_one_of_a_user_who_is_not_to_be_believed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(client, "peer_of", lambda _: Peer(1, 4_000_000_000))
    with (
        answering(path, lambda connection: connection.recv(1)),
        pytest.raises(ControlError, match="is a socket of uid 4000000000: run this as uid"),
    ):
        ControlClient(str(path))


def test_one_that_is_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_TIMEOUT_S", 0.0)
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as stack:
        busy.bind(str(path))
        busy.listen(0)
        with pytest.raises(ControlError, match="the node does not answer"):
            for _ in range(3):  # the queue has room for one
                stack.enter_context(ControlClient(str(path)))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "the node has closed the connection"),
        (b"\0\0\0\x10half", "the node has closed the connection"),
        (b"HTTP/1.1 400", "is no control socket: a message of 1213486160 bytes"),
        (b"\0\0\0\1\xc1", "the node, perhaps of another version, says: "),
        (encode({"type": "rows", "id": 1}), "the node, perhaps of another version, says: "),
        (encode(Failed(id=1, reason="no such thing")), "no such thing"),
        (encode(Stopped(id=1, ok=True)), "the node answers something else"),
    ],
)
def test_answers_of_no_use(path: Path, said: bytes, told: str) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(said)

    with (
        answering(path, talk),
        ControlClient(str(path)) as node,
        pytest.raises(ControlError, match=told),
    ):
        node.answer_to(StatusRequest(id=1), StatusAnswer)


def test_one_that_keeps_silent(path: Path) -> None:
    with (
        answering(path, lambda connection: connection.recv(4096) and connection.recv(1)),
        ControlClient(str(path)) as node,
    ):
        with pytest.raises(ControlError, match="does not answer"):
            node.answer_to(StatusRequest(id=1), StatusAnswer, timeout_s=0.01)
        assert not node.wait_for_exit(timeout_s=0.01)  # it is this process


def test_where_processes_cannot_be_seen_the_connection_shows_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "peer_of", lambda _: Peer(0, os.geteuid()))
    with (
        answering(path, lambda connection: connection.sendall(b"more")),
        ControlClient(str(path)) as node,
    ):
        assert node.pid == 0
        assert node.wait_for_exit()
    path.unlink()
    with (
        answering(path, lambda connection: connection.recv(1)),
        ControlClient(str(path)) as node,
    ):
        assert not node.wait_for_exit(timeout_s=0.01)
