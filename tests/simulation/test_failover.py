"""Failover: nothing acknowledged is lost, nothing runs twice, clients stay; whatever goes wrong."""

import os
import re
import subprocess
import sys
from functools import partial

import pytest

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


def test_another_process_tells_the_same_story() -> None:
    """Nothing depends on the order of sets, or on addresses in memory."""
    code = "from tests.simulation.failover.run import Simulation; print(Simulation(5).run().hash)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert told.stdout.strip() == run(Simulation(5)).summary.hash


def test_many_worlds_by_the_command_line() -> None:
    """What `make simulate` runs."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation.failover", "4", "100"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"\d+ writes acknowledged, .* seeds that failed: none", told.stdout)
