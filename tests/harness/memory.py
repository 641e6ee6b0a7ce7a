"""How much memory a process has used (Linux only)."""

import re
from pathlib import Path


def resident_bytes(pid: int) -> int:
    """What the process holds in memory now."""
    return _status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that it ever held."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found, f"no {name} of process {pid}"
    return 1024 * int(found[1])
