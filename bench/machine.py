"""Where and with what a run was made."""

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.proc import parse_model

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Machine:
    """What a figure's reader must know of the machine."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str

    def as_json(self) -> dict[str, Any]:
        """Give its fields for the JSON file."""
        return asdict(self)

    @property
    def words(self) -> str:
        """Say it in a line."""
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_gib:.0f} GiB,"
            f" Linux {self.kernel}, Python {self.python}"
        )


def this_machine() -> Machine:
    """Look at the machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=parse_model(Path("/proc/cpuinfo").read_text()),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(pages / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
    )


def commit() -> str:
    """Give the commit, with ``-dirty`` when the tree has changes; a word where there is none."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()
