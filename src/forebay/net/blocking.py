"""The small PostgreSQL client over a blocking socket: for programs without an event loop."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Final, Self, TypeVar

from forebay.net.conversation import Conversation, Receive, Send
from forebay.net.queries import MAX_ANSWER_BYTES, Rows, simple_query
from forebay.net.server_login import AuthenticationError, Greeting, Identity, log_in
from forebay.net.server_login import startup_message as startup
from forebay.protocol import messages
from forebay.protocol.messages import MalformedMessageError, Message
from forebay.protocol.scram import ClientKeys

_T = TypeVar("_T")

RECEIVE_BYTES: Final = 65_536
_HEADER: Final = struct.Struct("!BI")


class BlockingClient:
    """One connection. `with BlockingClient(sock) as client:` closes it in the end.

    What the socket raises is raised; EOFError where the server has closed.
    """

    max_answer_bytes = MAX_ANSWER_BYTES

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._received = bytearray()

    @staticmethod
    def connected(host: str, port: int, timeout_s: float) -> socket.socket:
        """A socket connected to this address over TCP; no step on it takes longer."""
        sock = socket.create_connection((host, port), timeout=timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Raises AuthenticationError where the server has no TLS."""
        self.send(messages.ssl_request())
        if self._socket.recv(1) != b"S":
            raise AuthenticationError("server does not support SSL, but SSL was required")
        self._socket = context.wrap_socket(self._socket)

    def log_in(
        self, user: str, password: str | None, database: str, parameters: Mapping[str, str]
    ) -> Greeting:
        """Without channel binding. Raises as `server_login.log_in`."""
        return self.converse(log_in(startup(user, database, parameters), Identity(user, password)))

    def query(self, sql: str) -> Rows:
        """The rows of a simple query. Raises as `queries.simple_query`."""
        return self.converse(simple_query(sql, limit_bytes=self.max_answer_bytes))

    def converse(self, conversation: Conversation[_T]) -> _T:
        """Carries a conversation over the socket; raises what it raises."""
        given: Message | ClientKeys | None = None
        while True:
            try:
                step = conversation.send(given)
            except StopIteration as end:
                result: _T = end.value
                return result
            given = None
            if isinstance(step, Receive):
                given = self.receive_message(step.limit_bytes)
            elif isinstance(step, Send):
                self.send(step.data)
            else:
                given = step.kept()
                if given is None:
                    given = step.compute()
                    step.keep(given)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive_message(self, limit_bytes: int) -> Message:
        """The next message, whose body has at most `limit_bytes`; else MalformedMessageError."""
        self._fill(5)
        kind, length = _HEADER.unpack_from(self._received)
        if not 4 <= length <= limit_bytes + 4:
            raise MalformedMessageError("invalid message length")
        self._fill(length + 1)
        message = Message(kind, bytes(self._received[5 : length + 1]))
        del self._received[: length + 1]
        return message

    def _fill(self, size: int) -> None:
        while len(self._received) < size:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                raise EOFError("the connection was closed")
            self._received += data

    def close(self) -> None:
        """Says goodbye and waits for the other side to close, so that its work is complete."""
        with self._socket, contextlib.suppress(OSError):
            self.send(messages.terminate())
            while self._socket.recv(4096):
                pass
