"""Ends a database and removes its directory when the process that started it is gone.

Started by `postgres` as a file of its own, ``guardian.py DIRECTORY``, with a pipe as its standard
input whose other end only the parent holds. When that end closes, however the parent died, the
postmaster whose data lies under the directory is stopped and the directory removed. (The kernel's
"signal me when my parent dies" is no substitute: it follows threads, not processes, and removes
nothing.) Standard library only: it must start in no time.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

STOP_TIMEOUT_S = 5.0
REMOVE_ATTEMPTS = 50
POLL_INTERVAL_S = 0.1


def postmaster(data: Path) -> int | None:
    """The pid of the postmaster that runs on this data directory, or None."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    try:
        # The file outlives a killed postmaster, and its pid may be someone else's by now.
        if Path(f"/proc/{pid}/cwd").resolve() == data.resolve():
            return pid
    except OSError:
        return None
    return None if Path("/proc/self").exists() else pid


def children(parent: int) -> list[int]:
    """The pids of a process's children, in no order; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The second field, a name in brackets, may hold anything; the parent is the fourth.
            fields = entry.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == parent:
            found.append(int(entry.parent.name))
    return found


def thaw(parent: int) -> None:
    """Has a process and its children go on that may have been stopped (SIGSTOP)."""
    for pid in (*children(parent), parent):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue


def stop(data: Path) -> None:
    """Ends the postmaster on this data directory: at once but in order, and if need be by force."""
    if (pid := postmaster(data)) is not None:
        thaw(pid)
    for number in (signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while (pid := postmaster(data)) is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_INTERVAL_S)


def remove(directory: Path) -> None:
    """Removes the directory; again while dying processes still write into it."""
    for _ in range(REMOVE_ATTEMPTS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        stop(directory / "data")
        time.sleep(POLL_INTERVAL_S)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the parent's end ends it
    directory = Path(sys.argv[1])
    sys.stdin.buffer.read()
    if directory.exists():
        stop(directory / "data")
        remove(directory)


if __name__ == "__main__":
    main()
