"""Opening database connections: address, encryption, authentication; and sending cancels.

Behaves as libpq does where libpq has a rule (sslmode above all), and does not trust the server:
what it sends is bounded in size and number, everything is bounded in time, and whatever is no
PostgreSQL ends in a ConnectError.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from forebay.net.server_auth import (
    MAX_MESSAGE_BYTES,
    AuthenticationError,
    authenticate,
    unexpected,
)
from forebay.net.stream import Detached, Stream, TLSError
from forebay.net.target import Address, Place, Target
from forebay.net.tls import ClientContexts
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError
from forebay.protocol.scram import ScramError
from forebay.protocol.startup import is_reserved

__all__ = [
    "ConnectError",
    "DatabaseConnection",
    "Target",
    "connect",
    "send_cancel",
    "simple_query",
]

MAX_LOGIN_MESSAGES: Final = 1000
"""Messages between AuthenticationOk and ReadyForQuery."""
MAX_ANSWER_BYTES: Final = 1_048_576
"""What one `simple_query` may return in all."""

_RETRY_OTHER_ENCRYPTION: Final = "28000"
"""What pg_hba.conf says to a connection that should (or should not) have been encrypted."""

_DEFAULT_CONTEXTS: Final = ClientContexts()


class ConnectError(Exception):
    """No database connection came about, and it was not the database that said why.

    `transient`: trying again may help (refused, timed out, broken off); it will not where the
    configuration or the server is of the wrong kind (certificates, mechanisms, nonsense).
    """

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


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
    password: str | None,
    database: str,
    parameters: Mapping[str, str],
    connect_timeout_s: float,
    tls_contexts: ClientContexts,
) -> DatabaseConnection:
    """Opens a database connection, within `connect_timeout_s` in all.

    `parameters` are settings for the startup packet. Raises PgError with what the database said
    (`raw` kept), else ConnectError.
    """
    deadline_s = asyncio.get_running_loop().time() + connect_timeout_s
    async with _told_as_connect_error(target, connect_timeout_s):
        startup = _startup_message(user, database, parameters)
        for attempt in _attempts(target, tls_contexts):
            try:
                stream, place = await _open(target, await _resolve(target), attempt, deadline_s)
                return await _log_in(stream, place, attempt, startup, user, password)
            except _EncryptionRefusedError as refused:
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
    """Asks the server to cancel a query; returns when the server has closed that connection.

    `place` is where the connection with that query is: by now the target's name may mean another
    server, which has a process of that number, too. Certificates are still for the name.

    Only then is the signal on its way: a database connection must not serve another client before.
    Raises ConnectError.
    """
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    async with _told_as_connect_error(target, timeout_s):
        for attempt in _attempts(target, tls_contexts):
            try:
                stream, _ = await _open(target, [place], attempt, deadline_s)
            except _EncryptionRefusedError as refused:
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


def _startup_message(user: str, database: str, parameters: Mapping[str, str]) -> bytes:
    reserved = [name for name in parameters if is_reserved(name)]
    if reserved:
        raise ValueError(f'"{reserved[0]}" cannot be a startup parameter')
    return messages.startup_message({"user": user, "database": database, **parameters})


@contextlib.asynccontextmanager
async def _told_as_connect_error(target: Target, timeout_s: float) -> AsyncIterator[None]:
    """Bounds what is done inside, and turns failures into ConnectErrors that say where."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise ConnectError(f"{target}: timeout expired", transient=True) from None
    except UnicodeError:
        raise ConnectError(f"{target}: invalid host name", transient=False) from None
    except (ValueError, ScramError, AuthenticationError, TLSError) as error:
        # Malformed messages and unusable certificates are ValueErrors.
        raise ConnectError(f"{target}: {error}", transient=False) from None
    except OSError as error:
        raise ConnectError(f"{target}: {_reason(error)}", transient=True) from None


def _reason(error: OSError) -> str:
    # asyncio puts the address where the system's text was. Negative numbers are getaddrinfo's.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


# ---- Address and encryption ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One way to encrypt: `required` ends the attempt if the server has no TLS."""

    context: ssl.SSLContext | None
    required: bool = False
    last: bool = True


class _EncryptionRefusedError(Exception):
    """This way to encrypt did not work, another one may."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _attempts(target: Target, tls_contexts: ClientContexts) -> list[_Attempt]:
    """What libpq tries for an sslmode, in its order."""
    context = None if target.is_unix else tls_contexts.get(target.sslmode, target.sslrootcert)
    if context is None:
        return [_Attempt(None)]
    if target.sslmode == "allow":
        return [_Attempt(None, last=False), _Attempt(context, required=True)]
    if target.sslmode == "prefer":
        return [_Attempt(context, last=False), _Attempt(None)]
    return [_Attempt(context, required=True)]


async def _open(
    target: Target, addresses: list[Place], attempt: _Attempt, deadline_s: float
) -> tuple[Stream, Place]:
    """Connects to the first of these addresses of the host that answers, and encrypts."""
    loop = asyncio.get_running_loop()
    failure: Exception = OSError("the host name has no address")
    for index, (family, address) in enumerate(addresses):
        # An address that never answers must not use up the time of those after it.
        budget_s = (deadline_s - loop.time()) / (len(addresses) - index)
        try:
            async with asyncio.timeout(budget_s):
                stream = await _connect_socket(family, address)
            break
        except OSError as error:
            failure = error
    else:
        raise failure
    try:
        await _encrypt(stream, target, attempt)
    except BaseException:
        stream.close()
        raise
    return stream, (family, address)


async def _resolve(target: Target) -> list[Place]:
    """Address families and addresses."""
    if target.is_unix:
        return [(socket.AF_UNIX, str(target))]
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(target.host).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        return [(family, (target.host, target.port))]
    found = await asyncio.get_running_loop().getaddrinfo(
        target.host, target.port, type=socket.SOCK_STREAM
    )
    return [(family, address) for family, _, _, _, address in found]


async def _connect_socket(family: int, address: Address) -> Stream:
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await loop.sock_connect(sock, address)
        return Stream(sock, loop)
    except BaseException:
        sock.close()
        raise


async def _encrypt(stream: Stream, target: Target, attempt: _Attempt) -> None:
    if attempt.context is None:
        return
    stream.write(messages.ssl_request())
    await stream.drain()
    answer = await stream.read_exactly(1)
    if answer == b"N":
        if attempt.required:
            raise AuthenticationError("server does not support SSL, but SSL was required")
        if stream.buffered:
            raise MalformedMessageError("the server spoke before it was asked")
        return
    if answer != b"S":
        # Not even an error's text is to be believed here: anybody could have put it in.
        raise MalformedMessageError("the server answered the request for TLS with neither S nor N")
    try:
        await stream.start_tls(
            attempt.context, server_side=False, server_hostname=_server_name(target, attempt)
        )
    except TLSError as error:
        raise _EncryptionRefusedError(error) from None


def _server_name(target: Target, attempt: _Attempt) -> str | None:
    """The name to ask for (SNI) and to verify; addresses are verified, but not asked for."""
    try:
        ipaddress.ip_address(target.host)
    except ValueError:
        return target.host
    return target.host if attempt.context is not None and attempt.context.check_hostname else None


async def _log_in(
    stream: Stream, place: Place, attempt: _Attempt, startup: bytes, user: str, password: str | None
) -> DatabaseConnection:
    try:
        stream.write(startup)
        await stream.drain()
        await authenticate(stream, user, password)
        return await _read_greeting(stream, place)
    except PgError as error:
        stream.close()
        as_attempted = (attempt.context is not None) == (stream.tls is not None)
        if error.sqlstate == _RETRY_OTHER_ENCRYPTION and as_attempted:
            raise _EncryptionRefusedError(error) from None
        raise
    except BaseException:
        stream.close()
        raise


async def _read_greeting(stream: Stream, place: Place) -> DatabaseConnection:
    """Reads from AuthenticationOk to ReadyForQuery."""
    parameters: dict[str, str] = {}
    pid, key = 0, b""
    for _ in range(MAX_LOGIN_MESSAGES):
        kind, body = await stream.read_message(MAX_MESSAGE_BYTES)
        match chr(kind):
            case "S":
                name, value = messages.parse_parameter_status(body)
                parameters[name] = value
            case "K":
                pid, key = messages.parse_backend_key_data(body)
            case "Z":
                if messages.parse_ready_for_query(body) != b"I":
                    raise MalformedMessageError("a new connection is not idle")
                tls = stream.tls is not None
                return DatabaseConnection(stream, pid, key, parameters, tls, place)
            case "E":
                raise PgError.parse(body)
            case "N":
                pass
            case _:
                raise unexpected(kind)
    raise MalformedMessageError("the server's greeting does not end")


async def simple_query(
    stream: Stream, sql: str, parameters: dict[str, str] | None = None
) -> list[list[str | None]]:
    """Runs a query on an idle connection; returns the rows of all its results, as text.

    ParameterStatus messages that come along are put into `parameters`. Raises PgError with what the
    database said (the connection is idle again, unless it was FATAL), else ConnectError, after
    which the connection is good for nothing.
    """
    try:
        stream.write(messages.query(sql))
        await stream.drain()
        return await _read_results(stream, {} if parameters is None else parameters)
    except MalformedMessageError as error:
        raise ConnectError(str(error), transient=False) from None
    except OSError as error:
        raise ConnectError(_reason(error), transient=True) from None


async def _read_results(stream: Stream, parameters: dict[str, str]) -> list[list[str | None]]:
    rows: list[list[str | None]] = []
    failure: PgError | None = None
    left_bytes = MAX_ANSWER_BYTES
    while left_bytes > 0:
        kind, body = await stream.read_message(left_bytes)
        left_bytes -= len(body) + 5
        match chr(kind):
            case "D":
                rows.append(messages.parse_data_row(body))
            case "S":
                name, value = messages.parse_parameter_status(body)
                parameters[name] = value
            case "E":
                failure = PgError.parse(body)
                if failure.severity is not Severity.ERROR:
                    raise failure
            case "Z":
                messages.parse_ready_for_query(body)
                if failure is not None:
                    raise failure
                return rows
            case "G":
                stream.write(messages.copy_fail("COPY FROM STDIN is not possible here"))
                await stream.drain()
            case "T" | "C" | "I" | "N" | "A" | "H" | "d" | "c":
                pass
            case _:
                raise unexpected(kind)
    raise MalformedMessageError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
