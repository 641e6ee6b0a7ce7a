"""A network of one server's own (Linux, as root): packets to it and from it are lost by the kernel.

The network ends with the process that holds it, which ends when its standard input does: nothing is
left behind. Packets are lost because they carry an address that no device has (ip-neighbour(8));
nobody is told, new connections are not answered, and nothing is reset.
"""

import contextlib
import ctypes
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.faults import Direction
from tests.harness.waiting import eventually

CLONE_NEWNET = 0x40000000  # linux/sched.h
NOWHERE = "02:00:00:00:00:01"  # a locally administered address
NEEDED = ("ip", "unshare", "nsenter")


@dataclass(slots=True)
class Apart:
    """The network: ``host`` is the address in it, ``outside`` ours towards it."""

    pid: int  # of the process that holds it
    device: str
    host: str
    outside: str

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread starts meanwhile is in that network."""
        libc = ctypes.CDLL(None, use_errno=True)
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            _enter(libc, other)
            try:
                yield
            finally:
                _enter(libc, own)
        finally:
            os.close(own)
            os.close(other)

    def cut(self, direction: Direction | None = None) -> None:
        """Packets in this direction, or in both, are lost from now on."""
        if direction != "to_client":
            ip("neigh", "replace", self.host, "lladdr", NOWHERE, "dev", self.device)
        if direction != "to_server":
            self._inside("neigh", "replace", self.outside, "lladdr", NOWHERE, "dev", "eth0")

    def heal(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("neigh", "del", self.host, "dev", self.device)
        with contextlib.suppress(subprocess.CalledProcessError):
            self._inside("neigh", "del", self.outside, "dev", "eth0")

    def _inside(self, *words: str) -> None:
        _run("nsenter", "-t", str(self.pid), "-n", "ip", *words)


@contextlib.contextmanager
def apart() -> Iterator[Apart]:
    """Makes one; skips the test where that is not possible."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"a network of its own needs root and {', '.join(missing or NEEDED)}")
    holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE)
    assert holder.stdin is not None
    try:
        try:
            made = _connect(holder.pid)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network of its own here: {error.stderr.decode().strip()}")
        yield made
    finally:
        holder.stdin.close()
        holder.wait()


def _connect(pid: int) -> Apart:
    """Joins the network to ours, by addresses that are hardly anybody's."""
    theirs, ours = Path(f"/proc/{pid}/ns/net"), Path("/proc/self/ns/net")
    eventually(lambda: theirs.readlink() != ours.readlink(), "unshare has got so far")
    chance = random.SystemRandom()
    net = f"10.{chance.randrange(200, 250)}.{chance.randrange(256)}"
    made = Apart(pid, f"fb{chance.randrange(1 << 32):08x}", f"{net}.2", f"{net}.1")
    ip("link", "add", made.device, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    ip("addr", "add", f"{made.outside}/24", "dev", made.device)
    ip("link", "set", made.device, "up")
    made._inside("addr", "add", f"{made.host}/24", "dev", "eth0")
    made._inside("link", "set", "eth0", "up")
    made._inside("link", "set", "lo", "up")
    return made


def ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _enter(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
