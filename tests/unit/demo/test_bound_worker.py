import os
import subprocess
import sys

import pytest

FOLLOW = "from forebay.demo.bound_worker import follow; follow({pid}); print('goes on')"


def follow(pid: int) -> tuple[int, bytes]:
    """What becomes of a process that follows this parent."""
    answer = subprocess.run([sys.executable, "-c", FOLLOW.format(pid=pid)], stdout=subprocess.PIPE)
    return answer.returncode, answer.stdout


def test_it_goes_on_while_its_parent_lives() -> None:
    assert follow(os.getpid()) == (0, b"goes on\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel does it on Linux only")
def test_it_does_not_begin_when_its_parent_has_ended() -> None:
    assert follow(os.getppid()) == (1, b"")
