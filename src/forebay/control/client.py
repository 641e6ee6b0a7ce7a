"""The commands' end of the control socket: blocking calls, for a command has nothing else to do.

with ControlClient(path) as node:
    for answer in node.ask(StatusRequest(id=1)):
        ...
"""

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from forebay.channel import ChannelError, Framer, encode
from forebay.control.messages import MAX_ANSWER_BYTES, Answer, Failed, Progress, Request
from forebay.control.peer import may_be_believed, peer_of, remedy, user_name
from forebay.control.places import too_long

A = TypeVar("A", bound=msgspec.Struct)

# To get a place in the queue of a node that is busy.
CONNECT_TIMEOUT_S = 10.0
CONNECT_INTERVAL_S = 0.02
# Longer than any answer takes: a reload waits for the worker for up to a minute.
ANSWER_TIMEOUT_S = 90.0
# From the node's last word to the end of its process.
EXIT_TIMEOUT_S = 15.0


class ControlError(Exception):
    """The node can't be reached, or does not answer; the text says why, and what to do."""


class StaleError(ControlError):
    """Nobody listens there: the node has ended without removing its socket."""


class ControlClient:
    """A connection to a node. Raises ControlError where it can't be had.

    ``pid``: the node's process, 0 if it can't be seen from here.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._framer = Framer(MAX_ANSWER_BYTES)
        self._frames: list[bytes] = []
        self._decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
        self._sock = _connect(path)
        try:
            peer = peer_of(self._sock)
            if not may_be_believed(peer.uid):
                owner = user_name(peer.uid)
                raise ControlError(f"{path}: is a socket of {owner}: {remedy(peer.uid)}")
            self._process = _open_process(peer.pid)
        except BaseException:
            self._sock.close()
            raise
        self.pid = peer.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the node. Of no further use."""
        self._sock.close()
        if self._process is not None:
            os.close(self._process)
            self._process = None

    def ask(self, request: Request, timeout_s: float = ANSWER_TIMEOUT_S) -> Iterator[Answer]:
        """The answers to a request, the last one last; ``timeout_s`` for each. Raises ControlError,
        also with what a node said that could not do it."""
        self._sock.settimeout(timeout_s)
        try:
            self._sock.sendall(encode(request))
        except OSError as error:
            # It may have said why, before it closed.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise self._failure(error) from None
        while True:
            answer = self._receive(timeout_s)
            if isinstance(answer, Failed):
                raise ControlError(f"{self.path}: {answer.reason}")
            yield answer
            if not isinstance(answer, Progress) and not getattr(answer, "more", False):
                return

    def answer_to(self, request: Request, kind: type[A], timeout_s: float = ANSWER_TIMEOUT_S) -> A:
        """The one answer to a request, of its kind. Raises ControlError."""
        for answer in self.ask(request, timeout_s):
            if isinstance(answer, kind):
                return answer
        raise ControlError(f"{self.path}: the node answers something else")

    def wait_for_exit(self, timeout_s: float = EXIT_TIMEOUT_S) -> bool:
        """Whether the node's process has ended by then. Where that can't be seen, whether it has
        closed the connection."""
        if self._process is not None:
            poll = select.poll()
            poll.register(self._process, select.POLLIN)
            return bool(poll.poll(timeout_s * 1000))
        self._sock.settimeout(timeout_s)
        with contextlib.suppress(OSError):
            while self._sock.recv(4096):
                pass
            return True
        return False

    def _receive(self, timeout_s: float) -> Answer:
        while not self._frames:
            try:
                data = self._sock.recv(64 * 1024)
            except TimeoutError:
                text = f"{self.path}: the node does not answer (for {timeout_s:g} s)"
                raise ControlError(text) from None
            except OSError as error:
                raise self._failure(error) from None
            if not data:
                raise ControlError(f"{self.path}: the node has closed the connection")
            try:
                self._frames = self._framer.feed(data)[::-1]
            except ChannelError as error:
                raise ControlError(f"{self.path}: is no control socket: {error}") from None
        try:
            return self._decoder.decode(self._frames.pop())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"{self.path}: the node, perhaps of another version, says: {error}"
            raise ControlError(text) from None

    def _failure(self, error: OSError) -> ControlError:
        return ControlError(f"{self.path}: {error.strerror or error}")


def _connect(path: str) -> socket.socket:
    if problem := too_long(path):
        raise ControlError(problem)
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(path)
            return sock
        except BlockingIOError:  # its queue is full
            sock.close()
            if time.monotonic() > deadline:
                text = f"{path}: the node does not answer (for {CONNECT_TIMEOUT_S:g} s)"
                raise ControlError(text) from None
            time.sleep(CONNECT_INTERVAL_S)
        except OSError as error:
            sock.close()
            raise _reason(path, error) from None


def _reason(path: str, error: OSError) -> ControlError:
    match error.errno:
        case errno.ENOENT:
            return ControlError(f"{path}: no Forebay runs there: there is no such socket")
        case errno.ECONNREFUSED:
            text = "no Forebay runs there: nobody listens; its node has ended without removing it"
            return StaleError(f"{path}: {text}")
        case errno.EACCES | errno.EPERM:
            return ControlError(f"{path}: permission denied: {_way_out(path)}")
    return ControlError(f"{path}: {error.strerror or error}")


def _way_out(path: str) -> str:
    try:
        return remedy(Path(path).lstat().st_uid)
    except OSError:
        return "run this as the node's user or as root"


def _open_process(pid: int) -> int | None:
    """A descriptor by which the process's end is seen; None if there is no such thing here."""
    try:
        return os.pidfd_open(pid) if pid > 0 else None
    except OSError:
        return None
