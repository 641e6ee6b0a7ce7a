"""systemd's readiness protocol, sd_notify(3): a datagram to what NOTIFY_SOCKET names."""

import socket
import time
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str]) -> bool:
    """Tell the service manager, e.g. ``READY=1``. False when there is none; never raises."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    if path.startswith("@"):
        path = "\0" + path[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(path)
            sock.sendall(state.encode())
    except OSError:
        return False
    return True


def reloading() -> str:
    """The state for "a reload has begun", which wants the monotonic clock in µs."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
