"""A worker that does not outlive the demo; arguments: the demo's pid, and the worker's own.

Elsewhere a worker goes on serving when its node has died. The demo's has nothing left to serve
then: its database goes with the demo.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from forebay.worker.main import main

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def follow(parent: int) -> None:
    """Has the kernel end this process when its parent has ended (Linux; elsewhere nothing)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)  # it had ended before that


if __name__ == "__main__":
    follow(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
