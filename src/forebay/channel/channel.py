"""How node and worker talk: frames over a socket pair.

One Unix stream socketpair per worker. Each message is a 4-byte big-endian length and that many
bytes of MessagePack, in which a tag names the type. Both ends are ours, yet lengths are bounded:
a desynchronised stream must end in an error, not in an allocation of 4 GB.

End of stream is news, not an error: `Channel.receive` returns None. A worker then keeps serving
with what it has; a node starts another worker.
"""

import asyncio
import socket
from typing import Any, Generic, TypeVar

import msgspec

from forebay.channel.messages import NodeMessage, WorkerMessage

# Thousands of users and two PEM files for each of a hundred proxies fit several times over.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
# A peer that doesn't read is owed no more than this; further notices and statistics are dropped.
MAX_UNSENT_BYTES = 256 * 1024
_LENGTH_BYTES = 4


class ChannelError(Exception):
    """The other end sent what is no message; the channel can't be used any longer."""


S = TypeVar("S")  # what this end sends
R = TypeVar("R")  # what this end receives


class Framer:
    """Bytes in any chunks → whole frames. Pure; holds at most one unfinished frame."""

    def __init__(self, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived; give the frames it completed. Raises ChannelError on a length word
        beyond the limit."""
        buffer = self._buffer
        buffer += data
        frames, at = [], 0
        while len(buffer) - at >= _LENGTH_BYTES:
            length = int.from_bytes(buffer[at : at + _LENGTH_BYTES])
            if length > self._limit_bytes:
                raise ChannelError(f"a message of {length} bytes; {self._limit_bytes} are allowed")
            end = at + _LENGTH_BYTES + length
            if len(buffer) < end:
                break
            frames.append(bytes(buffer[at + _LENGTH_BYTES : end]))
            at = end
        del buffer[:at]
        return frames

    @property
    def is_empty(self) -> bool:
        """False in the middle of a frame: an end of stream there means that the peer died."""
        return not self._buffer


def encode(message: Any) -> bytes:
    """A message as it goes over the socket. Raises ChannelError when it is too long."""
    body = msgspec.msgpack.encode(message)
    if len(body) > MAX_MESSAGE_BYTES:
        raise ChannelError(f"a message of {len(body)} bytes; {MAX_MESSAGE_BYTES} are allowed")
    return len(body).to_bytes(_LENGTH_BYTES) + body


class Channel(Generic[S, R]):
    """One end of the socketpair. One task receives; any may send. ``limit_bytes``: of a message
    that it receives."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        receives: Any,
        limit_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._framer = Framer(limit_bytes)
        self._frames: list[bytes] = []  # complete, in reverse order of arrival
        self._decoder: msgspec.msgpack.Decoder[R] = msgspec.msgpack.Decoder(receives)

    async def receive(self) -> R | None:
        """The next message, or None at the end of the stream. Raises ChannelError on nonsense."""
        while not self._frames:
            try:
                data = await self._reader.read(64 * 1024)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._frames = self._framer.feed(data)[::-1]
        try:
            return self._decoder.decode(self._frames.pop())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # msgspec's text names the place and the types, never the values.
            raise ChannelError(f"a message that can't be read: {error}") from None

    async def send(self, message: S) -> bool:
        """Send, waiting while the other end is slow. False when it is gone."""
        if not self._put(message):
            return False
        try:
            await self._writer.drain()
        except ConnectionError:
            return False
        return True

    def post(self, message: S) -> bool:
        """Send without waiting; False (dropped) when the other end is gone or far behind."""
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        return self._put(message)

    def _put(self, message: S) -> bool:
        if self._writer.is_closing():
            return False
        self._writer.write(encode(message))
        return True

    def close(self) -> None:
        """Close this end; the other sees the end of the stream."""
        self._writer.close()

    async def wait_closed(self) -> None:
        """Return when the descriptor is closed; never raises for a peer that died."""
        try:
            await self._writer.wait_closed()
        except OSError:
            return


async def node_end(sock: socket.socket) -> Channel[NodeMessage, WorkerMessage]:
    """The node's end. The channel owns the socket from here on."""
    return Channel(*await asyncio.open_connection(sock=sock), receives=WorkerMessage)


async def worker_end(sock: socket.socket) -> Channel[WorkerMessage, NodeMessage]:
    """The worker's end. The channel owns the socket from here on."""
    return Channel(*await asyncio.open_connection(sock=sock), receives=NodeMessage)
