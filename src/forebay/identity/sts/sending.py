"""Requests to STS and what comes back: HTTP, in threads of its own.

No redirect is followed, no proxy of the environment's is asked, and each answer is bounded in bytes
and time: whoever answers may be anybody.
"""

import asyncio
import contextlib
import functools
import http.client
import logging
import socket
import ssl
import threading
import traceback
from typing import Final

from forebay.identity.sts.answers import MAX_ANSWER_BYTES, read_answer
from forebay.identity.sts.endpoints import Endpoint
from forebay.identity.sts.requests import PROXY_HEADER, StsRequest
from forebay.identity.threads import Threads
from forebay.identity.tokens import Reason, Refusal

MAX_THREADS: Final = 16
"""Requests at a time: with 30 ms for each, 500 logins a second; STS allows 600 an account."""
MAX_WAITING: Final = 2_000
"""As many as a worker lets log in at a time."""
TIMEOUT_S: Final = 10.0
"""From the login's question to its answer, waiting for a thread included."""

_log = logging.getLogger(__name__)


class _Connection(http.client.HTTPConnection):
    """Keeps its descriptor until `end`. http.client closes as soon as an answer is read; by the
    time that it is shut down from another thread, the number could be another's."""

    auto_open = 0  # once it is closed, nothing more is sent: it would be in clear

    def __init__(self, address: tuple[str, int], sock: socket.socket, timeout_s: float) -> None:
        super().__init__(*address, timeout=timeout_s)
        self.sock = sock
        self._holding = sock.makefile("rb", buffering=0)

    def end(self) -> None:
        """Closes it."""
        self.close()
        self._holding.close()


class _Exchange:
    """One request under way, which the event loop can give up while a thread waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._given_up = False

    def go_on(self) -> None:
        """Raises TimeoutError if it was given up."""
        if self._given_up:
            raise TimeoutError

    def wait_for(self, sock: socket.socket | None) -> None:
        """What the thread waits for now; None for nothing. As `go_on`, if it is something."""
        with self._lock:
            self._sock = sock
            if sock is not None:
                self.go_on()

    def give_up(self) -> None:
        """Lets the thread go on, with an error."""
        with self._lock:
            self._given_up = True
            if self._sock is not None:
                # The plain socket's: a TLS object must not be changed while a thread reads from it.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class Sender:
    """Sends requests to STS with the header that names this proxy."""

    def __init__(
        self,
        proxy_id: str,
        *,
        tls_context: ssl.SSLContext | None = None,
        threads: int = MAX_THREADS,
        waiting: int = MAX_WAITING,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """``tls_context``: None for one that trusts what this machine trusts."""
        self._proxy_id = proxy_id
        self._tls_context = tls_context or ssl.create_default_context()
        self._timeout_s = timeout_s
        self._of_thread = threading.local()
        self._under_way: set[_Exchange] = set()
        self._threads = Threads("sts", most=threads, waiting=waiting, idle=self._close_connections)

    def send(self, request: StsRequest) -> "asyncio.Future[str | Refusal]":
        """The ARN that STS tells, or why there is none; within the timeout. Raises BusyError if too
        many wait already. The future raises nothing."""
        loop = asyncio.get_running_loop()
        exchange = _Exchange()
        done = self._threads.call(functools.partial(self._exchange, exchange, request))
        answer: asyncio.Future[str | Refusal] = loop.create_future()

        def time_out() -> None:
            exchange.give_up()
            tell(self._timed_out())

        def tell(found: str | Refusal) -> None:
            if not answer.done():
                answer.set_result(found)

        def finish(done: "asyncio.Future[str | Refusal]") -> None:
            timer.cancel()
            self._under_way.discard(exchange)
            mistake = done.exception()
            if mistake is None:
                tell(done.result())
            else:
                # Where it was, without its message: that may show what was sent.
                where = "".join(traceback.format_tb(mistake.__traceback__))
                _log.error("A request to STS failed: %s\n%s", type(mistake).__name__, where)
                tell(Refusal(Reason.STS_FAILED, "STS could not be asked"))

        timer = loop.call_later(self._timeout_s, time_out)
        self._under_way.add(exchange)
        done.add_done_callback(finish)
        return answer

    def close(self) -> None:
        """Gives up what is under way. `send` is not to be called after it."""
        for exchange in self._under_way:
            exchange.give_up()
        self._threads.close()

    # ---- In a thread -----------------------------------------------------------------------------

    def _exchange(self, exchange: _Exchange, request: StsRequest) -> str | Refusal:
        endpoint = request.endpoint
        connections = self._connections()
        try:
            kept = connections.pop(endpoint, None)
            if kept is not None:
                try:
                    return self._ask(kept, exchange, request)
                except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                    pass  # it was idle for too long for the other side: a GET may be asked again
            return self._ask(self._connect(exchange, endpoint), exchange, request)
        except http.client.HTTPException:
            sentence = f"{endpoint.host_header} answered with something that is not HTTP, or cut"
            return Refusal(Reason.STS_FAILED, sentence)
        except TimeoutError:
            return self._timed_out()
        except OSError as error:
            sentence = f"STS at {endpoint.host_header} can't be asked: {_reason(error)}"
            return Refusal(Reason.STS_FAILED, sentence)

    def _timed_out(self) -> Refusal:
        return Refusal(Reason.STS_FAILED, f"STS has not answered within {self._timeout_s:g} s")

    def _connect(self, exchange: _Exchange, endpoint: Endpoint) -> _Connection:
        exchange.go_on()
        address = endpoint.address, endpoint.port
        sock = socket.create_connection(address, self._timeout_s)
        try:
            # Requests and answers are small and wait for each other.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.encrypted:
                tls = self._tls_context.wrap_socket(
                    sock, server_hostname=endpoint.address, do_handshake_on_connect=False
                )
                sock = tls
                exchange.wait_for(sock)
                tls.do_handshake()
        except BaseException:
            exchange.wait_for(None)
            sock.close()
            raise
        return _Connection(address, sock, self._timeout_s)

    def _ask(
        self,
        connection: _Connection,
        exchange: _Exchange,
        request: StsRequest,
    ) -> str | Refusal:
        """Asks, and keeps the connection if it can be used again. Raises OSError, HTTPException."""
        is_kept = False
        try:
            exchange.wait_for(connection.sock)
            connection.putrequest("GET", request.target, skip_host=True)
            connection.putheader("Host", request.endpoint.host_header)
            connection.putheader(PROXY_HEADER, self._proxy_id)
            connection.putheader("Accept", "text/xml")
            connection.putheader("User-Agent", "forebay")
            connection.endheaders()
            with connection.getresponse() as response:
                body = response.read(MAX_ANSWER_BYTES + 1)
                is_kept = response.isclosed() and not response.will_close
            return read_answer(response.status, body, self._proxy_id)
        finally:
            exchange.wait_for(None)
            if is_kept:
                self._connections()[request.endpoint] = connection
            else:
                connection.end()

    def _connections(self) -> dict[Endpoint, _Connection]:
        """The thread's own, which are open and idle."""
        connections: dict[Endpoint, _Connection]
        connections = self._of_thread.__dict__.setdefault("connections", {})
        return connections

    def _close_connections(self) -> None:
        connections = self._connections()
        while connections:
            connections.popitem()[1].end()


def _reason(error: OSError) -> str:
    """Why, in words that show nothing of a request."""
    for name in ("verify_message", "reason", "strerror"):
        if isinstance(said := getattr(error, name, None), str) and said:
            return said
    return type(error).__name__
