"""The listening end of the control socket: made so that nobody else can ever connect to it.

It is made under a umask that leaves it to its owner alone, so there is no moment in which others
could connect. What a dead node has left is replaced; one that answers is another node's.
"""

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from forebay.control.peer import Peer, peer_of
from forebay.control.places import Place, places, prepare, sockets_in, too_long

# Commands that come at once wait in the kernel meanwhile.
BACKLOG = 64
# A socket that has been bound a moment ago does not listen yet, as if its node were dead.
SECOND_LOOK_S = 0.1
# Others may replace the same socket at the same time: how often to begin anew.
ATTEMPTS = 5
# Names for nodes that share a directory but not their process ids (containers).
MAX_NAMESAKES = 9
_ONLY_FOR_ITS_OWNER = 0o177


class ControlSocketError(Exception):
    """The socket can't be had; the text says which, why, and what to do."""


class ControlSocket:
    """A control socket that listens; it is not inherited by other programs."""

    def __init__(self, path: str, sock: socket.socket) -> None:
        self.path = path
        self.sock = sock
        seen = os.lstat(path)
        self._file = seen.st_dev, seen.st_ino

    def remove(self) -> None:
        """Remove the file unless it is another's by now: nobody can connect any more."""
        with contextlib.suppress(OSError):
            seen = os.lstat(self.path)
            if (seen.st_dev, seen.st_ino) == self._file:
                Path(self.path).unlink()

    def close(self) -> None:
        """Remove the file, and stop listening."""
        self.remove()
        self.sock.close()


def open_control_socket(configured: str | None, environ: Mapping[str, str]) -> ControlSocket | None:
    """Listen on ``node.control_socket``: a path; "" for nothing at all, which returns None; None
    for a name of this process's own in the first directory that will do.

    Raises ControlSocketError. To be called before there are threads that make files.
    """
    if configured is not None:
        return _open(configured) if configured else None
    failures = []
    for place in places(environ):
        try:
            return _open_in(place)
        except ControlSocketError as error:
            failures.append(str(error))
    raise ControlSocketError("; ".join(failures))


def obstacle(path: str) -> str | None:
    """What would keep a node from having its socket there, or None; a running node is no obstacle
    here, for it may be the one that the configuration is for."""
    directory = Path(path).parent
    if problem := too_long(path):
        return problem
    if not directory.is_dir():
        return f"{path}: there is no directory {directory}"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"{path}: this user can't make files in {directory}"
    if os.path.lexists(path) and not _is_socket(path):
        return f"{path}: is another file, not a socket"
    return None


def _open_in(place: Place) -> ControlSocket:
    if problem := prepare(place):
        raise ControlSocketError(f"{place.path}: {problem}")
    _sweep(list(sockets_in(place.path)))
    name = f"node-{os.getpid()}"
    for number in range(1, MAX_NAMESAKES + 1):
        path = place.path / (f"{name}-{number}.sock" if number > 1 else f"{name}.sock")
        if not path.exists():  # what was left has been swept: this is a namesake's
            return _open(str(path))
    raise ControlSocketError(f"{place.path}: {MAX_NAMESAKES} other nodes named {name} are there")


def _sweep(paths: Sequence[Path]) -> None:
    """Remove what dead nodes of this user have left."""
    for path, file in _dead([str(each) for each in paths]).items():
        with contextlib.suppress(OSError):
            if os.lstat(path).st_uid == os.geteuid():
                _remove(path, file)


def _open(path: str) -> ControlSocket:
    if problem := too_long(path):
        raise ControlSocketError(f"{problem}: set node.control_socket to a shorter one")
    try:
        for _ in range(ATTEMPTS):
            try:
                return _listen(path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                _clear(path)
    except OSError as error:
        raise ControlSocketError(f"{path}: {error.strerror}") from None
    raise ControlSocketError(f"{path}: others take it again and again")


def _listen(path: str) -> ControlSocket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(_ONLY_FOR_ITS_OWNER)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
        sock.setblocking(False)
        return ControlSocket(path, sock)
    except BaseException:
        sock.close()
        raise


def _clear(path: str) -> None:
    """Remove a dead node's socket. Raises ControlSocketError for what is not one."""
    if os.path.lexists(path) and not _is_socket(path):
        raise ControlSocketError(f"{path}: is another file, not a socket: move it away")
    dead = _dead([path])
    if path in dead:
        _remove(path, dead[path])
        return
    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
        peer = _listener_of(path)
        who = f"process {peer.pid}" if peer is not None and peer.pid else "another process"
        raise ControlSocketError(
            f"{path}: {who} listens there. If that is a Forebay, forebay stop --socket {path} ends"
            " it; else set node.control_socket to another path"
        )


def _dead(paths: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Those of the sockets at which nobody listens, each with the file that was looked at."""
    dead: dict[str, tuple[int, int]] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            seen = os.lstat(path)
            if stat.S_ISSOCK(seen.st_mode) and _is_refused(path):
                dead[path] = seen.st_dev, seen.st_ino
    if dead:
        time.sleep(SECOND_LOOK_S)
    return {path: file for path, file in dead.items() if _is_refused(path)}


def _is_refused(path: str) -> bool:
    try:
        _listener_of(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _listener_of(path: str) -> Peer | None:
    """Who listens there; None if that can't be told. Raises OSError when it can't be reached."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:  # its backlog is full: somebody is there
            return None
        return peer_of(probe)


def _remove(path: str, file: tuple[int, int]) -> None:
    """Remove a file if it is still the one that was looked at: another node may have put its own
    there since, which then gets its name back."""
    aside = Path(f"{path}.{os.getpid()}")
    try:
        Path(path).rename(aside)
    except FileNotFoundError:
        return
    seen = os.lstat(aside)
    if (seen.st_dev, seen.st_ino) == file:
        aside.unlink()
    else:
        aside.rename(path)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False
