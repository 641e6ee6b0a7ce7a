"""A client over asyncio that speaks the protocol by hand: it knows what was said before the end."""

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from forebay.net.conversation import Conversation, Receive, Send, Stretch
from forebay.net.server_login import Greeting, Identity, log_in, startup_message
from forebay.protocol import messages
from forebay.protocol.errors import PgError
from forebay.protocol.messages import Message
from tests.harness import TestDatabase
from tests.harness.raw import run

HEADER = struct.Struct("!BI")
LOST_WITHOUT_A_WORD = "EOF"


class LostError(Exception):
    """The connection has ended. ``sqlstate``: of the FATAL error, or the notice, that came before;
    else "EOF"."""

    def __init__(self, sqlstate: str = LOST_WITHOUT_A_WORD, text: str = "") -> None:
        super().__init__(f"{sqlstate}: {text}" if text else sqlstate)
        self.sqlstate = sqlstate
        self.text = text


@dataclass(slots=True)
class Answer:
    """What came up to ReadyForQuery. ``sqlstate``: of the error, "" if there was none."""

    rows: list[list[str | None]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    sqlstate: str = ""
    text: str = ""
    status: str = "I"


class Session(Protocol):
    """What the load needs of a connection."""

    async def ask(self, sql: str) -> Answer:
        """Runs one statement. Raises LostError."""

    async def wait_for_end(self) -> str:
        """Returns when the other side has ended the connection, which was idle: its SQLSTATE."""

    def close(self) -> None: ...


class RawSession:
    """One connection; ``extended``: statements go by Parse, Bind, Execute, Sync."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, extended: bool = False
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._extended = extended
        self.parameters: dict[str, str] = {}

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        login: TestDatabase,
        *,
        extended: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> "RawSession":
        """Raises LostError, with the SQLSTATE of the refusal if there was one."""
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise LostError("refused", str(error)) from None
        session = cls(reader, writer, extended)
        startup = startup_message(login.user, login.name, settings or {})
        try:
            greeting = await session._converse(
                log_in(startup, Identity(login.user, login.password))
            )
        except PgError as error:
            session.close()
            raise LostError(error.sqlstate, error.message) from None
        except BaseException:
            session.close()
            raise
        session.parameters = greeting.parameters
        return session

    async def _converse(self, conversation: Conversation[Greeting]) -> Greeting:
        given: object = None
        while True:
            try:
                step = conversation.send(given)
            except StopIteration as end:
                greeting: Greeting = end.value
                return greeting
            given = None
            if isinstance(step, Send):
                self._writer.write(step.data)
            elif isinstance(step, Receive):
                given = await self._receive()
            elif isinstance(step, Stretch):
                given = step.kept()
                if given is None:
                    given = step.compute()
                    step.keep(given)

    async def ask(self, sql: str) -> Answer:
        data = run(sql) + messages.sync() if self._extended else messages.query(sql)
        return await self.exchange(data)

    async def exchange(self, data: bytes) -> Answer:
        """Sends messages that are answered by one ReadyForQuery."""
        try:
            self._writer.write(data)
        except OSError as error:
            raise LostError(text=str(error)) from None
        answer = Answer()
        while True:
            try:
                kind, body = await self._receive()
            except LostError:
                raise LostError(answer.sqlstate or LOST_WITHOUT_A_WORD, answer.text) from None
            match chr(kind):
                case "D":
                    answer.rows.append(messages.parse_data_row(body))
                case "C":
                    answer.tags.append(body.rstrip(b"\0").decode())
                case "E":
                    self._note(answer, body)
                case "N" if is_end(body):
                    self._note(answer, body)
                case "Z":
                    answer.status = body.decode()
                    return answer

    async def wait_for_end(self) -> str:
        answer = Answer()
        try:
            while True:
                kind, body = await self._receive()
                if chr(kind) in "EN":
                    self._note(answer, body)
        except LostError:
            return answer.sqlstate or LOST_WITHOUT_A_WORD

    def close(self) -> None:
        self._writer.transport.abort()

    @staticmethod
    def _note(answer: Answer, body: bytes) -> None:
        error = PgError.parse(body)
        answer.sqlstate, answer.text = error.sqlstate, error.message

    async def _receive(self) -> Message:
        try:
            kind, length = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            return Message(kind, await self._reader.readexactly(length - 4))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LostError(text=str(error)) from None


def is_end(notice: bytes) -> bool:
    """Whether a notice is how a server that is stopped at once, or has crashed, says so."""
    return PgError.parse(notice).sqlstate in ("57P01", "57P02")
