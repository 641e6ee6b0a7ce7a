"""Who listens on an address already, as far as this user may know (Linux; elsewhere nobody is)."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forebay.config import Address

_PROC = Path("/proc")
_LISTENS = "0A"
_NODE = re.compile(rb"(^|/)forebay\0")
_WORKER = re.compile(rb"\0forebay\.(worker|demo\.bound_worker)\0")


@dataclass(frozen=True, slots=True)
class Occupant:
    """A Forebay that has an address. ``is_orphan``: a worker that serves on without a node."""

    pid: int
    is_orphan: bool


def forebay_that_listens(address: Address) -> Occupant | None:
    """The Forebay that listens there, by its node or its worker."""
    sockets = set(_unix_inodes(address) if address.is_unix else _tcp_inodes(address))
    if not sockets:
        return None
    for place in _PROC.iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):  # gone by now, or another user's
                words = (place / "cmdline").read_bytes()
                if _WORKER.search(words) and _has(place, sockets):
                    # A node has the sockets that it gives to its worker.
                    return Occupant(int(place.name), not _has(_parent(place), sockets))
                if _NODE.search(words) and _has(place, sockets):
                    return Occupant(int(place.name), is_orphan=False)
    return None


def _parent(process: Path) -> Path:
    # The name in parentheses may hold anything; the parent's pid follows the state.
    return _PROC / (process / "stat").read_text().rpartition(")")[2].split()[1]


def _has(process: Path, sockets: set[str]) -> bool:
    with contextlib.suppress(OSError):  # as above
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
