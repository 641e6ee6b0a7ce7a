"""A small blocking client: logs in, asks, discards large answers, sends COPY data.

The load must cost little beside what is measured, on the same cores: no driver, no thread, and the
password is stretched once per salt.
"""

import base64
import contextlib
import functools
import hashlib
import hmac
import secrets
import socket
import ssl
from collections.abc import Iterable, Iterator

from bench.target import Target

PROTOCOL_3_0 = 196608
SSL_REQUEST = (80877103).to_bytes(4, "big")
READY = b"Z\x00\x00\x00\x05I"
RECEIVE_BYTES = 256 * 1024
TIMEOUT_S = 60.0


class ClientError(Exception):
    """The other side refused, ended the connection, or said something unexpected."""


class Client:
    """One connection. ``with Client(target) as client:`` is logged in and ready."""

    def __init__(self, target: Target, context: ssl.SSLContext | None = None) -> None:
        self._received = bytearray()
        self._socket: socket.socket = socket.create_connection(
            (target.host, target.port), timeout=TIMEOUT_S
        )
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.tls:
                self._start_tls(context or tls_context())
            self._log_in(target)
        except BaseException:
            self._socket.close()
            raise

    def query(self, sql: str) -> list[list[str | None]]:
        """Run one simple query; give its rows as text. Raises ClientError."""
        self._send(b"Q", sql.encode() + b"\0")
        rows = []
        for kind, body in self._until_ready():
            if kind == b"D":
                rows.append(parse_row(body))
        return rows

    def discard(self, sql: str) -> int:
        """Run a query or a COPY out and throw its answer away; give its size in bytes.

        The answer must not hold the bytes of an idle ReadyForQuery itself.
        """
        self._send(b"Q", sql.encode() + b"\0")
        buffer = memoryview(bytearray(RECEIVE_BYTES))
        total, tail, head = 0, b"", b""
        while tail != READY:
            count = self._socket.recv_into(buffer)
            if count == 0:
                raise ClientError("the connection was closed in the middle of the answer")
            total += count
            head = head or bytes(buffer[:256])
            tail = (tail + bytes(buffer[max(0, count - len(READY)) : count]))[-len(READY) :]
        if head[:1] == b"E":
            raise ClientError(error_text(head[5:]))
        return total

    def copy_in(self, sql: str, chunks: Iterable[bytes]) -> str:
        """Run a COPY … FROM STDIN with ``chunks`` of whole messages; give the command tag."""
        self._send(b"Q", sql.encode() + b"\0")
        kind, body = self._message()
        if kind != b"G":
            raise ClientError(error_text(body) if kind == b"E" else "COPY was not started")
        for chunk in chunks:
            self._socket.sendall(chunk)
        self._send(b"c", b"")
        tags = [body for kind, body in self._until_ready() if kind == b"C"]
        return tags[-1].rstrip(b"\0").decode() if tags else ""

    def close(self) -> None:
        """Say goodbye and wait for the other side to close, so that its work is complete."""
        with self._socket, contextlib.suppress(OSError):
            self._send(b"X", b"")
            while self._socket.recv(4096):
                pass

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_tls(self, context: ssl.SSLContext) -> None:
        self._socket.sendall((8).to_bytes(4, "big") + SSL_REQUEST)
        if self._socket.recv(1) != b"S":
            raise ClientError("TLS was refused")
        self._socket = context.wrap_socket(self._socket)

    def _log_in(self, target: Target) -> None:
        parameters = {"user": target.user, "database": target.database, "client_encoding": "UTF8"}
        pairs = b"".join(f"{k}\0{v}\0".encode() for k, v in parameters.items())
        body = PROTOCOL_3_0.to_bytes(4, "big") + pairs + b"\0"
        self._socket.sendall((len(body) + 4).to_bytes(4, "big") + body)
        scram = Scram(target.password)
        for kind, body in self._until_ready():
            if kind == b"R":
                self._authenticate(int.from_bytes(body[:4], "big"), body[4:], scram)

    def _authenticate(self, request: int, data: bytes, scram: "Scram") -> None:
        if request == 10:
            first = scram.first()
            self._send(b"p", b"SCRAM-SHA-256\0" + len(first).to_bytes(4, "big") + first)
        elif request == 11:
            self._send(b"p", scram.final(data))
        elif request == 12:
            scram.verify(data)
        elif request != 0:
            raise ClientError(f"authentication request {request} where SCRAM was expected")

    def _send(self, kind: bytes, body: bytes) -> None:
        self._socket.sendall(kind + (len(body) + 4).to_bytes(4, "big") + body)

    def _until_ready(self) -> Iterator[tuple[bytes, bytes]]:
        """Give messages up to ReadyForQuery; an ErrorResponse is raised after it."""
        failure = None
        while True:
            kind, body = self._message()
            if kind == b"E":
                failure = failure or ClientError(error_text(body))
                if not self._logged_in:
                    raise failure
            elif kind == b"Z":
                self._logged_in = True
                if failure:
                    raise failure
                return
            yield kind, body

    _logged_in = False

    def _message(self) -> tuple[bytes, bytes]:
        self._fill(5)
        end = int.from_bytes(self._received[1:5], "big") + 1
        self._fill(end)
        kind, body = bytes(self._received[:1]), bytes(self._received[5:end])
        del self._received[:end]
        return kind, body

    def _fill(self, size: int) -> None:
        while len(self._received) < size:
            data = self._socket.recv(65536)
            if not data:
                raise ClientError("the connection was closed")
            self._received += data


class Scram:
    """The client's side of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677)."""

    def __init__(self, password: str, user: str = "") -> None:
        # PostgreSQL goes by the start-up packet's user, and libpq leaves this one empty.
        self._user, self._password = user, password
        self._nonce = secrets.token_urlsafe(18)
        self._exchange = ""
        self._server_key = b""

    def first(self) -> bytes:
        """Give the client-first-message."""
        return f"n,,n={self._user},r={self._nonce}".encode()

    def final(self, server_first: bytes) -> bytes:
        """Give the client-final-message. Raises ClientError if the challenge is not for us."""
        text = server_first.decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        if not fields["r"].startswith(self._nonce):
            raise ClientError("the server answered another login's challenge")
        client_key, self._server_key = keys(
            self._password, base64.b64decode(fields["s"]), int(fields["i"])
        )
        bare = f"c=biws,r={fields['r']}"
        self._exchange = f"n={self._user},r={self._nonce},{text},{bare}"
        signature = _sign(hashlib.sha256(client_key).digest(), self._exchange)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final: bytes) -> None:
        """Check that the server knows the password too. Raises ClientError."""
        expected = b"v=" + base64.b64encode(_sign(self._server_key, self._exchange))
        if not hmac.compare_digest(server_final, expected):
            raise ClientError("the server's SCRAM signature is wrong")


@functools.cache
def keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """Derive the client key and the server key; the stretching is done once per salt."""
    stretched = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return _sign(stretched, "Client Key"), _sign(stretched, "Server Key")


def parse_row(body: bytes) -> list[str | None]:
    """Read a DataRow's text values."""
    values: list[str | None] = []
    at = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        length = int.from_bytes(body[at : at + 4], "big", signed=True)
        at += 4
        values.append(None if length < 0 else body[at : at + length].decode())
        at += max(length, 0)
    return values


def error_text(body: bytes) -> str:
    """Give SQLSTATE and message of an ErrorResponse."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return f"{fields.get(b'C', '?????')}: {fields.get(b'M', 'no message')}"


def tls_context() -> ssl.SSLContext:
    """Give a context as libpq's ``sslmode=require`` has it: encrypted, not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _sign(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
