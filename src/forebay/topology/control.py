"""A control connection: one per server, kept open, by which it is asked what it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from forebay.net import queries
from forebay.net.connector import (
    ConnectError,
    DatabaseConnection,
    DatabaseLogin,
    Target,
    connect,
    converse,
)
from forebay.net.conversation import Conversation
from forebay.net.tasks import spawn
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError, Message
from forebay.topology import failures, questions
from forebay.topology.questions import Form, Lag
from forebay.topology.reports import HintKind, Report

APPLICATION_NAME: Final = "forebay control"
MAX_ANSWER_BYTES: Final = 65_536
MAX_UNASKED: Final = 1_000
"""Messages that a server may send between two questions."""
MAX_ROUNDS: Final = 4
"""Attempts at one question, in other forms."""

# Errors that say nothing of what was asked: of the connection, resources, an operator, the system.
_NOT_THE_QUESTION: Final = ("08", "40", "53", "57", "58")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ControlLogin:
    """Who asks. Any role that may log in to the database will do."""

    user: str
    password: DatabaseLogin = field(repr=False)
    database: str


class Control:
    """One such connection, logged in. ``on_end`` is told once if it ends while nothing is asked,
    and what that looks like."""

    def __init__(self, connection: DatabaseConnection, on_end: Callable[[HintKind], None]) -> None:
        self._connection = connection
        self._on_end = on_end
        self._each_time = Form(questions.EACH_TIME)
        self._once: Mapping[str, str | None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.is_open = True

    @classmethod
    async def open(
        cls,
        places: Sequence[Target],
        logins: Sequence[ControlLogin],
        timeout_s: float,
        tls_contexts: ClientContexts,
        on_end: Callable[[HintKind], None],
    ) -> "Control":
        """Logs in at the first of a server's places where somebody answers, by the first login that
        is not rejected. Raises PgError, ConnectError."""
        *others, last = places
        timeout_s /= len(places)  # one that keeps silent leaves time for the others
        for place in others:
            try:
                return await cls._open_at(place, logins, timeout_s, tls_contexts, on_end)
            except ConnectError as error:
                if error.kind not in ("refused", "timeout", "lost"):
                    raise
        return await cls._open_at(last, logins, timeout_s, tls_contexts, on_end)

    @classmethod
    async def _open_at(
        cls,
        target: Target,
        logins: Sequence[ControlLogin],
        timeout_s: float,
        tls_contexts: ClientContexts,
        on_end: Callable[[HintKind], None],
    ) -> "Control":
        rejection: Exception = ConnectError(
            "no login is known to ask it with: control_user", transient=False, kind="auth"
        )
        for index, login in enumerate(logins):
            try:
                connection = await connect(
                    target,
                    user=login.user,
                    password=login.password,
                    database=login.database,
                    parameters={"application_name": APPLICATION_NAME},
                    connect_timeout_s=timeout_s,
                    tls_contexts=tls_contexts,
                )
            except (PgError, ConnectError) as error:
                if failures.failure(error).kind != "auth":
                    raise
                rejection = error if index == 0 else rejection  # the newest one's tells most
            else:
                return cls(connection, on_end)
        raise rejection

    async def report(self, lag: Lag) -> Report:
        """What the server says of itself. Raises PgError, OSError, MalformedMessageError; if the
        connection is of no more use, it is closed."""
        async with self._asking():
            if self._once is None:
                self._once = await self._read(Form(questions.ONCE))
            each = await self._read(self._each_time)
        return questions.report(self._once, each, lag, asyncio.get_running_loop().time())

    async def rows(self, sql: str) -> queries.Rows:
        """What a query returns. Raises as `report`."""
        async with self._asking():
            return await self._ask(sql)

    def close(self) -> None:
        """Idempotent; ``on_end`` is not told."""
        self.is_open = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._connection.close()

    # ---- Asking ----------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Nobody else reads inside; when nothing is asked any more, it is watched. An error that
        leaves it idle leaves it open."""
        await self._end_watch()
        if not self.is_open:
            raise ConnectionResetError("the connection has ended")
        try:
            yield
        except BaseException as error:
            if isinstance(error, PgError) and not _is_end(error):
                self._watch = spawn(self._watch_idle(), "watch a control connection")
            else:
                # What was asked may be answered yet: nothing else can be asked.
                self.close()
            raise
        self._watch = spawn(self._watch_idle(), "watch a control connection")

    async def _read(self, form: Form) -> dict[str, str | None]:
        for _ in range(MAX_ROUNDS - 1):
            try:
                return form.read(await self._ask(form.sql))
            except PgError as error:
                _only_if_of_the_question(error)
            for name, sql in list(form.alone()):
                try:
                    await self._ask(sql)
                except PgError as error:
                    _only_if_of_the_question(error)
                    if not form.give_up(name):
                        raise
        return form.read(await self._ask(form.sql))

    async def _ask(self, sql: str) -> queries.Rows:
        conversation = queries.simple_query(sql, limit_bytes=MAX_ANSWER_BYTES)
        return await converse(self._connection.stream, heeding_notices(conversation))

    # ---- Being told ------------------------------------------------------------------------------

    async def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])

    async def _watch_idle(self) -> None:
        """An idle server that ends says so, or just ends: there is no need to ask for it."""
        kind: HintKind | None = None
        try:
            for _ in range(MAX_UNASKED):
                message = await self._connection.stream.read_message(MAX_ANSWER_BYTES)
                kind = said_unasked(message)
                if kind is not None:
                    break
        except (OSError, MalformedMessageError):
            pass
        self._watch = None
        self.close()
        self._on_end(kind or "lost")


def said_unasked(message: Message) -> HintKind | None:
    """What a message means that nobody has asked for; None: nothing, as settings and notices."""
    if message.type == ord("E"):
        return failures.hint(PgError.parse(message.body).sqlstate) or "lost"
    if message.type == ord("N"):
        return failures.hint(PgError.parse(message.body).sqlstate)
    return None if message.type in b"SA" else "lost"


def heeding_notices(conversation: Conversation[_T]) -> Conversation[_T]:
    """The same conversation, which ends when the server says in a notice that it ends, as one that
    stops at once does. Raises PgError of the notice then."""
    given: object = None
    while True:
        try:
            step = conversation.send(given)
        except StopIteration as end:
            result: _T = end.value
            return result
        given = yield step
        if isinstance(given, Message) and given.type == ord("N"):
            notice = PgError.parse(given.body)
            if failures.hint(notice.sqlstate) is not None:
                raise notice


def _is_end(error: PgError) -> bool:
    """Whether the connection ends with it; an error is read up to ReadyForQuery else."""
    return error.severity is not Severity.ERROR or error.sqlstate in failures.ENDINGS


def _only_if_of_the_question(error: PgError) -> None:
    """Raises it again if asking in another form would be of no use."""
    if _is_end(error) or error.sqlstate.startswith(_NOT_THE_QUESTION):
        raise error
