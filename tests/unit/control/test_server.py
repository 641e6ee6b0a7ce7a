"""The server with a node of the test's: what it answers, and what nobody can hold up."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from forebay.channel import Channel, ClientRow, encode
from forebay.control import server
from forebay.control.messages import (
    Answer,
    ClientsAnswer,
    ClientsRequest,
    Expecting,
    ExpectRequest,
    Failed,
    PoolDone,
    PoolRequest,
    Progress,
    ReloadAnswer,
    ReloadRequest,
    Request,
    StatusAnswer,
    StatusRequest,
    Stopped,
    StopRequest,
    ViewAnswer,
    ViewRequest,
    Who,
    WhoRequest,
)
from forebay.control.peer import Peer
from forebay.control.server import MAX_CONNECTIONS, ControlServer
from forebay.node import WorkerUnavailableError
from tests.unit.control.fakes import FakeNode, serving, until


class Talk:
    """A connection of a command's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.channel: Channel[Request, Answer] = Channel(reader, writer, Answer)

    @classmethod
    async def to(cls, path: Path) -> "Talk":
        return cls(*await asyncio.open_unix_connection(path))

    async def ask(self, request: Request) -> Answer | None:
        await self.channel.send(request)
        return await self.channel.receive()

    async def close(self) -> None:
        self.channel.close()
        await self.channel.wait_closed()


@pytest.fixture
async def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def path(place: Path) -> Path:
    return place / "control"


@pytest.fixture
async def control(node: FakeNode, path: Path) -> AsyncIterator[ControlServer]:
    async with serving(node, path) as running:
        yield running


async def serves(path: Path) -> None:
    """Another command is answered."""
    talk = await Talk.to(path)
    assert isinstance(await talk.ask(WhoRequest(id=9)), Who)
    await talk.close()


async def until_asked(node: FakeNode, times: int) -> None:
    await until(lambda: node.asked >= times)


@pytest.mark.usefixtures("control")
class TestAnswers:
    async def test_each_bears_the_id_of_its_request(self, node: FakeNode, path: Path) -> None:
        talk = await Talk.to(path)
        who = await talk.ask(WhoRequest(id=4))
        assert isinstance(who, Who)
        assert (who.id, who.configuration, who.listen) == (4, node.source, ["127.0.0.1:6432"])
        status = await talk.ask(StatusRequest(id=5))
        assert isinstance(status, StatusAnswer)
        assert (status.id, status.status.configuration) == (5, node.source)
        reload = await talk.ask(ReloadRequest(id=6))
        assert isinstance(reload, ReloadAnswer)
        assert (reload.id, reload.reload.changed) == (6, ["a: 1 → 2"])
        await talk.close()

    async def test_several_requests_at_once_are_answered_in_order(self, path: Path) -> None:
        talk = await Talk.to(path)
        talk.writer.write(b"".join(encode(WhoRequest(id=number)) for number in range(1, 6)))
        answers = [await talk.channel.receive() for _ in range(5)]
        assert [each.id for each in answers if each is not None] == [1, 2, 3, 4, 5]
        await talk.close()

    async def test_a_reload_that_fails_is_told(self, node: FakeNode, path: Path) -> None:
        node.failure = RuntimeError("planted")
        talk = await Talk.to(path)
        answer = await talk.ask(ReloadRequest(id=1))
        assert answer == Failed(id=1, reason="the reload failed: the log says why")
        await serves(path)
        await talk.close()

    async def test_a_reload_goes_on_when_who_asked_has_left(
        self, node: FakeNode, path: Path
    ) -> None:
        node.gate.clear()
        talk = await Talk.to(path)
        await talk.channel.send(ReloadRequest(id=1))
        await talk.close()
        await serves(path)
        node.gate.set()
        await until(lambda: node.reloads == 1)


@pytest.mark.usefixtures("control")
class TestNobodyHoldsItUp:
    @pytest.mark.parametrize("said", [b"", b"\0", b"\0\0\0\x20half"])
    async def test_half_a_message(
        self, said: bytes, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 0.1)
        talk = await Talk.to(path)
        talk.writer.write(said)
        await serves(path)
        assert await talk.reader.read() == b""
        await talk.close()

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", "a message of 1195725856 bytes; 65536 are allowed"),
            (b"\0\0\0\1\xc1", "a message that can't be read"),
            (encode({"type": "top?", "id": 1}), "a message that can't be read"),
            (encode({"type": "stop?"}), "a message that can't be read"),
        ],
    )
    async def test_nonsense(self, said: bytes, reason: str, node: FakeNode, path: Path) -> None:
        talk = await Talk.to(path)
        talk.writer.write(said)
        answer = await talk.channel.receive()
        assert isinstance(answer, Failed)
        assert answer.id == 0
        assert reason in answer.reason
        assert await talk.channel.receive() is None
        await talk.close()
        await serves(path)
        assert node.stops == []

    async def test_who_does_not_read(
        self, node: FakeNode, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "SEND_TIMEOUT_S", 0.1)
        monkeypatch.setattr(server, "FAREWELL_S", 0.1)
        node.padding = "x" * 200_000
        talk = await Talk.to(path)
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(100):
            talk.writer.write(encode(StatusRequest(id=number)))
        await serves(path)
        while not talk.writer.transport.is_closing():  # until writing shows that it was cut off
            talk.writer.write(encode(StatusRequest(id=1)))
            await asyncio.sleep(0)
        assert node.asked < 100
        await serves(path)
        await talk.close()

    async def test_200_at_once_that_say_nothing(self, path: Path, control: ControlServer) -> None:
        many = [await Talk.to(path) for _ in range(200)]
        await serves(path)
        assert len(control._connections) <= MAX_CONNECTIONS
        # Those that were there first had to go; the last can still be used.
        assert await many[0].reader.read() == b""
        assert isinstance(await many[-1].ask(WhoRequest(id=1)), Who)
        for each in many:
            await each.close()

    async def test_who_is_answered_does_not_have_to_go(self, node: FakeNode, path: Path) -> None:
        node.gate.clear()
        first = await Talk.to(path)
        await first.channel.send(StatusRequest(id=1))
        await until_asked(node, 1)
        many = [await Talk.to(path) for _ in range(MAX_CONNECTIONS + 5)]
        await serves(path)
        node.gate.set()
        assert isinstance(await first.channel.receive(), StatusAnswer)
        for each in (first, *many):
            await each.close()

    async def test_when_all_are_answered_one_more_is_refused(
        self, node: FakeNode, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        node.gate.clear()
        many = [await Talk.to(path) for _ in range(MAX_CONNECTIONS)]
        for each in many:
            await each.channel.send(StatusRequest(id=1))
        await until_asked(node, MAX_CONNECTIONS)
        late = await Talk.to(path)
        assert await late.reader.read() == b""
        assert "64 commands are under way: another was refused" in caplog.text
        node.gate.set()
        for each in many:
            assert isinstance(await each.channel.receive(), StatusAnswer)
        await serves(path)
        for each in (late, *many):
            await each.close()

    async def test_another_user(
        self,
        node: FakeNode,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(server, "may_command", lambda _: False)
        for _ in range(2):
            talk = await Talk.to(path)
            talk.writer.write(encode(StopRequest(id=1)))
            assert await talk.channel.receive() is None
            await talk.close()
        assert node.stops == []
        assert caplog.text.count("was refused: only the node's own user and root may") == 1
        monkeypatch.setattr(server, "MAX_STRANGERS", 1)
        monkeypatch.setattr(server, "peer_of", lambda _: Peer(1, 4711))
        talk = await Talk.to(path)
        assert await talk.channel.receive() is None
        await talk.close()
        assert "4711" not in caplog.text


class TestStop:
    async def test_it_is_told_how_many_are_left_and_when_it_is_over(
        self, node: FakeNode, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "FAREWELL_S", 3600)  # the end waits for no goodbye
        async with serving(node, path) as control:
            talk = await Talk.to(path)
            assert await talk.ask(StopRequest(id=1)) == Progress(id=1, clients=4)
            assert node.stops == [False]
            await control.finish(ok=False)
            assert await talk.channel.receive() == Stopped(id=1, ok=False)
            assert await talk.channel.receive() is None
            with pytest.raises(FileNotFoundError):
                await Talk.to(path)
            await talk.close()

    async def test_one_more_hurries_it_and_all_are_told(self, node: FakeNode, path: Path) -> None:
        node.clients = None
        async with serving(node, path) as control:
            talks = [await Talk.to(path) for _ in range(3)]
            for each in talks[:2]:
                assert await each.ask(StopRequest(id=1)) == Progress(id=1, clients=None)
            assert await talks[2].ask(StopRequest(id=2, now=True)) == Progress(id=2)
            assert node.stops == [False, False, True]
            await serves(path)
            await control.finish(ok=True)
            answers = [await each.channel.receive() for each in talks]
            assert answers == [Stopped(id=number, ok=True) for number in (1, 1, 2)]
            for each in talks:
                await each.close()

    async def test_it_goes_on_when_who_asked_has_left(
        self, node: FakeNode, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "PROGRESS_INTERVAL_S", 0.01)
        async with serving(node, path) as control:
            talk = await Talk.to(path)
            await talk.ask(StopRequest(id=1))
            talk.writer.transport.abort()
            await until(lambda: not control._connections)
            assert node.stops == [False]
            await serves(path)

    async def test_the_end_does_not_wait_for_anybody(
        self, node: FakeNode, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "FAREWELL_S", 0.1)
        async with serving(node, path) as control:
            silent = await Talk.to(path)
            stuck = await Talk.to(path)
            node.gate.clear()
            await stuck.channel.send(StatusRequest(id=1))
            await until_asked(node, 1)
            await control.finish(ok=True)
            assert await silent.reader.read() == b""
            assert await stuck.reader.read() == b""
            with pytest.raises(FileNotFoundError):
                await Talk.to(path)
            for each in (silent, stuck):
                await each.close()


async def test_a_peer_that_cannot_be_told_is_refused(control: ControlServer) -> None:
    ours, theirs = socket.socketpair()
    with theirs:

        class Without:
            def get_extra_info(self, _: str) -> Any:
                return ours

        ours.close()
        assert not control._is_allowed(Without())  # type: ignore[arg-type]


class TestLooking:
    async def test_answers_may_have_parts(self, node: FakeNode, path: Path) -> None:
        row = ClientRow(id=5, database="d", user="u", identity="u", state="idle")
        node.observer.rows["app"] = [row]
        async with serving(node, path):
            talk = await Talk.to(path)
            first = await talk.ask(ClientsRequest(id=1))
            assert first == ClientsAnswer(id=1, proxy="app", clients=[row], more=True)
            last = await talk.channel.receive()
            assert last == ClientsAnswer(id=1, proxy="", clients=[])
            assert isinstance(await talk.ask(ViewRequest(id=2)), ViewAnswer)
            await talk.close()

    async def test_why_nothing_is_told(self, node: FakeNode, path: Path) -> None:
        async with serving(node, path):
            talk = await Talk.to(path)
            answer = await talk.ask(ViewRequest(id=1, proxy="x"))
            assert answer == Failed(id=1, reason="there is no proxy 'x': there is app")
            node.observer.failure = WorkerUnavailableError("gone")
            assert await talk.ask(ViewRequest(id=2)) == Failed(id=2, reason="gone")
            await talk.close()


class TestPoolCommands:
    async def test_a_pause_waits_until_no_connection_is_left(
        self, node: FakeNode, path: Path
    ) -> None:
        node.observer.left = [2, 1, 0]
        async with serving(node, path):
            talk = await Talk.to(path)
            told = await talk.ask(PoolRequest(id=1, action="pause", database="shop"))
            assert told == Progress(id=1, connections=2)
            while isinstance(told, Progress):
                told = await talk.channel.receive()
            assert told == PoolDone(id=1)
            assert node.pausing.of("app") == {"shop"}
            assert await talk.ask(PoolRequest(id=2, action="resume")) == PoolDone(id=2)
            answer = await talk.ask(PoolRequest(id=3, action="resume"))
            assert answer == Failed(id=3, reason="pooler is not paused/suspended")
            await talk.close()

    async def test_whoever_leaves_ends_the_pause(self, node: FakeNode, path: Path) -> None:
        node.observer.left = [1]
        async with serving(node, path):
            talk = await Talk.to(path)
            await talk.ask(PoolRequest(id=1, action="pause"))
            assert node.pausing.of("app") == {""}
            await talk.close()
            await until(lambda: not node.pausing.of("app"))

    async def test_a_switchover_is_announced(
        self, node: FakeNode, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", logger="forebay.control")
        async with serving(node, path):
            talk = await Talk.to(path)
            answer = await talk.ask(ExpectRequest(id=1, reason="x" * 1000))
            assert answer == Expecting(id=1, proxies=["app"])
            answer = await talk.ask(ExpectRequest(id=2, proxy="gone"))
            assert answer == Failed(id=2, reason="there is no proxy 'gone': there is app")
            node.watching.watched = []
            assert await talk.ask(ExpectRequest(id=3)) == Expecting(id=3, proxies=[])
            await talk.close()
        assert node.watching.expected == ["app"]
        assert [vars(each)["fields"] for each in caplog.records] == [
            {"proxies": "app", "reason": "x" * 200},
            {"proxies": "", "reason": ""},
        ]

    async def test_one_proxy_has_to_be_meant(self, node: FakeNode, path: Path) -> None:
        proxies = {"a": [], "b": []}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FakeNode, "addresses", property(lambda _: proxies))
            async with serving(node, path):
                talk = await Talk.to(path)
                answer = await talk.ask(PoolRequest(id=1, action="kill"))
                reason = "name one of the proxies (--proxy): a, b"
                assert answer == Failed(id=1, reason=reason)
                answer = await talk.ask(PoolRequest(id=2, action="kill", proxy="b"))
                assert answer == PoolDone(id=2)
                assert node.observer.commands == [("b", "kill", "")]
                await talk.close()
