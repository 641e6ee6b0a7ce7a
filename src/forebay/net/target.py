"""Where a database server is."""

from dataclasses import dataclass
from typing import Any

Address = tuple[Any, ...] | str
Place = tuple[int, Address]
"""An address family and an address in it, as socket(2) and connect(2) take them."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database server, in libpq's words; a host that begins with "/" is a socket's directory.

    `sslcert` and `sslkey` are the files of our own certificate and its private key.
    """

    host: str
    port: int = 5432
    sslmode: str = "prefer"
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None

    @property
    def is_unix(self) -> bool:
        """Whether it is reached by a Unix socket (never encrypted, as in libpq)."""
        return self.host.startswith("/")

    def __str__(self) -> str:
        if self.is_unix:
            return f"{self.host}/.s.PGSQL.{self.port}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
