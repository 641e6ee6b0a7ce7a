"""A server that only logs clients in: the login apart from all that comes behind it."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from forebay.net.login import LoggedIn, LoginFailed, LoginPolicy, log_in
from forebay.net.stream import Stream
from forebay.protocol import messages
from forebay.protocol.startup import CancelRequest

PARAMETERS = {
    "server_version": "15.0",
    "client_encoding": "UTF8",
    "server_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "integer_datetimes": "on",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
}
GREETING = (
    b"".join(messages.parameter_status(name, value) for name, value in PARAMETERS.items())
    + messages.backend_key_data(4711, b"KEYS")
    + messages.ready_for_query(b"I")
)
ONE_ROW = (
    messages.message(
        b"T", struct.pack("!H", 1) + b"a\0" + struct.pack("!ihihih", 0, 0, 23, 4, -1, 0)
    )
    + messages.message(b"D", struct.pack("!Hi", 1, 1) + b"1")
    + messages.message(b"C", b"SELECT 1\0")
    + messages.ready_for_query(b"I")
)


@dataclass
class Front:
    """A server that logs clients in, greets them, and answers every query with one row."""

    policy: LoginPolicy
    port: int = 0
    accepted: list[LoggedIn] = field(default_factory=list)
    cancels: list[CancelRequest] = field(default_factory=list)
    failures: list[LoginFailed] = field(default_factory=list)
    left: int = 0

    async def serve(self, sock: socket.socket) -> None:
        stream = Stream(sock)
        try:
            client = await log_in(stream, self.policy, "127.0.0.1")
            if isinstance(client, LoggedIn):
                self.accepted.append(client)
                await self.answer(stream)
            elif isinstance(client, CancelRequest):
                self.cancels.append(client)
            else:
                self.left += 1
        except LoginFailed as failure:
            self.failures.append(failure)
        finally:
            stream.close()

    async def answer(self, stream: Stream) -> None:
        stream.write(GREETING)
        await stream.drain()
        with contextlib.suppress(OSError):
            while (message := await stream.read_message(10_000)).type != ord("X"):
                if message.type == ord("Q"):
                    stream.write(ONE_ROW)
                    await stream.drain()


@contextlib.asynccontextmanager
async def listening(policy: LoginPolicy) -> AsyncIterator[Front]:
    """A Front on a port of 127.0.0.1."""
    loop = asyncio.get_running_loop()
    front = Front(policy)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    front.port = listener.getsockname()[1]
    tasks: list[asyncio.Task[None]] = []

    async def accept() -> None:
        while True:
            sock, _ = await loop.sock_accept(listener)
            tasks.append(asyncio.ensure_future(front.serve(sock)))

    tasks.append(asyncio.ensure_future(accept()))
    try:
        yield front
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        listener.close()
