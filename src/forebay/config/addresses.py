"""Host and port, written as one string, for listening and for targets.

``host:port``, ``[v6-address]:port``, ``host`` (the default port), ``:port`` or ``*:port`` (every
interface, listening only) and ``/directory:port`` for the Unix socket that libpq looks for there
(``/directory/.s.PGSQL.port``). Pure: nothing is looked up.
"""

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

POSTGRES_PORT = 5432
# sun_path holds 108 bytes with its closing zero on Linux, 104 on BSD and macOS.
MAX_UNIX_PATH_BYTES = 103

_SOCKET_NAME = re.compile(r"\.s\.PGSQL\.(\d+)")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or connect. ``host`` is "" for every interface, "/directory" for Unix.

    ``name``: the host name that ``host`` was found by, which the server's certificate is for; "" if
    ``host`` is that itself. It is no part of where the server is: addresses that differ in it alone
    are equal.
    """

    host: str
    port: int
    name: str = field(default="", compare=False)

    @property
    def is_unix(self) -> bool:
        return self.host.startswith("/")

    @property
    def unix_path(self) -> str:
        """The socket file, named as libpq and PostgreSQL name it."""
        return str(PurePosixPath(self.host) / f".s.PGSQL.{self.port}")

    @property
    def is_loopback(self) -> bool:
        """True when nobody else's machine is involved, judged by the text alone."""
        return (
            self.is_unix
            or self.host in ("localhost", "::1")
            or bool(re.fullmatch(r"127(\.\d{1,3}){3}", self.host))
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{host}:{self.port}"


def parse_address(text: str, *, default_port: int = POSTGRES_PORT, wildcard: bool) -> Address:
    """Read one address; ``wildcard`` allows every-interface forms and port 0 (for listening).

    Raises ValueError with a phrase that continues "listen = …: ".
    """
    text = text.strip()
    if text.startswith("/"):
        return _parse_unix(text, default_port)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} lacks the form [address]:port")
        port_text = rest[1:] if rest else ""
        if rest == ":":
            raise ValueError(f"{text!r} has no port after the colon")
    elif text.count(":") > 1:
        raise ValueError(f"{text!r}: an IPv6 address needs brackets, as in [::1]:5432")
    else:
        host, colon, port_text = text.partition(":")
        if colon and not port_text:
            raise ValueError(f"{text!r} has no port after the colon")
    if host == "*":
        host = ""
    if not host and not wildcard:
        raise ValueError(f"{text!r} names no host")
    if not host and not port_text:
        raise ValueError("an address is missing")
    if re.search(r"[\s@/?#]", host):
        raise ValueError(f"{text!r} is not host:port")
    port = _port(text, port_text, lowest=0 if wildcard else 1) if port_text else default_port
    return Address(host, port)


def _parse_unix(text: str, default_port: int) -> Address:
    path = PurePosixPath(text)
    if match := _SOCKET_NAME.fullmatch(path.name):
        address = Address(str(path.parent), _port(text, match[1], lowest=1))
    else:
        directory, colon, port_text = text.rpartition(":")
        if colon and port_text.isascii() and port_text.isdigit():
            address = Address(directory, _port(text, port_text, lowest=1))
        else:
            address = Address(text, default_port)
    if len(address.unix_path.encode()) > MAX_UNIX_PATH_BYTES:
        raise ValueError(f"{text!r} is too long for a Unix socket ({MAX_UNIX_PATH_BYTES} bytes)")
    return address


def _port(text: str, port_text: str, *, lowest: int) -> int:
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5):
        raise ValueError(f"{text!r} has no number as its port")
    port = int(port_text)
    if not lowest <= port <= 65535:
        raise ValueError(f"{text!r}: a port is {lowest} to 65535")
    return port
