"""TLS handshake steps, computed beside the event loop.

A step with a private key in it takes a fifth of a millisecond, which no relayed client should have
to wait for. Servers' steps run in threads without Python wherever OpenSSL can be reached (see
relay/handshakes.pyx), all others in Python threads: so do those in which clients may show
certificates, for only Python's module tells what is wrong with one.
"""

import asyncio
import ssl
import struct
import weakref
from typing import Final

from forebay.net.tasks import CRYPTO_THREADS, Wakeup, in_crypto_thread
from forebay.net.tls import ssl_reason
from forebay.relay.handshakes import Handshakes
from forebay.relay.openssl import available

_RECORD: Final = struct.Struct("!BHH")
_APPLICATION_DATA: Final = 23


class HandshakeError(Exception):
    """A handshake failed; the message says how, in OpenSSL's words."""


class _Step(Wakeup):
    """One step under way, and what came of it."""

    __slots__ = ("done", "reason")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.done = False
        self.reason: str | None = None


_of_loop: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Handshakes[_Step]]" = (
    weakref.WeakKeyDictionary()
)


def prepare(loop: asyncio.AbstractEventLoop) -> None:
    """Starts the threads that take servers' steps for this loop, so that no client waits for it."""
    if available():
        _handshakes(loop)


async def step_aside(sslobj: ssl.SSLObject, loop: asyncio.AbstractEventLoop) -> bool:
    """One step of a handshake, in a thread; whether it was the last.

    Until it returns nobody may touch the object or its BIOs. If the caller is cancelled, the step
    is still taken to its end. Raises HandshakeError.
    """
    is_plain = sslobj.server_side and sslobj.context.verify_mode is ssl.CERT_NONE
    if not (is_plain and available()):
        try:
            return await in_crypto_thread(handshake_step, sslobj)
        except ssl.SSLError as error:
            raise HandshakeError(ssl_reason(error)) from None
    step = _Step(loop)
    _handshakes(loop).take_step(sslobj, step)
    await step
    if step.reason is not None:
        raise HandshakeError(step.reason)
    return step.done


def step_here(sslobj: ssl.SSLObject) -> bool:
    """As `step_aside`, for a step that costs less than going to a thread."""
    try:
        return handshake_step(sslobj)
    except ssl.SSLError as error:
        raise HandshakeError(ssl_reason(error)) from None


def handshake_step(sslobj: ssl.SSLObject) -> bool:
    """One step of a handshake; whether it was the last. Raises ssl.SSLError."""
    try:
        sslobj.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def has_encrypted_record(flight: bytes) -> bool:
    """Whether a handshake flight holds a TLS 1.3 encrypted record (RFC 8446, section 5.2)."""
    offset = 0
    while offset + _RECORD.size <= len(flight):
        kind, _, length = _RECORD.unpack_from(flight, offset)
        if kind == _APPLICATION_DATA:
            return True
        offset += _RECORD.size + length
    return False


def _handshakes(loop: asyncio.AbstractEventLoop) -> "Handshakes[_Step]":
    handshakes = _of_loop.get(loop)
    if handshakes is None:
        handshakes = _of_loop[loop] = Handshakes(CRYPTO_THREADS)
        loop.add_reader(handshakes.fileno(), _collect, handshakes)
    return handshakes


def _collect(handshakes: "Handshakes[_Step]") -> None:
    for step, done, reason in handshakes.collect():
        step.done, step.reason = done, reason
        step.resume()
