"""TLS on one connection, over memory BIOs: bytes in, bytes out, no socket."""

import contextlib
import ssl
from typing import NamedTuple, Self

from forebay.net.tls import ssl_reason

CHUNK_BYTES = 16_384


class PeerGoneError(ConnectionError):
    """The peer closed the connection."""


class TLSError(ConnectionError):
    """The TLS handshake or a TLS record failed; the message says how, without the peer's bytes."""


class Encryption(NamedTuple):
    """The TLS object, and where encrypted bytes go in and come out."""

    sslobj: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO

    @classmethod
    def begin(
        cls, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None
    ) -> Self:
        """Its handshake has yet to be made."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        sslobj = context.wrap_bio(incoming, outgoing, server_side, server_hostname)
        return cls(sslobj, incoming, outgoing)

    def decrypt(self, received: bytearray, into: bytearray) -> Exception | None:
        """Decrypts what was received. Returns None if more may come, else the error that says why
        not."""
        self.incoming.write(received)
        received.clear()
        try:
            while chunk := self.sslobj.read(CHUNK_BYTES):
                into += chunk
                if not self.incoming.pending and not self.sslobj.pending():
                    return None  # asking once more would cost an exception
            return PeerGoneError("the connection was closed by the peer")
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError as error:
            return TLSError(f"TLS failed: {ssl_reason(error)}")

    def encrypt(self, plain: bytearray) -> bytes:
        """Raises ssl.SSLError."""
        self.sslobj.write(plain)
        return self.outgoing.read()

    def goodbye(self) -> bytes:
        """A close_notify; the peer's own is not waited for."""
        with contextlib.suppress(ssl.SSLError):
            self.sslobj.unwrap()
        return self.outgoing.read()
