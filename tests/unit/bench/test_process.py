import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.process import Process, run_bounded


def test_a_process_has_a_session_of_its_own_and_is_stopped(tmp_path: Path) -> None:
    with Process([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log") as one:
        assert os.getsid(one.pid) == one.pid
        assert not one.ended()
    assert one.ended()


def test_its_output_is_kept(tmp_path: Path) -> None:
    with Process([sys.executable, "-c", "print('a\\nb\\nc')"], tmp_path / "log") as one:
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
    assert one.tail(2) == "b\nc"


def test_its_errors_are_told_rather_than_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("all is well\nFATAL: it is not\ngoing on\n")
    with Process([sys.executable, "-c", ""], log) as one:
        assert one.tail() == "FATAL: it is not"


def test_a_bounded_run_gives_its_output() -> None:
    done = run_bounded([sys.executable, "-c", "print(1); exit(3)"], timeout_s=60)
    assert (done.returncode, done.stdout) == (3, "1\n")


def test_a_run_that_takes_too_long_is_ended() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_bounded([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.1)
