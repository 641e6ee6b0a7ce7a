"""Frames survive any chunking; nonsense ends in ChannelError and nothing else."""

import asyncio
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.channel import (
    MAX_UNSENT_BYTES,
    Answer,
    Applied,
    Apply,
    Begin,
    Call,
    CertificatePair,
    Channel,
    ChannelError,
    Drain,
    Failed,
    Figures,
    FiguresRequest,
    Framer,
    MakeToken,
    NewerSecret,
    NodeMessage,
    Notice,
    Refreshed,
    Token,
    VerifyToken,
    WorkerFigures,
    WorkerMessage,
    WorkerProxy,
    encode,
    node_end,
    worker_end,
)
from forebay.config import from_url
from tests.harness.credentials import credential

FRAMES = st.lists(st.binary(max_size=300), max_size=20)


def framed(bodies: list[bytes]) -> bytes:
    return b"".join(len(body).to_bytes(4) + body for body in bodies)


@given(FRAMES, st.data())
def test_any_chunking_gives_the_same_frames(bodies: list[bytes], data: st.DataObject) -> None:
    stream = framed(bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    framer = Framer()
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.feed(stream[start:end])
    assert found == bodies
    assert framer.is_empty


@given(FRAMES)
def test_byte_by_byte(bodies: list[bytes]) -> None:
    framer = Framer()
    assert [each for byte in framed(bodies) for each in framer.feed(bytes([byte]))] == bodies


@given(st.integers(1001, 2**32 - 1), st.binary(max_size=50))
def test_a_length_beyond_the_limit_is_refused(length: int, rest: bytes) -> None:
    with pytest.raises(ChannelError):
        Framer(limit_bytes=1000).feed(length.to_bytes(4) + rest)


@given(st.integers(1, 1000))
def test_an_unfinished_frame_is_noticed(left: int) -> None:
    framer = Framer()
    framer.feed(framed([b"x" * 1000])[:-left])
    assert not framer.is_empty


def apply() -> Apply:
    settings = from_url("postgresql://u:p@h/db", {}).proxies["default"]
    proxy = WorkerProxy(
        name="app",
        listeners=[3, 4],
        settings=settings,
        credentials=[credential("u", "hunter2", "md5")],
        certificates=[CertificatePair("CERT", "hunter2 KEY")],
    )
    return Apply(open=[proxy], close=["old"], passed=[3, 4], drain_timeout_s=2.5)


FROM_NODE: list[NodeMessage] = [
    Begin(worker_number=3, cancel_secret=b"hunter2"),
    Call(id=1, request=apply()),
    Call(id=3, request=FiguresRequest()),
    Answer(id=1, result=Refreshed(changed=True)),
    Answer(id=2, result=Token(token="hunter2")),
    Failed(id=3, reason="no"),
    Drain(timeout_s=0.5),
]
FROM_WORKER: list[WorkerMessage] = [
    Answer(id=1, result=Applied()),
    Answer(id=3, result=Figures(worker=WorkerFigures(started_at=1.5))),
    Failed(id=2, reason="no"),
    Call(id=1, request=NewerSecret(proxy="app", user="u")),
    Call(id=2, request=VerifyToken(proxy="app", user="u", peer="::1", token=b"hunter2")),
    Call(id=3, request=MakeToken(proxy="app", user="u", host="h", port=1)),
    Notice(level="INFO", text="t"),
]


async def ends() -> tuple[Channel[NodeMessage, WorkerMessage], Channel[WorkerMessage, NodeMessage]]:
    ours, theirs = socket.socketpair()
    return await node_end(ours), await worker_end(theirs)


async def test_every_message_arrives_as_it_was_sent() -> None:
    node, worker = await ends()
    for message in FROM_NODE:
        assert await node.send(message)
    assert [await worker.receive() for _ in FROM_NODE] == FROM_NODE
    for answer in FROM_WORKER:
        assert worker.post(answer)
    assert [await node.receive() for _ in FROM_WORKER] == FROM_WORKER
    await close(node, worker)


async def close(
    *channels: Channel[NodeMessage, WorkerMessage] | Channel[WorkerMessage, NodeMessage],
) -> None:
    for channel in channels:
        channel.close()
        await channel.wait_closed()


async def test_the_end_of_the_stream_is_news() -> None:
    node, worker = await ends()
    node.close()
    assert await worker.receive() is None
    assert await worker.receive() is None
    await close(node, worker)
    assert worker.post(Notice(level="INFO", text="late")) is False


async def test_an_end_in_the_middle_of_a_message() -> None:
    ours, theirs = socket.socketpair()
    worker = await worker_end(theirs)
    ours.sendall(encode(Drain(timeout_s=1))[:-1])
    ours.close()
    assert await worker.receive() is None
    await close(worker)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"type": "unknown"}),
        msgspec.msgpack.encode({"type": "drain", "timeout_s": "soon"}),
        b"\x81\xa4type\xa1\xff",
    ],
)
async def test_nonsense_is_a_channel_error(body: bytes) -> None:
    ours, theirs = socket.socketpair()
    worker = await worker_end(theirs)
    ours.sendall(framed([body]))
    with pytest.raises(ChannelError):
        await worker.receive()
    ours.close()
    await close(worker)


async def test_a_peer_that_does_not_read_costs_a_bounded_amount() -> None:
    node, worker = await ends()
    notice = Notice(level="INFO", text="x" * 50_000)
    posted = 0
    while worker.post(notice):
        posted += 1
        assert posted * 50_000 < MAX_UNSENT_BYTES + 4_000_000  # socket buffers included
    for _ in range(posted):
        assert await node.receive() == notice
    await close(node, worker)


async def test_messages_larger_than_any_buffer() -> None:
    node, worker = await ends()
    big = Notice(level="INFO", text="x" * 5_000_000)
    sending = asyncio.ensure_future(worker.send(big))
    assert await node.receive() == big
    assert await sending
    await close(node, worker)


def test_no_secret_shows_in_a_repr() -> None:
    assert "hunter2" not in repr([*FROM_NODE, *FROM_WORKER])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_channel_error(body: bytes) -> None:
    async def receive() -> None:
        ours, theirs = socket.socketpair()
        worker = await worker_end(theirs)
        ours.sendall(framed([body]))
        try:
            await worker.receive()
        except ChannelError:
            pass
        finally:
            ours.close()
            await close(worker)

    asyncio.run(receive())
