"""PostgreSQL's protocol by hand, without TLS: messages go out and come in as they are."""

import select
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from forebay.net.blocking import BlockingClient
from forebay.net.server_login import Identity, authenticate
from forebay.protocol import messages
from forebay.protocol.errors import PgError
from tests.harness.clients import TestDatabase

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
MAX_BODY_BYTES = 1 << 30


class Message(NamedTuple):
    """One message from the server."""

    kind: str
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """Of an ErrorResponse, a NoticeResponse: by their letter."""
        pairs = (field for field in self.body.split(b"\0") if field)
        return {chr(field[0]): field[1:].decode(errors="replace") for field in pairs}

    @property
    def row(self) -> list[str | None]:
        """Of a DataRow in text form."""
        return messages.parse_data_row(self.body)


class RawClient(BlockingClient):
    """One connection, logged in. Settings go into the startup packet.

    ``greeting``: what came between AuthenticationOk and the first ReadyForQuery.
    """

    max_answer_bytes = MAX_BODY_BYTES

    def __init__(
        self,
        port: int,
        database: TestDatabase,
        settings: Mapping[str, str] | None = None,
        host: str = HOST,
    ) -> None:
        super().__init__(self.connected(host, port, TIMEOUT_S))
        names = {"user": database.user, "database": database.name, **(settings or {})}
        try:
            self.send(messages.startup_message(names))
            self.converse(authenticate(Identity(database.user, database.password)))
            self.greeting = self.until("ZE")
            if self.greeting[-1].kind == "E":
                raise PgError.parse(self.greeting[-1].body)
        except BaseException:
            self._socket.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def parameters(self) -> dict[str, str]:
        """What the greeting reported."""
        found = [message.body for message in self.greeting if message.kind == "S"]
        return dict(messages.parse_parameter_status(body) for body in found)

    @property
    def key(self) -> tuple[int, bytes]:
        """Process id and cancel key."""
        (body,) = (message.body for message in self.greeting if message.kind == "K")
        return messages.parse_backend_key_data(body)

    def receive(self) -> Message:
        """The next message. Raises EOFError at the end of the connection."""
        kind, body = self.receive_message(MAX_BODY_BYTES)
        return Message(chr(kind), body)

    def has_more(self, within_s: float = 0) -> bool:
        """Whether something has come that was not taken yet, or comes in this time."""
        return bool(self._received) or bool(select.select([self._socket], [], [], within_s)[0])

    def until(self, kinds: str, count: int = 1) -> list[Message]:
        """The messages up to the ``count``-th of one of these kinds."""
        taken = []
        while count:
            taken.append(self.receive())
            count -= taken[-1].kind in kinds
        return taken

    def until_end(self) -> list[Message]:
        """All messages up to the end of the connection."""
        taken = []
        while True:
            try:
                taken.append(self.receive())
            except (EOFError, ConnectionResetError):
                return taken

    def ask(self, data: bytes, count: int = 1) -> list[Message]:
        """Send, and return all messages up to the ``count``-th ReadyForQuery."""
        self.send(data)
        return self.until("Z", count)

    def rows(self) -> list[list[str | None]]:
        """Those of the answer up to the next ReadyForQuery. Raises PgError."""
        answer = self.until("Z")
        for message in answer:
            if message.kind == "E":
                raise PgError.parse(message.body)
        return [message.row for message in answer if message.kind == "D"]

    def leave(self) -> None:
        """Say goodbye, and wait until the other side has closed."""
        self.send(messages.terminate())
        self.until_end()
        self._socket.close()

    def vanish(self) -> None:
        """Close by force (RST), as a process on a machine that is gone."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


def serves(port: int, database: TestDatabase) -> bool:
    """Whether a new client is served there now."""
    try:
        with RawClient(port, database) as client:
            return client.query("SELECT 1") == [["1"]]
    except (EOFError, ConnectionError, PgError):
        return False


# -- messages of the extended protocol ---------------------------------------------------------


def parse(sql: str, name: str = "", types: Iterable[int] = ()) -> bytes:
    oids = list(types)
    numbers = struct.pack(f"!h{len(oids)}I", len(oids), *oids)
    return messages.message(b"P", f"{name}\0{sql}\0".encode() + numbers)


def bind(*values: str | None, name: str = "", portal: str = "") -> bytes:
    """Values in text form, results too."""
    body = f"{portal}\0{name}\0".encode() + struct.pack("!hh", 0, len(values))
    for value in values:
        text = None if value is None else value.encode()
        body += struct.pack("!i", -1) if text is None else struct.pack("!i", len(text)) + text
    return messages.message(b"B", body + struct.pack("!h", 0))


def describe(kind: str = "P", name: str = "") -> bytes:
    return messages.message(b"D", f"{kind}{name}\0".encode())


def execute(portal: str = "", rows: int = 0) -> bytes:
    return messages.message(b"E", f"{portal}\0".encode() + struct.pack("!i", rows))


def close(kind: str, name: str = "") -> bytes:
    return messages.message(b"C", f"{kind}{name}\0".encode())


def flush() -> bytes:
    return messages.message(b"H")


def copy_data(data: bytes) -> bytes:
    return messages.message(b"d", data)


def copy_done() -> bytes:
    return messages.message(b"c")


def run(sql: str, *values: str | None) -> bytes:
    """Parse, Bind, Describe, Execute; no Sync."""
    return parse(sql) + bind(*values) + describe() + execute()
