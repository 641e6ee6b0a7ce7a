"""What the kernel knows about a process: CPU time, memory, children (Linux)."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
# clock_getcpuclockid(3): a process's CPU clock is made from its id. It counts nanoseconds of all
# its threads, ended ones too; /proc/PID/schedstat leaves out all but the first thread.
CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of ``/proc/PID/stat`` that are used here; times in clock ticks."""

    parent: int
    user_ticks: int
    system_ticks: int


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time of a process tree so far, and how many ticks of it were in user code."""

    cpu_ns: int
    user_ticks: int
    system_ticks: int

    @property
    def user_share(self) -> float:
        """Give the part of it in user code, between 0 and 1 (0 when it is too short to say)."""
        ticks = self.user_ticks + self.system_ticks
        return self.user_ticks / ticks if ticks > 0 else 0.0

    def since(self, earlier: "Usage") -> "Usage":
        """Give what was used after ``earlier``."""
        return Usage(
            self.cpu_ns - earlier.cpu_ns,
            self.user_ticks - earlier.user_ticks,
            self.system_ticks - earlier.system_ticks,
        )


def parse_stat(text: str) -> Stat:
    """Read ``/proc/PID/stat``; the command's name may hold blanks and brackets itself."""
    fields = text[text.rindex(")") + 1 :].split()
    return Stat(parent=int(fields[1]), user_ticks=int(fields[11]), system_ticks=int(fields[12]))


def parse_memory(text: str, key: str) -> int:
    """Read one ``key:  N kB`` line of ``/proc/PID/status``, in bytes.

    Raises KeyError when there is no such line.
    """
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    raise KeyError(key)


def parse_model(cpuinfo: str) -> str:
    """Give the processor's name from ``/proc/cpuinfo``, or a word where there is none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def descendants(parents: dict[int, int], root: int) -> list[int]:
    """Give ``root`` and all below it, from a table of process id → parent's id."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(child for child, parent in parents.items() if parent == pid)
    return sorted(found)


def tree(root: int) -> list[int]:
    """Give the ids of ``root`` and all processes below it that live now."""
    parents = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = parse_stat((folder / "stat").read_text()).parent
    return descendants(parents, root)


def usage(pids: list[int]) -> Usage:
    """Add up the CPU time of ``pids``. Raises OSError if one has ended."""
    stats = [parse_stat((PROC / str(pid) / "stat").read_text()) for pid in pids]
    return Usage(
        sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in pids),
        sum(stat.user_ticks for stat in stats),
        sum(stat.system_ticks for stat in stats),
    )


def memory_bytes(pids: list[int]) -> int:
    """Add up the anonymous memory of ``pids``: heaps and stacks. Raises OSError if one has ended.

    Pages of files are left out: how many of them count for a process depends on which other
    processes have the same libraries open, and the load comes and goes.
    """
    return sum(parse_memory((PROC / str(pid) / "status").read_text(), "RssAnon") for pid in pids)
