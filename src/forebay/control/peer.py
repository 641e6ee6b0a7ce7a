"""Who is at the other end of a Unix socket, as the kernel tells it (SO_PEERCRED, unix(7))."""

import os
import pwd
import socket
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")
ROOT = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that has connected; of a listening end, the one that has called listen().

    ``pid`` is 0 if it is in another PID namespace.
    """

    pid: int
    uid: int


def peer_of(sock: socket.socket) -> Peer:
    """The process at the other end of a connected Unix socket. Raises OSError."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return Peer(pid, uid)


def may_command(uid: int) -> bool:
    """Whether a user may command this process: its own user, and root."""
    return uid in (ROOT, os.geteuid())


def may_be_believed(uid: int) -> bool:
    """Whether this process may do what a node of that user says: its own user's, and root's; root
    itself commands the nodes of all."""
    return os.geteuid() == ROOT or may_command(uid)


def remedy(uid: int) -> str:
    """What somebody should do who may not reach that user's node."""
    return "run this as root" if uid == ROOT else f"run this as {user_name(uid)} or as root"


def user_name(uid: int) -> str:
    """A user in words: ``postgres``, or ``uid 4711`` where no name is known."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
