"""Opening database connections, asking them something, and sending cancels.

Behaves as libpq does where libpq has a rule (sslmode above all), and does not trust the server:
what it sends is bounded in size and number, everything is bounded in time, and whatever is no
PostgreSQL ends in a ConnectError.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from forebay.net import queries
from forebay.net.connecting import (
    Attempt,
    EncryptionRefusedError,
    attempts,
    open_stream,
    resolve,
)
from forebay.net.conversation import Conversation, Receive, Send
from forebay.net.failures import FailureKind, kind_of
from forebay.net.server_login import (
    AuthenticationError,
    DatabaseLogin,
    IamToken,
    Identity,
    Md5Hash,
    log_in,
    startup_message,
)
from forebay.net.stream import Detached, Stream, TLSError
from forebay.net.target import Place, Target
from forebay.net.tasks import in_crypto_thread
from forebay.net.tls import ClientContexts, end_point_hash
from forebay.protocol import messages
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError, Message
from forebay.protocol.scram import ClientKeys, ScramError

__all__ = [
    "ConnectError",
    "DatabaseConnection",
    "DatabaseLogin",
    "IamToken",
    "Md5Hash",
    "Target",
    "connect",
    "converse",
    "parameterized_query",
    "send_cancel",
    "simple_query",
]

_T = TypeVar("_T")

_RETRY_OTHER_ENCRYPTION: Final = "28000"
"""What pg_hba.conf says to a connection that should (or should not) have been encrypted."""

_DEFAULT_CONTEXTS: Final = ClientContexts()


class ConnectError(Exception):
    """No database connection came about, and it was not the database that said why.

    `transient`: trying again may help (refused, timed out, broken off); it will not where the
    configuration or the server is of the wrong kind (certificates, mechanisms, nonsense). `kind`:
    what went wrong, in a word.
    """

    def __init__(self, message: str, *, transient: bool, kind: FailureKind = "other") -> None:
        super().__init__(message)
        self.transient = transient
        self.kind = kind


@dataclass(slots=True)
class DatabaseConnection:
    """A connection that is authenticated and idle.

    `parameters` are the ParameterStatus values reported so far; `cancel_key` is empty if the server
    gave none.
    """

    stream: Stream
    pid: int
    cancel_key: bytes = field(repr=False)
    parameters: dict[str, str]
    tls: bool
    place: Place
    protocol_minor: int = 0

    def detach(self) -> Detached:
        """Hands the connection over; see Stream.detach."""
        return self.stream.detach()

    def close(self) -> None:
        """Says goodbye and closes."""
        self.stream.write(messages.terminate())
        self.stream.close()


async def connect(
    target: Target,
    *,
    user: str,
    password: DatabaseLogin,
    database: str,
    parameters: Mapping[str, str],
    connect_timeout_s: float,
    tls_contexts: ClientContexts,
) -> DatabaseConnection:
    """Opens a database connection, within `connect_timeout_s` in all.

    `password` is the password, or what stands in for it; see DatabaseLogin. `parameters` are
    settings for the startup packet. Raises PgError with what the database said
    (`raw` kept), else ConnectError.
    """
    deadline_s = asyncio.get_running_loop().time() + connect_timeout_s
    async with _told_as_connect_error(target, connect_timeout_s):
        startup = startup_message(user, database, parameters)
        for attempt in attempts(target, tls_contexts):
            try:
                addresses = await resolve(target)
                stream, place = await open_stream(target, addresses, attempt, deadline_s)
                return await _log_in(stream, place, attempt, startup, user, password)
            except EncryptionRefusedError as refused:
                if attempt.last:
                    raise refused.cause from None
    raise AssertionError("the last attempt returns or raises")  # pragma: no cover


async def send_cancel(
    target: Target,
    pid: int,
    key: bytes,
    timeout_s: float,
    tls_contexts: ClientContexts = _DEFAULT_CONTEXTS,
    *,
    place: Place,
) -> None:
    """Asks the server to cancel a query. Returns when the server has closed the connection on which
    it was asked: the signal is on its way by then, and the connection with the query must not serve
    another client before.

    `place` is where the connection with that query is. By now the target's name may mean another
    server, which may have a process of the same number. Certificates are checked by the name.
    Raises ConnectError.
    """
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    async with _told_as_connect_error(target, timeout_s):
        for attempt in attempts(target, tls_contexts):
            try:
                stream, _ = await open_stream(target, [place], attempt, deadline_s)
            except EncryptionRefusedError as refused:
                if attempt.last:
                    raise refused.cause from None
                continue
            try:
                stream.write(messages.cancel_request(pid, key))
                await stream.drain()
                with contextlib.suppress(ConnectionError):
                    await stream.read_exactly(1)
            finally:
                stream.close()
            return


async def simple_query(
    stream: Stream, sql: str, parameters: dict[str, str] | None = None
) -> queries.Rows:
    """Runs a query on an idle connection; returns the rows of all its results, as text.

    ParameterStatus messages that come along are put into `parameters`. Raises PgError with what the
    database said (the connection is idle again, unless it was FATAL), else ConnectError, after
    which the connection is good for nothing.
    """
    return await _ask(stream, queries.simple_query(sql, parameters))


async def parameterized_query(
    stream: Stream, sql: str, values: Sequence[str | None]
) -> queries.Rows:
    """As `simple_query`, for one statement with `values` bound to its parameters; ValueError for
    values that cannot be bound."""
    return await _ask(stream, queries.parameterized_query(sql, values))


async def _ask(stream: Stream, conversation: Conversation[queries.Rows]) -> queries.Rows:
    try:
        return await converse(stream, conversation)
    except MalformedMessageError as error:
        raise ConnectError(str(error), transient=False, kind=kind_of(error)) from None
    except OSError as error:
        raise ConnectError(_reason(error), transient=True, kind=kind_of(error)) from None


async def converse(stream: Stream, conversation: Conversation[_T]) -> _T:
    """Carries a conversation over a Stream; raises what it raises, and what the stream does."""
    given: Message | ClientKeys | None = None
    while True:
        try:
            step = conversation.send(given)
        except StopIteration as end:
            result: _T = end.value
            return result
        given = None
        if isinstance(step, Receive):
            given = await stream.read_message(step.limit_bytes)
        elif isinstance(step, Send):
            stream.write(step.data)
            await stream.drain()
        else:
            given = step.kept()
            if given is None:
                given = await in_crypto_thread(step.compute)
                step.keep(given)


async def _log_in(
    stream: Stream,
    place: Place,
    attempt: Attempt,
    startup: bytes,
    user: str,
    password: DatabaseLogin,
) -> DatabaseConnection:
    try:
        identity = Identity(user, password, _channel_binding(stream), stream.tls is not None)
        greeting = await converse(stream, log_in(startup, identity))
    except PgError as error:
        stream.close()
        as_attempted = (attempt.context is not None) == (stream.tls is not None)
        # A token is sent over TLS only: without it nothing else would come of a further attempt.
        may_retry = as_attempted and not (stream.tls and isinstance(password, IamToken))
        if error.sqlstate == _RETRY_OTHER_ENCRYPTION and may_retry:
            raise EncryptionRefusedError(error) from None
        raise
    except BaseException:
        stream.close()
        raise
    return DatabaseConnection(
        stream,
        greeting.pid,
        greeting.cancel_key,
        greeting.parameters,
        stream.tls is not None,
        place,
    )


def _channel_binding(stream: Stream) -> bytes | None:
    certificate = stream.tls.getpeercert(binary_form=True) if stream.tls else None
    if certificate is None:
        return None
    try:
        return end_point_hash(certificate)
    except ValueError:
        return None


@contextlib.asynccontextmanager
async def _told_as_connect_error(target: Target, timeout_s: float) -> AsyncIterator[None]:
    """Bounds what is done inside, and turns failures into ConnectErrors that say where."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        text = f"{target}: timeout expired"
        raise ConnectError(text, transient=True, kind="timeout") from None
    except UnicodeError:
        raise ConnectError(f"{target}: invalid host name", transient=False) from None
    except (ValueError, ScramError, AuthenticationError, TLSError) as error:
        # Malformed messages and unusable certificates are ValueErrors.
        text = f"{target}: {error}"
        raise ConnectError(text, transient=False, kind=kind_of(error)) from None
    except OSError as error:
        text = f"{target}: {_reason(error)}"
        raise ConnectError(text, transient=True, kind=kind_of(error)) from None


def _reason(error: OSError) -> str:
    # asyncio puts the address where the system's text was. Negative numbers are getaddrinfo's.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
