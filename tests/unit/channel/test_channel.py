"""Frames, and both ends of a channel over a socket pair. Chunkings: properties/test_channel.py."""

import asyncio
import socket

import pytest

from forebay.channel import channel
from forebay.channel.channel import Channel, ChannelError, Framer, encode, node_end, worker_end
from forebay.channel.messages import Drain, Drained, Notice


def test_frames_in_pieces() -> None:
    framer = Framer(limit_bytes=10)
    assert framer.feed(b"\0\0\0\2ab\0\0\0") == [b"ab"]
    assert not framer.is_empty
    assert framer.feed(b"\0\0\0\0\1c") == [b"", b"c"]
    assert framer.is_empty


def test_a_length_beyond_the_limit() -> None:
    with pytest.raises(ChannelError, match="11 bytes; 10 are allowed"):
        Framer(limit_bytes=10).feed(b"\0\0\0\x0b")


def test_a_message_that_would_be_too_long_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MAX_MESSAGE_BYTES", 20)
    with pytest.raises(ChannelError, match="20 are allowed"):
        encode(Notice(level="INFO", text="x" * 20))


async def test_both_ends() -> None:
    ours, theirs = socket.socketpair()
    node, worker = await node_end(ours), await worker_end(theirs)
    assert await node.send(Drain(timeout_s=1))
    assert worker.post(Drained())
    assert await worker.receive() == Drain(timeout_s=1)
    assert await node.receive() == Drained()
    worker.close()
    await worker.wait_closed()
    assert await node.receive() is None
    node.close()
    await node.wait_closed()
    assert not node.post(Drain(timeout_s=1))
    assert not await node.send(Drain(timeout_s=1))


async def test_who_does_not_read_is_owed_no_more_than_a_bound() -> None:
    ours, theirs = socket.socketpair()
    node = await node_end(ours)
    posted = 0
    while node.post(Drain(timeout_s=posted)):
        posted += 1
        assert posted < 1_000_000
    theirs.close()
    node.close()
    await node.wait_closed()


async def test_an_end_that_takes_only_short_messages() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    node: Channel[Drain, Drain] = Channel(reader, writer, Drain, limit_bytes=40)
    theirs.sendall(encode(Drain(timeout_s=1)) + b"\0\0\0\x29")
    with pytest.raises(ChannelError, match="41 bytes; 40 are allowed"):
        async with asyncio.timeout(20):
            while await node.receive() is not None:
                pass
    theirs.close()
    node.close()
    await node.wait_closed()


async def test_nonsense() -> None:
    ours, theirs = socket.socketpair()
    node = await node_end(ours)
    theirs.sendall(b"\0\0\0\1\xff")
    with pytest.raises(ChannelError, match="can't be read"):
        async with asyncio.timeout(20):
            await node.receive()
    theirs.close()
    node.close()
    await node.wait_closed()
