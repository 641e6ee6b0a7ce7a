"""Starts processes in sessions of their own and stops them by id.

The scheduler shares time between sessions first (autogroup) and between processes of a session
second. Whatever shares pgbench's session competes with it for one share, which shifts the CPU time
per transaction by some 15 %.
"""

import contextlib
import os
import pwd
import re
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

STOP_S = 10
TROUBLE = re.compile(r"error|fatal|exception", re.IGNORECASE)
UNPRIVILEGED = "nobody"


@dataclass(frozen=True, slots=True)
class Done:
    """How a bounded process ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Process:
    """A server under test: its own session, output to a file, stopped at the end of ``with``."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        unprivileged: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        # PgBouncer refuses to run as root.
        drop = unprivileged and os.geteuid() == 0
        account = pwd.getpwnam(UNPRIVILEGED) if drop else None
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=env,
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=[] if account else None,
            )
        self.pid = self._process.pid

    def ended(self) -> bool:
        """Say whether it has ended."""
        return self._process.poll() is not None

    def tail(self, lines: int = 3) -> str:
        """Give the last lines of its output that speak of errors, or the last ones of all."""
        said = self.log.read_text(errors="replace").splitlines()
        errors = [line for line in said if TROUBLE.search(line)]
        return "\n".join((errors or said)[-lines:])

    def stop(self) -> None:
        """End it: SIGINT, then SIGKILL for it and its session. Idempotent."""
        if not self.ended():
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                kill_session(self._process)
        else:
            kill_session(self._process)

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def kill_session(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """Kill what a process started in its session and group, itself included."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_bounded(
    command: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    stdin: IO[str] | int = subprocess.DEVNULL,
    cwd: Path | None = None,
) -> Done:
    """Run a load to its end in a session of its own.

    Raises subprocess.TimeoutExpired after ``timeout_s`` seconds; whatever happens, nothing of it
    is left running.
    """
    with subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=env,
        cwd=cwd,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except BaseException:
            kill_session(process)
            raise
    return Done(process.returncode, stdout, stderr)


def give_away(path: Path) -> None:
    """Make ``path`` belong to whom unprivileged processes run as (only root can and must)."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(UNPRIVILEGED)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def raise_descriptor_limit(wanted: int) -> int:
    """Allow this process and its children as many descriptors as may be; give how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limits in ((max(wanted, soft), max(wanted, hard)), (hard, hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
