"""What the kernel says of the processes of a node: nothing of that is asked of themselves."""

import os
from pathlib import Path

import msgspec

from forebay.channel import WorkerFigures

_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_UTIME, _STIME = 11, 12  # fields of /proc/PID/stat, counted from behind the name: see proc(5)


class ProcessFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A process. ``cpu_s``: user and system time since it started; ``anonymous_bytes``: resident
    memory that is nobody else's and no file's. 0 where the system does not say."""

    pid: int
    started_at: float = 0.0  # Unix time, s
    cpu_s: float = 0.0
    resident_bytes: int = 0
    anonymous_bytes: int = 0
    descriptors: int = 0


class NodeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """All figures at one moment. Those of the worker's proxies have the node's own among their
    ``numbers`` and ``parts``: of secrets, certificates and database servers."""

    at: float  # Unix time, s
    node: ProcessFigures
    worker: ProcessFigures
    worker_restarts: int
    counted: WorkerFigures


def process_figures(pid: int, started_at: float, proc: Path = Path("/proc")) -> ProcessFigures:
    """What is known of a process; a few microseconds."""
    place = proc / str(pid)
    cpu_s, resident, anonymous, descriptors = 0.0, 0, 0, 0
    try:
        # The name, in parentheses, may itself contain anything.
        words = (place / "stat").read_text().rpartition(")")[2].split()
        cpu_s = (int(words[_UTIME]) + int(words[_STIME])) / _TICKS_PER_S
        _, pages, of_files, *_ = map(int, (place / "statm").read_text().split())
        resident, anonymous = pages * _PAGE_BYTES, (pages - of_files) * _PAGE_BYTES
        descriptors = len(os.listdir(place / "fd"))  # noqa: PTH208 - no need for paths
    except (OSError, ValueError, IndexError):
        pass  # it has just ended, or there is no /proc
    return ProcessFigures(
        pid=pid,
        started_at=started_at,
        cpu_s=cpu_s,
        resident_bytes=resident,
        anonymous_bytes=anonymous,
        descriptors=descriptors,
    )
