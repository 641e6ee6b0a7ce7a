"""Which processes there are, and which descriptors they hold that nobody needs (Linux only)."""

import os
from pathlib import Path

TCP_ESTABLISHED, TCP_LISTEN = "01", "0A"


def available() -> bool:
    return Path("/proc/self/fd").is_dir()


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in parentheses may hold anything; the parent's pid follows the state.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += children.get(current, [])
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that has only not been collected does not count."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def descriptors(pid: int) -> dict[int, str]:
    """Each open descriptor and what it points to, such as ``socket:[4711]``."""
    answer = {}
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                try:
                    answer[int(entry.name)] = str(Path(entry.path).readlink())
                except OSError:
                    continue
    except OSError:
        pass  # it has ended
    return answer


def others_count(pid: int) -> int:
    """How many descriptors are no sockets: files, pipes, epoll sets."""
    return sum(not target.startswith("socket:") for target in descriptors(pid).values())


def dead_sockets(pid: int) -> list[str]:
    """Sockets that the process keeps though their connection has ended."""
    alive = set()
    for table in ("tcp", "tcp6"):
        for fields in _table(pid, table):
            if fields[3] in (TCP_ESTABLISHED, TCP_LISTEN):
                alive.add(fields[9])
    alive |= {fields[6] for fields in _table(pid, "unix")}
    return [
        target
        for target in descriptors(pid).values()
        if target.startswith("socket:") and target[8:-1] not in alive
    ]


def listening(pid: int) -> set[int]:
    """The TCP ports on which the process listens."""
    held = set(descriptors(pid).values())
    return {
        int(fields[1].rpartition(":")[2], 16)
        for table in ("tcp", "tcp6")
        for fields in _table(pid, table)
        if fields[3] == TCP_LISTEN and f"socket:[{fields[9]}]" in held
    }


def _table(pid: int, name: str) -> list[list[str]]:
    try:
        lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
    except OSError:
        return []
    return [line.split() for line in lines[1:]]
