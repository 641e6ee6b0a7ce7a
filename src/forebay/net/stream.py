"""One socket during a login: buffered reading and writing, TLS over memory BIOs, and hand-over.

The descriptor is registered with the event loop once, when the stream is made, and stays so until
it is handed over or closed; a flight of messages leaves in one send, and what arrives resumes its
reader at once. TLS handshake steps are computed in threads, everything else costs microseconds.

Nothing received is kept beyond a bound: a peer that sends more than is read is no longer listened
to until the reader has caught up.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Final

from forebay.net.encryption import Encryption, PeerGoneError, TLSError
from forebay.net.handshake import (
    HandshakeError,
    has_encrypted_record,
    step_aside,
    step_here,
)
from forebay.net.tasks import Wakeup
from forebay.net.tls import ALPN
from forebay.protocol.messages import MalformedMessageError, Message
from forebay.protocol.startup import StartupLengthError

__all__ = ["Detached", "PeerGoneError", "Stream", "TLSError"]

RECEIVE_BYTES: Final = 16_384
MAX_BUFFERED_BYTES: Final = 65_536
"""Received but not yet read: above this, the socket is not listened to."""
MAX_HANDSHAKE_BYTES: Final = 131_072
"""A TLS handshake that takes more from the peer than this is given up."""

_U32: Final = struct.Struct("!I")
_HEADER: Final = struct.Struct("!BI")


@dataclass(slots=True)
class Detached:
    """A connection on its way from a Stream to the relay: the descriptor is the receiver's now.

    `leftover` holds what the peer had sent beyond what was read, decrypted; `unsent` what was
    written and not sent, not encrypted yet. The beginning of a further TLS record may have been
    received; the TLS object has it, and both BIOs are empty.
    """

    fd: int
    sslobj: ssl.SSLObject | None
    incoming: ssl.MemoryBIO | None
    outgoing: ssl.MemoryBIO | None
    leftover: bytes = field(repr=False)
    unsent: bytes = field(repr=False, default=b"")


class Stream:
    """A connected socket; one task may read while another writes, no more.

    TCP_NODELAY is the caller's to set: two sends in a row would otherwise wait for the peer's
    delayed acknowledgement.
    """

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        # The descriptor, not the socket, goes to the event loop: selectors print what they do not
        # know yet, which for a socket costs two system calls.
        self._fd = sock.fileno()
        self._loop = loop or asyncio.get_running_loop()
        self._received = bytearray()  # as it came from the socket, not yet decrypted
        self._readable = self._received  # plain bytes; another buffer once TLS is up
        self._unsent = bytearray()  # plain bytes that were written
        self._encrypted = bytearray()  # what the socket has not taken yet
        self._waiter: Wakeup | None = None
        self._ended: Exception | None = None
        self._listening = False
        self._tls: Encryption | None = None
        self._handshaking = False
        self._closed = False
        self._listen()

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS object, once its handshake is complete."""
        return self._tls.sslobj if self._tls else None

    @property
    def incoming(self) -> ssl.MemoryBIO | None:
        """Where encrypted bytes from the peer go in."""
        return self._tls.incoming if self._tls else None

    @property
    def outgoing(self) -> ssl.MemoryBIO | None:
        """Where encrypted bytes for the peer come out."""
        return self._tls.outgoing if self._tls else None

    # ---- Reading ---------------------------------------------------------------------------------

    async def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises PeerGoneError at the end, TLSError, or the socket's OSError; the same for all reads.
        """
        while len(self._readable) < count:
            await self._receive_more(count)
        return self._take(count)

    async def read_message(self, limit_bytes: int) -> Message:
        """The next message whose body has at most `limit_bytes`; else MalformedMessageError.

        `limit_bytes` may be above MAX_BUFFERED_BYTES: the message is gathered whole.
        """
        while len(self._readable) < 5:
            await self._receive_more()
        kind, length = _HEADER.unpack_from(self._readable)
        if not 4 <= length <= limit_bytes + 4:
            raise MalformedMessageError("invalid message length")
        while len(self._readable) < length + 1:
            await self._receive_more(length + 1)
        return Message(kind, self._take(length + 1)[5:])

    async def read_startup(self, limit_bytes: int) -> bytes:
        """The next packet without type byte, less its length word.

        StartupLengthError, and nothing taken, if it is shorter than 4 bytes or longer than
        `limit_bytes`.
        """
        while len(self._readable) < 4:
            await self._receive_more()
        (length,) = _U32.unpack_from(self._readable)
        if not 8 <= length <= limit_bytes + 4:
            raise StartupLengthError("invalid length of startup packet")
        while len(self._readable) < length:
            await self._receive_more(length)
        return self._take(length)[4:]

    async def peek(self, count: int = 1) -> bytes:
        """The next bytes, at least `count`, without taking them."""
        while len(self._readable) < count:
            await self._receive_more()
        return bytes(self._readable)

    @property
    def buffered(self) -> int:
        """How many plain bytes have been received but not read."""
        return len(self._readable)

    def take_buffered(self) -> bytes:
        """Takes what has been received and not read."""
        return self._take(len(self._readable))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._readable[:count])
        del self._readable[:count]
        if not self._listening and self._ended is None and not self._closed:
            self._listen()
        return taken

    async def _receive_more(self, wanted: int = 0) -> None:
        """Waits until there may be more to read. Raises the reason if there will not be.

        Callers check whether what has come suffices. `wanted` raises the limit of what is kept, in
        bytes.
        """
        if self._tls is not None and self._received:
            self._decrypt(self._tls)
            return
        if self._ended is not None:
            raise self._ended
        if not self._listening and len(self._readable) < max(MAX_BUFFERED_BYTES, wanted):
            self._listen()
        self._waiter = Wakeup(self._loop)
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._tls is not None and self._received:
            self._decrypt(self._tls)

    def _on_readable(self) -> None:
        try:
            chunk = self._sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if not chunk:
            self._end(PeerGoneError("the connection was closed by the peer"))
            return
        self._received += chunk
        if len(self._received) + len(self._readable) >= MAX_BUFFERED_BYTES:
            self._stop_listening()
        if self._waiter is not None:
            self._waiter.resume()

    def _decrypt(self, tls: Encryption) -> None:
        reason = tls.decrypt(self._received, self._readable)
        if reason is not None:
            self._end(reason)

    def _listen(self) -> None:
        self._loop.add_reader(self._fd, self._on_readable)
        self._listening = True

    def _stop_listening(self) -> None:
        if self._listening:
            self._loop.remove_reader(self._fd)
            self._listening = False

    def _end(self, reason: Exception) -> None:
        if self._ended is None:
            self._ended = reason
        self._stop_listening()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.resume_soon()

    # ---- Writing ---------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Adds to what the next `drain` sends. Lost in the middle of a TLS handshake."""
        if not self._handshaking:
            self._unsent += data

    async def drain(self) -> None:
        """Sends what was written; returns when the kernel has all of it."""
        self._encrypt()
        await self._send()

    def _encrypt(self) -> None:
        if self._tls is None:
            self._encrypted += self._unsent
        elif self._unsent:
            self._encrypted += self._tls.encrypt(self._unsent)
        self._unsent.clear()

    async def _send(self) -> None:
        while self._encrypted and not self._send_some():
            writable: asyncio.Future[None] = self._loop.create_future()
            self._loop.add_writer(self._fd, _resolve, writable)
            try:
                await writable
            finally:
                if not self._closed:
                    self._loop.remove_writer(self._fd)

    def _send_some(self) -> bool:
        """Sends what the socket takes; whether that was everything."""
        try:
            sent = self._sock.send(self._encrypted)
        except (BlockingIOError, InterruptedError):
            return False
        del self._encrypted[:sent]
        return not self._encrypted

    # ---- TLS -------------------------------------------------------------------------------------

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        early: bytes = b"",
    ) -> None:
        """Puts TLS on the connection.

        Nothing may have been received that was not read: such bytes came unprotected, and whoever
        sits in between could have put them there (MalformedMessageError). `early` is for direct
        TLS, whose first bytes were looked at; it then demands that "postgresql" was agreed by ALPN.
        Raises TLSError when the handshake fails; the peer has been told by an alert then.
        """
        if self._readable or self._unsent:
            raise MalformedMessageError("received unencrypted data after SSL request")
        # Until the handshake is complete there is no way to say anything: see write().
        self._handshaking = True
        tls = Encryption.begin(context, server_side=server_side, server_hostname=server_hostname)
        tls.incoming.write(early)
        try:
            await self._handshake(tls, wait_first=server_side and not early)
        except HandshakeError as error:
            self._encrypted += tls.outgoing.read()
            self._try_send()
            raise TLSError(f"TLS handshake failed: {error}") from None
        if early and tls.sslobj.selected_alpn_protocol() != ALPN:
            raise TLSError("direct TLS needs the ALPN protocol postgresql")
        self._tls, self._readable, self._handshaking = tls, bytearray(), False
        if tls.incoming.pending or self._received:
            self._decrypt(tls)

    async def _handshake(self, tls: Encryption, wait_first: bool) -> None:
        received_bytes = 0
        # Whether a TLS 1.3 server has only the client's Finished left to check, and no certificate.
        # That is symmetric cryptography: it costs the loop less than handing it to a thread does.
        light = False
        shows_none = tls.sslobj.server_side and tls.sslobj.context.verify_mode is ssl.CERT_NONE
        done = False
        while not done:
            while wait_first and not self._received:
                await self._receive_more()
            received_bytes += len(self._received)
            if received_bytes > MAX_HANDSHAKE_BYTES:
                raise TLSError("TLS handshake failed: too long")
            tls.incoming.write(self._received)
            self._received.clear()
            # Until the thread is done nobody but it may touch the BIOs: OpenSSL works on them
            # without the GIL. What arrives meanwhile stays in self._received.
            if light:
                done = step_here(tls.sslobj)
            else:
                done = await step_aside(tls.sslobj, self._loop)
            flight = tls.outgoing.read()
            self._encrypted += flight
            # What the server then has to say is its session ticket, for which nobody waits: it
            # leaves with the next flight.
            if not (light and done):
                await self._send()
            light = shows_none and has_encrypted_record(flight)
            wait_first = True

    # ---- The end ---------------------------------------------------------------------------------

    def detach(self) -> Detached:
        """Hands the connection over: the stream lets go of the descriptor and is of no further use.

        What was written since the last drain goes along.
        """
        if self._encrypted:
            raise RuntimeError("a stream cannot be handed over in the middle of a record")
        if self._tls is not None and self._received:
            self._decrypt(self._tls)
        self._stop_listening()
        self._closed = True
        return Detached(
            self._sock.detach(),
            self.tls,
            self.incoming,
            self.outgoing,
            bytes(self._readable),
            bytes(self._unsent),
        )

    def close(self) -> None:
        """Sends what can be sent without waiting (close_notify too) and closes. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._stop_listening()
        self._loop.remove_writer(self._fd)
        if self._ended is None:
            self._say_goodbye()
        self._sock.close()
        self._ended = self._ended or PeerGoneError("the connection was closed")
        self._wake()

    def _say_goodbye(self) -> None:
        try:
            self._encrypt()
            if self._tls is not None:
                self._encrypted += self._tls.goodbye()
        except ssl.SSLError:
            return
        self._try_send()

    def _try_send(self) -> None:
        if self._encrypted:
            with contextlib.suppress(OSError):  # it is being closed anyway
                self._send_some()

    def fileno(self) -> int:
        """The descriptor, -1 after the end."""
        return self._sock.fileno()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
