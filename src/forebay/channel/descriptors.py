"""Open descriptors from one process to another, over a socket of their own (SCM_RIGHTS, unix(7)).

They are sent before the message that speaks of them, so whoever has the message finds them there.
"""

import array
import socket
from collections.abc import Sequence

# The kernel takes 253 in one message (SCM_MAX_FD).
MAX_AT_ONCE = 253
# Both ends are on one machine, and whoever takes them is told only when they are there.
TIMEOUT_S = 10.0


def pass_descriptors(sock: socket.socket, descriptors: Sequence[int]) -> None:
    """Send them; the sender's own stay open. Raises OSError."""
    for start in range(0, len(descriptors), MAX_AT_ONCE):
        socket.send_fds(sock, [b"\0"], descriptors[start : start + MAX_AT_ONCE])


def take_descriptors(sock: socket.socket, number: int) -> list[int]:
    """Receive so many. Raises OSError if they do not come; those that came are closed then."""
    taken: list[int] = []
    try:
        while len(taken) < number:
            wanted = min(MAX_AT_ONCE, number - len(taken))
            room = socket.CMSG_SPACE(wanted * array.array("i").itemsize)
            data, ancillary, flags, _ = sock.recvmsg(1, room)
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    found = array.array("i")
                    found.frombytes(content[: len(content) - len(content) % found.itemsize])
                    taken += found
            if not data or flags & socket.MSG_CTRUNC or not ancillary:
                raise OSError(f"{len(taken)} of {number} descriptors came")
    except BaseException:
        for each in taken:
            socket.close(each)
        raise
    return taken
