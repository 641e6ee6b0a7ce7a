"""Where lines of metrics go: standard output, a file, or the CloudWatch agent's port (TCP or UDP,
25888 by default). Writing blocks: it is for a thread.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final

from forebay.config.addresses import Address, parse_address
from forebay.metrics.lane import DeliveryError

CONNECT_TIMEOUT_S: Final = 3.0
SEND_TIMEOUT_S: Final = 5.0
STDOUT: Final = 1

Deliver = Callable[[list[bytes]], None]


def place_of(emf: str) -> tuple[str, Deliver]:
    """What the log calls a place (``node.cloudwatch.emf``), and how whole lines get there."""
    kind, _, rest = emf.partition(":")
    if emf == "stdout":
        return "stdout", Output(STDOUT).deliver
    if kind == "file":
        return f"the file {rest}", File(rest).deliver
    address = parse_address(rest.removeprefix("//"), wildcard=False)
    return emf, Agent(address, udp=kind == "udp").deliver


class Output:
    """A descriptor that is open for good."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines = _Lines()

    def deliver(self, lines: list[bytes]) -> None:
        """Write them. Raises DeliveryError."""
        self._lines.write(self._descriptor, lines)


class File:
    """A file, opened for each minute: who rotates logs may take it away."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines = _Lines()

    def deliver(self, lines: list[bytes]) -> None:
        """Append them. Raises DeliveryError."""
        # Not to wait for a reader, should it be a FIFO.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(self._path, flags, 0o640)
        except OSError as error:
            raise DeliveryError(reason(error)) from None
        try:
            self._lines.write(descriptor, lines)
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)


class _Lines:
    """Writes whole lines: one that did not get out whole is ended before the next one."""

    def __init__(self) -> None:
        self._is_torn = False

    def write(self, descriptor: int, lines: list[bytes]) -> None:
        left = whole = (b"\n" if self._is_torn else b"") + b"".join(lines)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError as error:
            written = whole[: len(whole) - len(left)]
            if written:
                self._is_torn = not written.endswith(b"\n")
            # Another attempt would write again what is out already.
            raise DeliveryError(reason(error), transient=not written) from None
        self._is_torn = False


class Agent:
    """A port. A connection for each minute: an agent that has restarted would be noticed by the
    second write to an old one only, and the first would be lost."""

    def __init__(self, address: Address, *, udp: bool) -> None:
        self._address = (address.host, address.port)
        self._udp = udp

    def deliver(self, lines: list[bytes]) -> None:
        """Send them; by UDP, a datagram each. Raises DeliveryError."""
        try:
            if self._udp:
                self._send_datagrams(lines)
                return
            with socket.create_connection(self._address, CONNECT_TIMEOUT_S) as connection:
                connection.settimeout(SEND_TIMEOUT_S)
                connection.sendall(b"".join(lines))
        except OSError as error:
            raise DeliveryError(reason(error)) from None

    def _send_datagrams(self, lines: list[bytes]) -> None:
        host, port = self._address
        family, kind, number, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, number) as sender:
            sender.settimeout(SEND_TIMEOUT_S)
            for line in lines:
                sender.sendto(line, where)


def reason(error: OSError) -> str:
    """Why it failed, as the system says it."""
    return error.strerror or type(error).__name__
