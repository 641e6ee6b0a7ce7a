"""Accepts connections and lets them log in, so many at a time as the process can hold."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping

from forebay.net.tasks import log_failure

logger = logging.getLogger("forebay.login")

# Taken from a listener at once, before others have their turn.
ACCEPTS_AT_ONCE = 32
# Connections that have not logged in yet. More wait in the kernel's queue.
LOGINS_LIMIT = 2000
# Without descriptors or memory, accepting pauses; it would fail again at once.
PAUSE_S = 0.2
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Doorman:
    """Accepts on some listening sockets; `log_in` takes each connection through its login.

    It is given the socket and the peer's address as accept(2) tells it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log_in: Callable[[socket.socket, object], Coroutine[None, None, None]],
        logins_limit: int = LOGINS_LIMIT,
    ) -> None:
        self._loop = loop
        self._log_in = log_in
        self._logins_limit = logins_limit
        self._listeners: dict[int, socket.socket] = {}
        self._logins: set[asyncio.Task[None]] = set()
        self._paused = False
        self._closed = False

    @property
    def logins(self) -> int:
        """Logins under way."""
        return len(self._logins)

    def listen(self, wanted: Iterable[int], passed: Mapping[int, socket.socket]) -> None:
        """Accept on these listening sockets from now on, by the node's numbers for them, and on no
        others; those that are new are among `passed`. Once closed, on none."""
        wanted = set() if self._closed else set(wanted)
        for number in self._listeners.keys() - wanted:
            self._loop.remove_reader(self._listeners[number])
            self._listeners.pop(number).close()
        for number in sorted(wanted - self._listeners.keys()):
            listener = self._listeners[number] = passed[number]
            listener.setblocking(False)
            if listener.family != socket.AF_UNIX:
                # What is accepted inherits them, without a system call for each.
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if not self._paused:
                self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Accept nobody any more, and end the logins under way."""
        self._closed = True
        self.listen((), {})
        for login in self._logins:
            login.cancel()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            if len(self._logins) >= self._logins_limit:
                self._pause()
                return
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                logger.warning("Connections cannot be accepted for now: %s", error)
                self._pause()
                self._loop.call_later(PAUSE_S, self._resume)
                return
            login = self._loop.create_task(self._log_in(sock, address), name="login")
            self._logins.add(login)
            login.add_done_callback(self._ended)

    def _ended(self, login: asyncio.Task[None]) -> None:
        self._logins.discard(login)
        log_failure(login)
        if self._paused and len(self._logins) < self._logins_limit:
            self._resume()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            for listener in self._listeners.values():
                self._loop.remove_reader(listener)

    def _resume(self) -> None:
        if self._paused and not self._closed:
            self._paused = False
            for listener in self._listeners.values():
                self._loop.add_reader(listener, self._accept, listener)
