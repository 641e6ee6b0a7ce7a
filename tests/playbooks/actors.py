"""The far ends: a socket that a script holds, encrypted or not."""

import contextlib
import functools
import socket
import ssl
from dataclasses import dataclass

from forebay.net.tls import self_signed_certificate, server_context

RECEIVE_BYTES = 1 << 20


@functools.cache
def server_side() -> ssl.SSLContext:
    return server_context(*self_signed_certificate())


@functools.cache
def client_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass
class NearEnd:
    """What the relay gets: a descriptor, and the state of TLS when there is any."""

    fd: int
    tls: ssl.SSLObject | None
    incoming: ssl.MemoryBIO | None
    outgoing: ssl.MemoryBIO | None
    leftover: bytes = b""


class Actor:
    """A client or a database, as the relay sees it from outside."""

    def __init__(self, name: str, sock: socket.socket) -> None:
        self.name = name
        self.sock = sock
        self.inbox = b""
        self.ended = False  # the relay closed its end
        self.closed = False
        self.unsent = b""  # the second half of a message
        self.tls: ssl.SSLObject | None = None
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()

    def wrap(self, data: bytes) -> bytes:
        """What goes over the wire for `data`."""
        if self.tls is None:
            return data
        with contextlib.suppress(ssl.SSLError):  # the relay has ended it
            for at in range(0, len(data), 16384):
                self.tls.write(data[at : at + 16384])
        return self.outgoing.read()

    def receive(self) -> None:
        """Take in whatever has come."""
        while not self.closed and not self.ended:
            try:
                data = self.sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:  # something sent to the relay was never read
                data = b""
            self.ended = not data
            if self.tls is None:
                self.inbox += data
            elif data:
                self.incoming.write(data)
                self._decrypt(self.tls)

    def _decrypt(self, tls: ssl.SSLObject) -> None:
        with contextlib.suppress(ssl.SSLError):  # nothing more yet, the end, or an alert
            while data := tls.read(65536):
                self.inbox += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.sock.close()


def connect(name: str, tls: str = "", buffer_bytes: int = 0) -> tuple[Actor, NearEnd]:
    """A far end and a near end. `tls`: "client" or "server" says what the far end is in TLS."""
    far, near = socket.socketpair()
    for each in (far, near):
        each.setblocking(False)
        if buffer_bytes:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    actor = Actor(name, far)
    end = NearEnd(near.detach(), None, None, None)
    if tls:
        _shake_hands(actor, end, tls)
    return actor, end


def _shake_hands(actor: Actor, end: NearEnd, tls: str) -> None:
    end.incoming, end.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    is_client = tls == "client"
    far = client_side() if is_client else server_side()
    near = server_side() if is_client else client_side()
    actor.tls = far.wrap_bio(actor.incoming, actor.outgoing, server_side=not is_client)
    end.tls = near.wrap_bio(end.incoming, end.outgoing, server_side=is_client)
    undone = [actor.tls, end.tls]
    while undone:
        for each in list(undone):
            with contextlib.suppress(ssl.SSLWantReadError):
                each.do_handshake()
                undone.remove(each)
        end.incoming.write(actor.outgoing.read())
        actor.incoming.write(end.outgoing.read())
