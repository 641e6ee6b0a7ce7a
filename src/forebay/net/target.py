"""Where a database server is."""

from dataclasses import dataclass
from typing import Any

Address = tuple[Any, ...] | str
Place = tuple[int, Address]
"""An address family and an address in it, as socket(2) and connect(2) take them."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database server, in libpq's words; a host that begins with "/" is a socket's directory.

    `hostaddr` is an address of the host's: it is connected to, and nothing is looked up; the
    certificate must still be the host's. `sslcert` and `sslkey` are the files of our own
    certificate and its private key.
    """

    host: str
    port: int = 5432
    sslmode: str = "prefer"
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    hostaddr: str | None = None

    @property
    def is_unix(self) -> bool:
        """Whether it is reached by a Unix socket (never encrypted, as in libpq)."""
        return self.host.startswith("/")

    def __str__(self) -> str:
        if self.is_unix:
            return f"{self.host}/.s.PGSQL.{self.port}"
        host = self.hostaddr or self.host
        text = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        return f"{text} ({self.host})" if self.hostaddr else text
