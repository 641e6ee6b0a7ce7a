"""A server that speaks PostgreSQL's protocol, and says what a test wants."""

import asyncio
import contextlib
import struct
from collections.abc import Callable, Sequence
from typing import Final, Self

from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity

READY: Final = messages.message(b"Z", b"I")
HELLO: Final = (
    messages.message(b"R", struct.pack("!i", 0))
    + messages.message(b"S", b"server_version\x0018.1\0")
    + messages.message(b"K", struct.pack("!ii", 1, 2))
    + READY
)
SILENCE: Final = b""
"""What is no answer at all."""

Answer = Callable[[str], bytes | None]
"""What is sent for a query; `SILENCE`: nothing; None: the connection is closed."""


def row(values: Sequence[str | None]) -> bytes:
    body = struct.pack("!h", len(values))
    for value in values:
        text = None if value is None else value.encode()
        body += struct.pack("!i", -1) if text is None else struct.pack("!i", len(text)) + text
    return messages.message(b"D", body)


def rows(*values: Sequence[str | None]) -> bytes:
    """A whole answer."""
    return b"".join(row(each) for each in values) + messages.message(b"C", b"SELECT 1\0") + READY


def error(sqlstate: str, severity: Severity = Severity.ERROR) -> bytes:
    """An error, with ReadyForQuery behind it if it leaves the connection idle."""
    said = PgError(severity, sqlstate, f"an error of {sqlstate}").encode()
    return said + (READY if severity is Severity.ERROR else b"")


def notice(sqlstate: str) -> bytes:
    said = PgError(Severity.ERROR, sqlstate, f"a notice of {sqlstate}").encode()
    return b"N" + said[1:].replace(b"ERROR\0", b"WARNING\0").replace(
        said[1:5], struct.pack("!I", len(said) + 3), 1
    )


class FakePostgres:
    """``async with FakePostgres(answer) as server:``. It lets everybody in without a password, or
    refuses all with ``refusal``. ``asked``: the queries; ``logins``: how many connections there
    were; ``users``: who they were."""

    def __init__(self, answer: Answer, host: str = "127.0.0.1", port: int = 0) -> None:
        self.answer = answer
        self.host = host
        self.refusal: Callable[[str], bytes | None] = lambda user: None
        self.greeting = HELLO
        self.asked: list[str] = []
        self.startups: list[dict[str, str]] = []
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    @property
    def users(self) -> list[str]:
        return [each["user"] for each in self.startups]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def say(self, data: bytes) -> None:
        """To all connections, unasked."""
        for writer in self._writers:
            writer.write(data)

    async def end(self) -> None:
        """Closes all connections."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            startup = await self._packet(reader)
            if struct.unpack_from("!I", startup)[0] == 80877103:  # a request for TLS
                writer.write(b"N")
                startup = await self._packet(reader)
            words = startup[4:].decode().split("\0")
            pairs = dict(zip(words[::2], words[1::2], strict=False))
            self.startups.append(pairs)
            refusal = self.refusal(pairs["user"])
            writer.write(self.greeting if refusal is None else refusal)
            while refusal is None:
                kind = (await reader.readexactly(1))[0]
                body = await self._packet(reader)
                if kind != ord("Q"):
                    break
                self.asked.append(body[:-1].decode())
                said = self.answer(self.asked[-1])
                if said is None:
                    break
                writer.write(said)
        writer.close()

    @staticmethod
    async def _packet(reader: asyncio.StreamReader) -> bytes:
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        return await reader.readexactly(length - 4)
