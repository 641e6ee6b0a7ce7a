"""Logging a client in: encryption, startup packet, authentication.

Ends just before what follows AuthenticationOk: the greeting (ParameterStatus, BackendKeyData,
ReadyForQuery) is the caller's, and leaves in the same send as AuthenticationOk if it is known then.
"""

import asyncio
import contextlib
import functools
import ssl
import struct
from dataclasses import dataclass, field
from typing import Final

from forebay.net.login.authentication import Authentication
from forebay.net.login.policy import LoginPolicy
from forebay.net.stream import PeerGoneError, Stream, TLSError
from forebay.protocol import errors, messages
from forebay.protocol.errors import PgError
from forebay.protocol.scram import ClientKeys
from forebay.protocol.startup import (
    MAX_STARTUP_PACKET_BYTES,
    CancelRequest,
    GSSENCRequest,
    Request,
    SSLRequest,
    StartupLengthError,
    StartupMessage,
    negotiate_protocol_version,
    parse_startup,
)

LAST_WORD_S: Final = 1.0
"""How long a client that is refused may take to receive the reason."""

RDS_PARAMETERS: Final = frozenset(
    {
        *("application_name", "client_encoding", "datestyle"),
        *("extra_float_digits", "search_path", "timezone"),
    }
)
"""The startup parameters that RDS Proxy takes, in lower case."""

KNOWN_PACKETS: Final = 256
"""Startup packets that are not parsed anew; those that are longer than this always are:"""
KNOWN_PACKET_BYTES: Final = 512

_TLS_HANDSHAKE: Final = 0x16
_GOODBYE: Final = b"X\0\0\0"
_VERSION_3: Final = b"\0\3"
_parse_known: Final = functools.lru_cache(KNOWN_PACKETS)(parse_startup)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A client that has proved who it is, and what it asked for.

    `settings` is sorted by name, names are lower-case and occur once. AuthenticationOk is written
    to the stream but not sent yet. `client_keys` are what its SCRAM proof has given away, where no
    more than a verifier was known of its password: with them one can log in to the database whose
    verifier it is. `method` is a key of `methods.METHODS`.
    """

    stream: Stream
    user: str
    database: str
    settings: tuple[tuple[str, str], ...]
    protocol_minor: int
    application_name: str
    client_keys: ClientKeys | None = field(default=None, repr=False)
    method: str = ""


class LoginFailed(Exception):  # noqa: N818 - the counterpart of LoggedIn
    """A client was refused, and the stream is closed. It has been told, unless it does not seem to
    speak the protocol.

    `user` is None if the client had not come so far as to name one.
    """

    def __init__(self, reason: str, user: str | None, sqlstate: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.user = user
        self.sqlstate = sqlstate


async def log_in(stream: Stream, policy: LoginPolicy, peer: str) -> LoggedIn | CancelRequest | None:
    """Takes a new connection through to authentication, within `policy.login_timeout_s`.

    `peer` is the client's address without its port. Returns what the client wants; None if it left
    before it was done (psql does so to ask for a password), and the stream is closed then. After a
    CancelRequest the stream is still open: the caller closes it when the cancel is done.
    Raises LoginFailed; the client has been told why, if it has sent a packet at all, and the
    stream is closed.
    """
    login = _Login(stream, policy, peer)
    try:
        async with asyncio.timeout(policy.login_timeout_s):
            return await login.run()
    except PgError as error:
        await refuse(stream, error)
        raise _failed(error, login) from None
    except messages.MalformedMessageError as malformed:
        violation = errors.protocol_violation(str(malformed))
        await refuse(stream, violation)
        raise _failed(violation, login) from None
    except TimeoutError as error:
        if error.errno is not None:  # ETIMEDOUT: it is the connection that is gone
            stream.close()
            return None
        timed_out = errors.login_timed_out()
        await refuse(stream, timed_out)
        raise _failed(timed_out, login) from None
    except (TLSError, StartupLengthError) as failure:
        stream.close()
        raise LoginFailed(str(failure), login.user, "08P01") from None
    except OSError:
        stream.close()
        return None
    except BaseException:
        stream.close()
        raise


async def refuse(stream: Stream, error: PgError) -> None:
    """Says why, and closes. A client that does not read is not waited for."""
    try:
        with contextlib.suppress(OSError, TimeoutError):
            stream.write(error.encode())
            async with asyncio.timeout(LAST_WORD_S):
                await stream.drain()
    finally:
        stream.close()


def _failed(error: PgError, login: "_Login") -> LoginFailed:
    detail = "" if error.detail is None else f" ({error.detail})"
    reason = f" ({login.reason})" if login.reason else ""
    return LoginFailed(error.message + detail + reason, login.user, error.sqlstate)


class _Login:
    """One login under way."""

    def __init__(self, stream: Stream, policy: LoginPolicy, peer: str) -> None:
        self.user: str | None = None
        self._stream = stream
        self._policy = policy
        self._authentication = Authentication(stream, policy, peer)

    @property
    def reason(self) -> str:
        """Why it was refused, beyond what the client is told."""
        return self._authentication.reason

    async def run(self) -> LoggedIn | CancelRequest:
        request = await self._negotiate()
        if isinstance(request, CancelRequest):
            return request
        self.user = request.user
        user = self._check(request)
        if request.must_negotiate:
            agreed = negotiate_protocol_version(request.unrecognized, request.agreed_minor)
            self._stream.write(agreed)
        proof = await self._authentication.run(user, request.database or user)
        if not self._authentication.has_asked:
            await (
                self._stream.drain()
            )  # the handshake's session ticket, which leaves with a question
        self._stream.write(messages.authentication_ok())
        return LoggedIn(
            stream=self._stream,
            user=user,
            database=request.database or user,
            settings=tuple(sorted(request.settings.items())),
            protocol_minor=request.agreed_minor,
            application_name=request.settings.get("application_name", ""),
            client_keys=proof.client_keys,
            method=self._authentication.method,
        )

    # ---- Encryption and the startup packet -------------------------------------------------------

    async def _negotiate(self) -> StartupMessage | CancelRequest:
        """Answers requests for encryption, each at most once, until something else comes."""
        stream = self._stream
        first = (await stream.peek(4))[:4]
        if first[0] == _TLS_HANDSHAKE:
            await self._direct_tls()
        elif first[0] != 0:
            raise _no_packet(first)
        asked: set[type] = set()
        while True:
            request = await self._request()
            if not isinstance(request, SSLRequest | GSSENCRequest):
                return request
            if stream.tls is not None or type(request) in asked:
                raise errors.protocol_violation("unsupported frontend protocol")
            asked.add(type(request))
            if isinstance(request, SSLRequest) and self._policy.tls_context is not None:
                await self._upgrade(self._policy.tls_context)
            else:
                self._refuse_early_bytes()
                stream.write(b"N")
                await stream.drain()

    async def _request(self) -> Request:
        try:
            packet = await self._stream.read_startup(MAX_STARTUP_PACKET_BYTES)
        except StartupLengthError:
            first = (await self._stream.peek(4))[:4]
            if first[0] == 0:
                raise
            raise _no_packet(first) from None
        return _parse(packet)

    async def _upgrade(self, context: ssl.SSLContext) -> None:
        self._refuse_early_bytes()
        self._stream.write(b"S")
        await self._stream.drain()
        await self._stream.start_tls(context, server_side=True)

    def _refuse_early_bytes(self) -> None:
        """What came along with the request was not sent by a client that awaits the answer."""
        if self._stream.buffered:
            raise errors.early_bytes()

    async def _direct_tls(self) -> None:
        context = self._policy.tls_context
        if context is None:
            raise StartupLengthError("received direct SSL connection request without TLS")
        early = self._stream.take_buffered()
        await self._stream.start_tls(context, server_side=True, early=early)

    def _check(self, request: StartupMessage) -> str:
        """Refuses what cannot be served before any password is asked for; returns the user."""
        if self._policy.require_tls and self._stream.tls is None:
            raise errors.tls_required()
        if request.user is None:
            raise errors.missing_user()
        if request.replication:
            raise errors.unsupported_replication()
        if self._policy.refuse_options:
            _refuse_options(request)
        return request.user


def _parse(packet: bytes) -> Request:
    """As parse_startup. Clients of one application all begin with the same packet."""
    known = len(packet) <= KNOWN_PACKET_BYTES and packet.startswith(_VERSION_3)
    return _parse_known(packet) if known else parse_startup(packet)


def _refuse_options(request: StartupMessage) -> None:
    """Refuses what RDS Proxy refuses. Raises PgError."""
    if request.has_options:
        raise errors.unsupported_command_line_options()
    for name in request.settings:
        if name not in RDS_PARAMETERS:
            raise errors.unsupported_option(name)


def _no_packet(first: bytes) -> Exception:
    """What it is that begins with these four bytes instead of a small length."""
    if first == _GOODBYE:  # a driver that leaves before it has begun says Terminate all the same
        return PeerGoneError("the client said goodbye")
    if first in (b"GET ", b"HEAD", b"POST", b"PUT ", b"OPTI", b"PRI ", b"CONN", b"DELE", b"PATC"):
        what = "This is an HTTP request."
    else:
        what = f"It begins with {struct.unpack('!4B', first)}."
    return StartupLengthError(f"invalid length of startup packet ({what})")
