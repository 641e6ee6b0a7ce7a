"""Failover: nothing acknowledged is lost, nothing runs twice, clients stay; whatever goes wrong."""

import os
import re
import subprocess
import sys
import sysconfig
from functools import partial
from pathlib import Path

import pytest

import forebay
from tests.simulation.failover.faults import KINDS, Fault
from tests.simulation.failover.run import Simulation
from tests.simulation.failover.shrink import story
from tests.simulation.failover.world import WrongError

SEEDS = 40
BATCH = 10


def run(simulation: Simulation) -> Simulation:
    """Runs a world, and tells its story if something goes wrong."""
    try:
        simulation.summary = simulation.run()
    except WrongError:
        make = partial(Simulation, simulation.world.seed)
        if simulation.faults != make().faults:
            raise
        pytest.fail(story(make), pytrace=False)
    return simulation


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_whatever_goes_wrong(first: int) -> None:
    done = 0
    for seed in range(first, first + BATCH):
        done += run(Simulation(seed)).summary.done
    assert done > 300 * BATCH


def test_nothing_goes_wrong_by_itself() -> None:
    """Without faults there are no errors, and one writer from the beginning to the end."""
    summary = run(Simulation(1, faults=[])).summary
    assert summary.errors == {}
    assert summary.epochs == 1
    assert summary.done > 500


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("victim", ["primary", "standby"])
def test_each_fault_alone(kind: str, victim: str) -> None:
    run(Simulation(3, faults=[Fault(3.0, kind, victim, 2.0)]))


@pytest.mark.parametrize(
    ("kind", "epochs"),
    [
        ("termination", 1),  # pg_terminate_backend is no failover
        ("termination of the control session", 1),
        ("crash", 1),  # the same postmaster goes on
        ("rejection of the control user", 1),
        ("restart", 2),
        ("fast stop", 2),
        ("kill of the postmaster", 2),
        ("loss of the host", 2),
        ("promotion beside", 2),
    ],
)
def test_what_is_a_switch(kind: str, epochs: int) -> None:
    summary = run(Simulation(2, faults=[Fault(3.0, kind, "primary", 1.0)])).summary
    assert summary.epochs == epochs


def test_the_same_seed_gives_the_same_story() -> None:
    first, second = run(Simulation(5)).summary, run(Simulation(5)).summary
    assert first.hash == second.hash
    assert first.lines > 500
    assert run(Simulation(6)).summary.hash != first.hash


# Debian's, besides the one that is tested: any of 3.11 or later does that has our dependencies.
PYTHONS = [sys.executable, "/usr/bin/python3"]


@pytest.mark.parametrize("python", PYTHONS)
def test_another_process_tells_the_same_story(python: str) -> None:
    """Nothing depends on the order of sets, on addresses in memory, or on the Python."""
    code = (
        "import sys; from tests.simulation.failover.run import Simulation;"
        " print(*sys.version_info[:2], Simulation(5).run().hash)"
    )
    path = [sysconfig.get_path("purelib"), str(Path(forebay.__file__).parents[1]), str(Path.cwd())]
    try:
        told = subprocess.run(
            [python, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(path)},
        )
    except FileNotFoundError:
        pytest.skip("there is no such Python")
    major, minor, *told_hash = told.stdout.split() or ("0", "0")
    if (int(major), int(minor)) != sys.version_info[:2] and told.returncode:
        pytest.skip("its extensions are not the ones of this Python")
    assert told_hash == [run(Simulation(5)).summary.hash], told.stderr


def test_many_worlds_by_the_command_line() -> None:
    """What `make simulate` runs."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation.failover", "4", "100"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"\d+ writes acknowledged, .* seeds that failed: none", told.stdout)
