"""Small facts about the machine: a free port, a clean environment."""

from __future__ import annotations

import os
import random
import socket

from forebay.embedded.errors import SetupError

HOST = "127.0.0.1"
# Below the ports that Linux and others give to outgoing connections: none of those can take it
# between a stop and the next start.
PORTS = range(15000, 32000)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    choice = random.SystemRandom()  # tests seed the common generator alike in every process
    for _ in range(200):
        port = choice.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise SetupError(f"no free port between {PORTS.start} and {PORTS.stop} on {HOST}")


def clean_environment() -> dict[str, str]:
    """The environment without what would steer libpq or the server from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
