"""Who listens on an address already, as far as this user may know (Linux; elsewhere nobody is)."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from forebay.config import Address

_PROC = Path("/proc")
_LISTENS = "0A"
_FOREBAY = re.compile(rb"(^|/)forebay\0|\0forebay\.worker\0|forebay\.demo\.bound_worker\0")


def forebay_that_listens(address: Address) -> int | None:
    """The pid of a Forebay, node or worker, that listens there."""
    sockets = set(_unix_inodes(address) if address.is_unix else _tcp_inodes(address))
    if not sockets:
        return None
    for place in _PROC.iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):  # gone by now, or another user's
                if _FOREBAY.search((place / "cmdline").read_bytes()) and _has(place, sockets):
                    return int(place.name)
    return None


def _has(process: Path, sockets: set[str]) -> bool:
    for descriptor in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()) in sockets:
                return True
    return False


def _tcp_inodes(address: Address) -> Iterator[str]:
    """All that listen on the port: which address of this machine they have is not told apart."""
    for table in ("tcp", "tcp6"):
        for fields in _table(table):
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == _LISTENS and port == address.port:
                yield f"socket:[{fields[9]}]"


def _unix_inodes(address: Address) -> Iterator[str]:
    for fields in _table("unix"):
        if len(fields) > 7 and fields[7] == address.unix_path:
            yield f"socket:[{fields[6]}]"


def _table(name: str) -> Iterator[list[str]]:
    try:
        lines = (_PROC / "net" / name).read_text().splitlines()
    except OSError:
        return
    yield from (line.split() for line in lines[1:])
