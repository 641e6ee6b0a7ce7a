"""What the load says to PostgreSQL: logs in, asks, discards large answers, sends COPY data.

It must cost little beside what is measured, on the same cores: no driver, no thread, and a password
is stretched once per salt.
"""

import ssl
from collections.abc import Iterable

from bench.target import Target
from forebay.net.blocking import BlockingClient
from forebay.net.conversation import Conversation, Send, receive
from forebay.net.server_login import AuthenticationError
from forebay.protocol import messages
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError
from forebay.protocol.scram import ScramError

READY = messages.ready_for_query(b"I")
RECEIVE_BYTES = 256 * 1024
TIMEOUT_S = 60.0
COPY_DONE = messages.message(b"c")
# Answers are as long as the statement asks for, which is the load's own.
MAX_ANSWER_BYTES = 1 << 30


class WrongAnswerError(Exception):
    """The answer is not what was asked for."""


FAILURES = (
    *(OSError, EOFError, PgError, WrongAnswerError),
    *(AuthenticationError, MalformedMessageError, ScramError),
)
"""What a client raises: the other side refused, has gone, or said something unexpected."""


class Client(BlockingClient):
    """One connection. ``with Client(target) as client:`` is logged in and ready."""

    max_answer_bytes = MAX_ANSWER_BYTES

    def __init__(self, target: Target, context: ssl.SSLContext | None = None) -> None:
        super().__init__(self.connected(target.host, target.port, TIMEOUT_S))
        try:
            if target.tls:
                self.start_tls(context or tls_context())
            encoding = {"client_encoding": "UTF8"}
            self.log_in(target.user, target.secret(), target.database, encoding)
        except BaseException:
            self._socket.close()
            raise

    def discard(self, sql: str) -> int:
        """Run a query or a COPY out and throw its answer away; give its size in bytes.

        The answer must not hold the bytes of an idle ReadyForQuery itself.
        """
        self.send(messages.query(sql))
        buffer = memoryview(bytearray(RECEIVE_BYTES))
        total, tail, head = 0, b"", b""
        while tail != READY:
            count = self._socket.recv_into(buffer)
            if count == 0:
                raise EOFError("the connection was closed in the middle of the answer")
            total += count
            head = head or bytes(buffer[:256])
            tail = (tail + bytes(buffer[max(0, count - len(READY)) : count]))[-len(READY) :]
        if head[:1] == b"E":
            raise PgError.parse(head[5:])
        return total

    def copy_in(self, sql: str, chunks: Iterable[bytes]) -> str:
        """Run a COPY … FROM STDIN with ``chunks`` of whole messages; give the command tag."""
        return self.converse(copy_in(sql, chunks))


def copy_in(sql: str, chunks: Iterable[bytes]) -> Conversation[str]:
    """Run a COPY … FROM STDIN; give the command tag."""
    yield Send(messages.query(sql))
    kind, body = yield from receive(MAX_ANSWER_BYTES)
    if kind != ord("G"):
        raise PgError.parse(body) if kind == ord("E") else WrongAnswerError("COPY was not started")
    for chunk in chunks:
        yield Send(chunk)
    yield Send(COPY_DONE)
    tag, failure = "", None
    while kind != ord("Z"):
        kind, body = yield from receive(MAX_ANSWER_BYTES)
        if kind == ord("E"):
            failure = PgError.parse(body)
        elif kind == ord("C"):
            tag = body.rstrip(b"\0").decode()
    if failure is not None:
        raise failure
    return tag


def told(error: BaseException) -> str:
    """Give a failure in one line, with the SQLSTATE if it has one."""
    return f"{error.sqlstate}: {error.message}" if isinstance(error, PgError) else str(error)


def tls_context() -> ssl.SSLContext:
    """Give a context as libpq's ``sslmode=require`` has it: encrypted, not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
