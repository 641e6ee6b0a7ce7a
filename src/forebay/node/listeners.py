"""Listening sockets. The node opens and keeps them, and passes them to workers.

Since the node never closes them while it runs, clients that come between two workers wait in the
kernel's backlog instead of being refused.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forebay.config.addresses import Address

# The kernel cuts it down to net.core.somaxconn (4096 by default on Linux).
BACKLOG = 65_535
_ABSENT_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class ListenError(Exception):
    """An address can't be listened on; the text says which and why."""

    def __init__(self, address: Address, text: str, *, in_use: bool = False) -> None:
        super().__init__(f"can't listen on {address}: {text}")
        self.address = address
        self.in_use = in_use


@dataclass(slots=True)
class Listener:
    """The sockets of one configured address; ``address`` has the real port. ``numbers``: by which
    the worker knows the sockets."""

    address: Address
    sockets: list[socket.socket]
    unix_path: str | None = None
    numbers: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Close the sockets and remove a Unix socket's file."""
        for each in self.sockets:
            each.close()
        if self.unix_path is not None:
            with contextlib.suppress(OSError):
                Path(self.unix_path).unlink()
            self.unix_path = None


def open_listeners(addresses: Sequence[Address]) -> list[Listener]:
    """Listen on all of them, or on none: raises ListenError."""
    opened: list[Listener] = []
    try:
        for address in addresses:
            opened.append(_open_unix(address) if address.is_unix else _open_tcp(address))  # noqa: PERF401
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return opened


def try_addresses(addresses: Sequence[Address]) -> list[ListenError]:
    """What would keep them from being listened on. Nobody can connect meanwhile, and no file is
    made or removed."""
    problems: list[ListenError] = []
    for address in addresses:
        try:
            if address.is_unix:
                _try_unix(address)
            else:
                _open_tcp(address, backlog=None).close()
        except ListenError as error:
            problems.append(error)
    return problems


def _open_tcp(address: Address, backlog: int | None = BACKLOG) -> Listener:
    """A name may stand for several addresses (localhost: 127.0.0.1 and ::1): take them all.

    Without a backlog they are bound, and not listened on.
    """
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:  # gaierror
        raise ListenError(address, error.strerror or str(error)) from None
    except UnicodeError:  # what has no form in the DNS
        raise ListenError(address, "not a host name") from None
    places = dict.fromkeys((family, sockaddr) for family, _, _, _, sockaddr in found)
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    port = address.port
    try:
        for family, sockaddr in places:
            try:
                sock = _bind_tcp(family, (sockaddr[0], port, *sockaddr[2:]), backlog)
            except OSError as error:
                if error.errno not in _ABSENT_FAMILY:
                    raise
                absent = error  # IPv6 switched off, say: the other address will do
                continue
            sockets.append(sock)
            port = sock.getsockname()[1]
        if not sockets and absent:
            raise absent
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _failure(address, error) from None
    return Listener(Address(address.host, port), sockets)


def _bind_tcp(family: int, sockaddr: tuple[object, ...], backlog: int | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr)
        if backlog is not None:
            sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_unix(address: Address) -> Listener:
    path = address.unix_path
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.bind(path)
        # As PostgreSQL's default: whoever reaches the directory may connect, and must log in.
        Path(path).chmod(0o777)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _failure(address, error) from None
    return Listener(address, [sock], path)


def _try_unix(address: Address) -> None:
    """Raises ListenError where `_open_unix` would."""
    path = Path(address.unix_path)
    try:
        if not path.parent.is_dir():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if os.path.lexists(path) and not _is_stale(str(path)):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    except OSError as error:
        raise _failure(address, error) from None


def _remove_stale(path: str) -> None:
    """Remove a socket that a dead process left. One that answers, or another file, stays."""
    if _is_stale(path):
        Path(path).unlink()


def _is_stale(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _failure(address: Address, error: OSError) -> ListenError:
    text = error.strerror or str(error)
    in_use = error.errno == errno.EADDRINUSE
    if in_use:
        text += " (another program, or a Forebay worker that outlived its node, has it)"
    return ListenError(address, text, in_use=in_use)
