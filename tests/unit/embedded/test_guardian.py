import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forebay.embedded import guardian

HAS_PROC = Path("/proc/self/stat").exists()
# Ends its child at SIGQUIT. No shell: one that was started in the background cannot trap that.
PARENT = """
import signal, subprocess, sys
child = subprocess.Popen(["sleep", "1000"])
def end(*_):
    child.terminate()
    sys.exit(1)
signal.signal(signal.SIGQUIT, end)
print(child.pid, flush=True)
child.wait()
"""


def test_the_directory_goes_when_the_parent_does(tmp_path: Path) -> None:
    directory = tmp_path / "server"
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "file").write_text("x")
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", guardian.__file__, directory], stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0
    assert not directory.exists()


def test_a_pid_that_is_not_this_postmaster_is_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (tmp_path / "postmaster.pid").write_text(f"{bystander.pid}\n{tmp_path}\n")
        assert guardian.postmaster(tmp_path) is None
        guardian.stop(tmp_path)
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n", timeout=30)


def test_a_process_at_work_on_the_data_is_ended(tmp_path: Path) -> None:
    worker = subprocess.Popen(["sleep", "1000"], cwd=tmp_path)
    (tmp_path / "postmaster.pid").write_text(f"{worker.pid}\n")
    assert guardian.postmaster(tmp_path) == worker.pid
    guardian.stop(tmp_path)
    assert worker.wait(30) != 0


def test_no_or_nonsense_pid_file(tmp_path: Path) -> None:
    assert guardian.postmaster(tmp_path) is None
    (tmp_path / "postmaster.pid").write_text("soon\n")
    assert guardian.postmaster(tmp_path) is None


@pytest.mark.skipif(not HAS_PROC, reason="looks for processes in /proc")
def test_children() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    try:
        assert child.pid in guardian.children(os.getpid())
        assert guardian.children(child.pid) == []
    finally:
        child.kill()
        child.wait()


@pytest.mark.skipif(not HAS_PROC, reason="looks for processes in /proc")
def test_what_was_stopped_goes_on_to_be_ended(tmp_path: Path) -> None:
    """A stopped process learns of nothing, so that it would outlive its postmaster."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=tmp_path, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    (tmp_path / "postmaster.pid").write_text(f"{parent.pid}\n")
    for pid in (child, parent.pid):
        os.kill(pid, signal.SIGSTOP)
    guardian.stop(tmp_path)
    assert parent.wait(30) != 0
    assert parent.stdout.read() == b""  # returns when the child has ended, too
    parent.stdout.close()
