"""Connecting to a database server: which address, and which encryption, as libpq tries them."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from dataclasses import dataclass

from forebay.net.server_login import AuthenticationError
from forebay.net.stream import Stream, TLSError
from forebay.net.target import Address, Place, Target
from forebay.net.tls import ClientContexts
from forebay.protocol import messages
from forebay.protocol.messages import MalformedMessageError


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to encrypt: `required` ends the attempt if the server has no TLS."""

    context: ssl.SSLContext | None
    required: bool = False
    last: bool = True


class EncryptionRefusedError(Exception):
    """This way to encrypt did not work, another one may."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def attempts(target: Target, tls_contexts: ClientContexts) -> list[Attempt]:
    """What libpq tries for an sslmode, in its order."""
    context = None
    if not target.is_unix:
        context = tls_contexts.get(
            target.sslmode, target.sslrootcert, target.sslcert, target.sslkey
        )
    if context is None:
        return [Attempt(None)]
    if target.sslmode == "allow":
        return [Attempt(None, last=False), Attempt(context, required=True)]
    if target.sslmode == "prefer":
        return [Attempt(context, last=False), Attempt(None)]
    return [Attempt(context, required=True)]


async def open_stream(
    target: Target, addresses: list[Place], attempt: Attempt, deadline_s: float
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


async def resolve(target: Target) -> list[Place]:
    """Address families and addresses."""
    if target.is_unix:
        return [(socket.AF_UNIX, str(target))]
    host = target.hostaddr or target.host
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(host).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        return [(family, (host, target.port))]
    found = await asyncio.get_running_loop().getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
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


async def _encrypt(stream: Stream, target: Target, attempt: Attempt) -> None:
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
            attempt.context, server_side=False, server_hostname=server_name(target, attempt)
        )
    except TLSError as error:
        raise EncryptionRefusedError(error) from None


def server_name(target: Target, attempt: Attempt) -> str | None:
    """The name to ask for (SNI) and to verify; addresses are verified, but not asked for."""
    try:
        ipaddress.ip_address(target.host)
    except ValueError:
        return target.host
    return target.host if attempt.context is not None and attempt.context.check_hostname else None
