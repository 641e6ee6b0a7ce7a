"""A test run that is interrupted leaves no process behind, whoever is killed and by what."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import descriptors, eventually
from tests.harness.reaper import marked
from tests.integration.interrupted_run import TOLD_IN

ROOT = Path(__file__).parents[2]
RUN = Path(__file__).with_name("interrupted_run.py")


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.skipif(not descriptors.available(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGKILL, "1"), (signal.SIGTERM, "1"), (signal.SIGINT, "1"), (signal.SIGTERM, "0")],
)
def test_nothing_is_left(tmp_path: Path, number: signal.Signals, workers: str) -> None:
    told = tmp_path / "mark"
    with (tmp_path / "out").open("wb") as out:
        run = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", workers, RUN],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=os.environ | {TOLD_IN: str(told)},
            start_new_session=True,
        )
    try:
        eventually(
            lambda: told.exists() or run.poll() is not None, "the run is under way", timeout_s=60
        )
        assert run.poll() is None, (tmp_path / "out").read_text()
        mark = told.read_text()
        # Node, worker, psql, and what watches over the database and over the run.
        assert len(list(marked(mark))) >= 5
        assert any(b"forebay.worker" in command_of(pid) for pid in marked(mark))
        if number == signal.SIGINT:
            os.killpg(run.pid, number)  # as Ctrl-C does
        else:
            run.send_signal(number)
        run.wait(60)
        eventually(lambda: not list(marked(mark)), "all are gone", timeout_s=40)
    finally:
        run.kill()
        run.wait()
