"""How much longer a statement takes through Forebay than straight at the database.

One client, plain blocking sockets, the two ways by turns, so that whatever else the machine does
hits both alike. The client side through Forebay is encrypted, as clients are in production; if the
database's is not, what the encryption costs the client counts as added.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time

from forebay.demo.reports import percentile
from forebay.net.connector import DatabaseConnection, Target, connect
from forebay.net.stream import Detached
from forebay.net.tls import ClientContexts
from forebay.protocol import messages

STATEMENT = "SELECT 1"
PAIRS = 2000
WARM_UP_PAIRS = 200
CONNECT_TIMEOUT_S = 30.0
TIMEOUT_S = 30.0
RECEIVE_BYTES = 16_384


class BlockingSession:
    """A logged-in connection taken off the event loop; used in a thread of its own."""

    def __init__(self, detached: Detached) -> None:
        self._socket = socket.socket(fileno=detached.fd)
        self._socket.settimeout(TIMEOUT_S)
        self._sslobj = detached.sslobj
        self._incoming = detached.incoming
        self._outgoing = detached.outgoing

    def measure_us(self, request: bytes) -> float:
        """Sends one query and waits until the server is ready again; the time that took."""
        started = time.perf_counter()
        self._send(request)
        answer = b""
        while not _is_complete(answer):
            answer += self._receive()
        return (time.perf_counter() - started) * 1e6

    def close(self) -> None:
        self._send(messages.terminate())
        self._socket.close()

    def _send(self, data: bytes) -> None:
        if self._sslobj is not None and self._outgoing is not None:
            self._sslobj.write(data)
            data = self._outgoing.read()
        self._socket.sendall(data)

    def _receive(self) -> bytes:
        chunk = self._socket.recv(RECEIVE_BYTES)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        if self._sslobj is None or self._incoming is None:
            return chunk
        self._incoming.write(chunk)
        plain = b""
        try:
            while part := self._sslobj.read(RECEIVE_BYTES):
                plain += part
        except ssl.SSLWantReadError:
            pass
        return plain


async def added_latency_us(
    direct: Target, through: Target, *, user: str, password: str, database: str
) -> tuple[float, float]:
    """Medians: (a statement straight at the database, what Forebay adds to it), microseconds."""
    sessions = []
    try:
        for target in (direct, through):
            connection: DatabaseConnection = await connect(
                target,
                user=user,
                password=password,
                database=database,
                parameters={"application_name": "latency"},
                connect_timeout_s=CONNECT_TIMEOUT_S,
                tls_contexts=ClientContexts(),
            )
            sessions.append(BlockingSession(connection.detach()))
        return await asyncio.to_thread(_compare, *sessions)
    finally:
        for session in sessions:
            session.close()


def _compare(direct: BlockingSession, through: BlockingSession) -> tuple[float, float]:
    request = messages.query(STATEMENT)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP_PAIRS + PAIRS):
        for session, kept in zip((direct, through), times, strict=True):
            took_us = session.measure_us(request)
            if number >= WARM_UP_PAIRS:
                kept.append(took_us)
    direct_us, through_us = (percentile(kept, 0.5) for kept in times)
    return direct_us, through_us - direct_us


def _is_complete(answer: bytes) -> bool:
    """Whether the last whole message is ReadyForQuery, with nothing after it."""
    at = 0
    while at + 5 <= len(answer):
        end = at + 1 + int.from_bytes(answer[at + 1 : at + 5])
        if end == len(answer):
            return answer[at] == ord("Z")
        at = end
    return False
