"""One client of the admin database: PostgreSQL's protocol, simple and extended, over what the node
answers. It holds no database connection, and is no client of the pool.

Statements have no parameters. Whoever does not read is dropped, so that no more than one part of an
answer is ever kept for it. (PostgreSQL documentation, "Message Flow".)
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from forebay.channel import AdminColumn, AdminQuery, AdminResult, CallError
from forebay.net.login import LoggedIn, refuse
from forebay.net.stream import TLSError
from forebay.protocol import errors, extended, results
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import (
    MalformedMessageError,
    backend_key_data,
    parameter_status,
    ready_for_query,
)
from forebay.sql.lexer import lex
from forebay.sql.split import segments
from forebay.worker.asking import AskNode

# Commands are short.
MAX_MESSAGE_BYTES: Final = 16_384
# Drivers keep a hundred prepared statements at most.
MAX_STATEMENTS: Final = 200
MAX_PORTALS: Final = 50
# A part of an answer that is not taken within this time: the client does not read.
SEND_TIMEOUT_S: Final = 10.0
# Longer than any answer takes: a reload waits for the worker for up to a minute.
ANSWER_TIMEOUT_S: Final = 90.0
# How often a pause looks whether connections are left.
PAUSE_INTERVAL_S: Final = 0.05

GREETING: Final = {
    "server_version": "1.25.2/forebay",  # whose console this is; below 8, drivers expect little
    "client_encoding": "UTF8",
    "server_encoding": "UTF8",
    "DateStyle": "ISO",
    "TimeZone": "GMT",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
    "is_superuser": "off",
}
_IN_TRANSACTION: Final = {"BEGIN": b"T", "COMMIT": b"I", "ROLLBACK": b"I"}


@dataclass(slots=True)
class Statement:
    """A prepared one. ``columns`` of its rows: none where it has no rows."""

    text: str
    columns: list[AdminColumn]


@dataclass(slots=True)
class Portal:
    """A statement that is bound. ``rows``: what is still to be told; None: it has not run yet."""

    statement: Statement
    formats: list[int]
    parts: AsyncIterator[AdminResult] | None = None
    rows: list[list[str | None]] = field(default_factory=list)
    tag: str = ""


class Console:
    """A client that has logged in to the admin database of the proxy ``proxy``."""

    def __init__(self, login: LoggedIn, proxy: str, ask: AskNode, *, idle_timeout_s: float) -> None:
        self.user = login.user
        self.key = b""  # what a cancel request must show
        self._stream = login.stream
        self._proxy = proxy
        self._ask = ask
        self._idle_timeout_s = idle_timeout_s
        self._status = b"I"
        self._is_skipping = False  # until Sync, after an error
        self._cancelled = asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self._farewell: PgError | None = None
        self._statements: dict[str, Statement] = {}
        self._portals: dict[str, Portal] = {}

    async def run(self, process_id: int) -> None:
        """Serve it until it leaves. Closes the stream."""
        self._task = asyncio.current_task()
        try:
            greeting = b"".join(itertools.starmap(parameter_status, GREETING.items()))
            self._stream.write(greeting + backend_key_data(process_id, self.key))
            await self._ready()
            while await self._step():
                pass
        except PgError as error:
            await refuse(self._stream, error)
        except MalformedMessageError as error:
            await refuse(self._stream, errors.protocol_violation(str(error)))
        except (OSError, TLSError):  # a TimeoutError is one, too
            pass
        except asyncio.CancelledError:
            if self._farewell is None:
                raise
            await refuse(self._stream, self._farewell)
        finally:
            self._stream.close()

    def end(self, farewell: PgError) -> None:
        """Tell it so, and end it."""
        if self._task is not None and self._farewell is None:
            self._farewell = farewell
            self._task.cancel()

    def cancel(self) -> None:
        """It has asked for an end of what it waits for."""
        self._cancelled.set()

    async def _step(self) -> bool:
        """Take one message. Returns False at the end."""
        try:
            async with asyncio.timeout(self._idle_timeout_s):
                kind, body = await self._stream.read_message(MAX_MESSAGE_BYTES)
        except TimeoutError as error:
            if error.errno is not None:
                raise
            raise errors.idle_timeout() from None
        match bytes([kind]):
            case b"X":
                return False
            case b"Q":
                await self._query(extended.parse_query(body))
            case b"S":
                await self._sync()
            case b"H":
                await self._send()
            case b"P" | b"B" | b"D" | b"E" | b"C" as letter:
                if not self._is_skipping:
                    await self._extended(letter, body)
            case b"d" | b"c" | b"f":
                pass  # of a COPY that there never was
            case letter:
                raise errors.protocol_violation(f"invalid frontend message type {letter[0]}")
        return True

    # ---- the simple protocol ----

    async def _query(self, text: str) -> None:
        self._cancelled.clear()
        try:
            texts = statements_in(text)
            for each in texts:
                await self._run(each)
            if not texts:
                self._stream.write(results.empty_query_response())
        except PgError as error:
            self._fail(error)
        await self._ready()

    async def _run(self, text: str) -> None:
        """One statement of a Query. Raises PgError."""
        columns: list[AdminColumn] = []
        tag = ""
        async for part in self._parts(text):
            if not columns and part.columns:
                columns = part.columns
                formats = results.formats_of(columns, [])
                self._stream.write(results.row_description(columns, formats))
            await self._tell(part.rows, columns, results.formats_of(columns, []))
            tag = part.tag
        self._complete(tag, text)

    async def _parts(self, text: str) -> AsyncIterator[AdminResult]:
        """What comes of a command, part by part. Raises PgError."""
        query = AdminQuery(proxy=self._proxy, user=self.user, text=text)
        part = await self._answer(query)
        if part.pending:
            part = await self._wait_for_pause(query)
        if part.notice:
            self._stream.write(results.notice(part.notice, part.notice_detail))
        yield part
        while part.next_offset:
            part = await self._answer(msgspec.structs.replace(query, offset=part.next_offset))
            yield part

    async def _answer(self, query: AdminQuery) -> AdminResult:
        try:
            answer: AdminResult = await self._ask(query, AdminResult, ANSWER_TIMEOUT_S)
        except CallError as error:
            raise PgError(Severity.ERROR, "58000", str(error)) from None
        if answer.error:
            raise PgError(Severity.ERROR, answer.sqlstate, answer.error)
        return answer

    async def _tell(
        self, rows: list[list[str | None]], columns: list[AdminColumn], formats: list[int]
    ) -> None:
        """Send rows. Raises TimeoutError if nobody reads them."""
        self._stream.write(b"".join(results.data_row(row, columns, formats) for row in rows))
        await self._send()

    def _complete(self, tag: str, text: str) -> None:
        self._status = _IN_TRANSACTION.get(tag, self._status)
        if tag in ("DEALLOCATE ALL", "DISCARD ALL"):
            self._statements.clear()
        elif tag == "DEALLOCATE":
            self._statements.pop(text.split()[-1].strip('"'), None)
        self._stream.write(results.command_complete(tag))

    # ---- waiting ----

    async def _wait_for_pause(self, query: AdminQuery) -> AdminResult:
        """Until no connection is left. If the client cancels that or leaves, the pause is ended.
        Raises PgError."""
        gone = asyncio.ensure_future(self._stream.peek(1))
        cancelled = asyncio.ensure_future(self._cancelled.wait())
        again = msgspec.structs.replace(query, step="wait")
        try:
            while True:
                watched = [each for each in (gone, cancelled) if not each.done()]
                if watched:
                    await asyncio.wait(
                        watched,
                        timeout=PAUSE_INTERVAL_S,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                if self._cancelled.is_set():
                    raise errors.query_canceled()
                if gone.done():
                    gone.result()  # raises what has ended the stream
                    await asyncio.sleep(PAUSE_INTERVAL_S)
                answer = await self._answer(again)
                if not answer.pending:
                    return answer
        except BaseException:
            with contextlib.suppress(PgError):
                await self._answer(msgspec.structs.replace(query, step="undo"))
            raise
        finally:
            gone.cancel()
            cancelled.cancel()
            await asyncio.wait([gone, cancelled])

    # ---- the extended protocol ----

    async def _extended(self, kind: bytes, body: bytes) -> None:
        try:
            match kind:
                case b"P":
                    await self._parse(extended.parse_parse(body))
                case b"B":
                    self._bind(extended.parse_bind(body))
                case b"D":
                    self._describe(extended.parse_named(body))
                case b"E":
                    await self._execute(extended.parse_execute(body))
                case _:
                    self._close(extended.parse_named(body))
        except PgError as error:
            self._is_skipping = True
            self._fail(error)
        except ValueError as error:
            if isinstance(error, MalformedMessageError):
                raise
            self._is_skipping = True
            self._fail(PgError(Severity.ERROR, "08P01", str(error)))

    async def _parse(self, asked: extended.Parse) -> None:
        texts = statements_in(asked.text)
        if len(texts) > 1:
            text = "cannot insert multiple commands into a prepared statement"
            raise PgError(Severity.ERROR, "42601", text)
        if asked.types:
            raise PgError(Severity.ERROR, "0A000", "commands take no parameters")
        if asked.statement and asked.statement in self._statements:
            text = f'prepared statement "{asked.statement}" already exists'
            raise PgError(Severity.ERROR, "42P05", text)
        if len(self._statements) >= MAX_STATEMENTS and asked.statement not in self._statements:
            raise errors.statements_full(MAX_STATEMENTS)
        columns: list[AdminColumn] = []
        if texts:
            query = AdminQuery(proxy=self._proxy, user=self.user, text=texts[0], step="describe")
            columns = (await self._answer(query)).columns
        self._statements[asked.statement] = Statement(texts[0] if texts else "", columns)
        self._stream.write(results.parse_complete())

    def _bind(self, asked: extended.Bind) -> None:
        statement = self._statement(asked.statement)
        if asked.parameters:
            raise PgError(Severity.ERROR, "08P01", "commands take no parameters")
        if len(self._portals) >= MAX_PORTALS and asked.portal not in self._portals:
            raise PgError(Severity.ERROR, "53400", f"at most {MAX_PORTALS} portals may be open")
        formats = results.formats_of(statement.columns, asked.formats)
        self._portals[asked.portal] = Portal(statement, formats)
        self._stream.write(results.bind_complete())

    def _describe(self, asked: extended.Named) -> None:
        if asked.is_statement:
            statement = self._statement(asked.name)
            formats = results.formats_of(statement.columns, [])
            self._stream.write(results.no_parameters())
        else:
            portal = self._portal(asked.name)
            statement, formats = portal.statement, portal.formats
        columns = statement.columns
        description = results.row_description(columns, formats) if columns else results.no_data()
        self._stream.write(description)

    async def _execute(self, asked: extended.Execute) -> None:
        portal = self._portal(asked.portal)
        text = portal.statement.text
        if not text:
            self._stream.write(results.empty_query_response())
            return
        if portal.parts is None:
            self._cancelled.clear()
            portal.parts = self._parts(text)
        told = 0
        columns = portal.statement.columns
        while True:
            while not portal.rows:
                part = await anext(portal.parts, None)
                if part is None:
                    self._complete(portal.tag, text)
                    return
                portal.rows, portal.tag = part.rows, part.tag
            count = asked.rows - told if asked.rows else len(portal.rows)
            await self._tell(portal.rows[:count], columns, portal.formats)
            told += len(portal.rows[:count])
            portal.rows = portal.rows[count:]
            if asked.rows and told >= asked.rows:
                self._stream.write(results.portal_suspended())
                return

    def _close(self, asked: extended.Named) -> None:
        if asked.is_statement:
            self._statements.pop(asked.name, None)
        else:
            self._portals.pop(asked.name, None)
        self._stream.write(results.close_complete())

    async def _sync(self) -> None:
        self._is_skipping = False
        if self._status == b"I":
            self._portals.clear()
        await self._ready()

    def _statement(self, name: str) -> Statement:
        found = self._statements.get(name)
        if found is None:
            text = f'prepared statement "{name}" does not exist'
            raise PgError(Severity.ERROR, "26000", text)
        return found

    def _portal(self, name: str) -> Portal:
        found = self._portals.get(name)
        if found is None:
            raise PgError(Severity.ERROR, "34000", f'portal "{name}" does not exist')
        return found

    # ---- sending ----

    def _fail(self, error: PgError) -> None:
        self._stream.write(error.with_severity(Severity.ERROR).encode())

    async def _ready(self) -> None:
        self._stream.write(ready_for_query(self._status))
        await self._send()

    async def _send(self) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._stream.drain()


def statements_in(text: str) -> list[str]:
    """The statements of a Query, without comments around them and without semicolons."""
    encoded = text.encode("utf-8", "replace")
    tokens = lex(encoded).tokens
    return [
        encoded[each[0].start : each[-1].end].decode("utf-8", "replace")
        for each in segments(tokens)
    ]
