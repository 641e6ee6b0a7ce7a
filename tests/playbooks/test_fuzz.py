"""Nonsense in a process of its own: nothing crashes, nothing is left behind, the others go on."""

import secrets
import subprocess
import sys

import pytest

COUNT = 60
TIMEOUT_S = 100


def fuzz(first_seed: int) -> None:
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-m", "tests.playbooks.fuzz"]
    ended = subprocess.run(
        [*command, str(first_seed), str(COUNT)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    said = ended.stdout.split()
    message = f"seed {said[-1] if said else first_seed}: {ended.returncode}\n{ended.stderr}"
    assert (ended.returncode, said[-1:]) == (0, ["done"]), message


@pytest.mark.parametrize("first_seed", [0, 1000, 2000, 3000])
def test_the_same_nonsense(first_seed: int) -> None:
    fuzz(first_seed)


def test_new_nonsense() -> None:
    fuzz(10_000 + secrets.randbelow(10**9))
