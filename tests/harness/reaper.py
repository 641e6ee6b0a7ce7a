"""Ends what a test run has left behind when the process that began it is gone, however it ended.

Started by ``tests/conftest.py`` as a file of its own, ``reaper.py MARK``, with a pipe as its
standard input whose other end only that process holds. Whatever a run starts, in sessions of its
own too and through however many hands (workers of xdist, nodes, their workers, clients), inherits
its mark in the environment, and is found by it: a process that was killed tells its children
nothing, and most of them are made to outlive it. Standard library only.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "TEST_RUN_OF_FOREBAY"  # neither FOREBAY_…, which would be a setting, nor PG…
PROC = Path("/proc")
POLL_INTERVAL_S = 0.1
END_TIMEOUT_S = 10.0
CLEANING_TIMEOUT_S = 20.0
# They end by themselves, soon after what they watch over; a database that is killed leaves files.
CLEANERS = (b"guardian.py", b"reaper.py")
DATABASES = ("postgres", "initdb")


def marked(mark: str) -> Iterator[int]:
    """The running processes with this mark, but for the caller."""
    entry = f"{VARIABLE}={mark}".encode()
    for place in PROC.iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # gone by now, or another user's
            if entry in (place / "environ").read_bytes().split(b"\0"):
                yield int(place.name)


def ends_by_itself(pid: int) -> bool:
    """Whether it is a database, or what cleans up after one."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        name = (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return True
    return name in DATABASES or any(word.endswith(CLEANERS) for word in words)


def kill(mark: str) -> None:
    """Kills all but what ends by itself, then waits for that."""
    deadline_s = time.monotonic() + END_TIMEOUT_S
    while time.monotonic() < deadline_s:
        left = [pid for pid in marked(mark) if not ends_by_itself(pid)]
        if not left:
            break
        _kill(left)
        time.sleep(POLL_INTERVAL_S)
    deadline_s = time.monotonic() + CLEANING_TIMEOUT_S
    while (left := list(marked(mark))) and time.monotonic() < deadline_s:
        time.sleep(POLL_INTERVAL_S)
    _kill(left)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the run's end ends it
    sys.stdin.buffer.read()
    kill(sys.argv[1])


if __name__ == "__main__":
    main()
