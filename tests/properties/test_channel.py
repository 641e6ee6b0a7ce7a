"""Frames survive any chunking; nonsense ends in ChannelError and nothing else."""

import asyncio
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.channel import (
    MAX_UNSENT_BYTES,
    Channel,
    ChannelError,
    Configure,
    Credential,
    Drain,
    Framer,
    NodeMessage,
    Notice,
    Ready,
    Refused,
    Stats,
    StatsRequest,
    WorkerMessage,
    WorkerProxy,
    encode,
    node_end,
    worker_end,
)
from forebay.config import from_url

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


def configure() -> Configure:
    settings = from_url("postgresql://u:p@h/db", {}).proxies["default"]
    proxy = WorkerProxy(
        name="app",
        listen_fds=[3, 4],
        settings=settings,
        credentials=[Credential("u", "hunter2", "md5")],
        tls_certificate_pem="CERT",
        tls_private_key_pem="hunter2 KEY",
    )
    return Configure(generation=7, proxies=[proxy], drain_timeout_s=2.5)


FROM_NODE: list[NodeMessage] = [configure(), Drain(timeout_s=0.5), StatsRequest(id=3)]
FROM_WORKER: list[WorkerMessage] = [
    Ready(generation=1, unchanged=["x"]),
    Refused(generation=2, reason="no"),
    Stats(id=3, proxies={"app": {"a": 1, "b": 0.5}}),
    Notice(event="e", proxy="app", fields={"n": 1}),
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
    assert worker.post(Notice(event="late")) is False


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
    notice = Notice(event="x" * 50_000)
    posted = 0
    while worker.post(notice):
        posted += 1
        assert posted * 50_000 < MAX_UNSENT_BYTES + 4_000_000  # socket buffers included
    for _ in range(posted):
        assert await node.receive() == notice
    await close(node, worker)


async def test_messages_larger_than_any_buffer() -> None:
    node, worker = await ends()
    big = Notice(event="x" * 5_000_000)
    sending = asyncio.ensure_future(worker.send(big))
    assert await node.receive() == big
    assert await sending
    await close(node, worker)


def test_no_secret_shows_in_a_repr() -> None:
    assert "hunter2" not in repr(configure())


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
