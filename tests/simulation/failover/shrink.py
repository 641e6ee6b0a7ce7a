"""A story that goes wrong, told with as few faults as it takes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.simulation.failover.faults import Fault
from tests.simulation.failover.run import Simulation
from tests.simulation.failover.world import WrongError

Run = Callable[[Sequence[Fault] | None], Simulation]
"""Makes the same world with other faults."""

FEW = 2
SHIFT_S = 0.037
SHIFTS = range(-10, 20)

# Of a message: what comes before the seed and the time.
_DETAILS = " (seed"


def failure_of(simulation: Simulation) -> str:
    """Runs a world; returns what went wrong, without its numbers; "": nothing."""
    try:
        simulation.run()
    except WrongError as error:
        text = str(error).partition(_DETAILS)[0]
        return "".join(each for each in text if not each.isdigit())
    return ""


def shrink(make: Run, tries: int = 200) -> list[Fault]:
    """The faults of a world that goes wrong, fewer and shorter, so that it goes wrong in the same
    way. Bounded by the number of worlds that are tried.

    Drops one after the other. If many are left, each only made another moment hit: one of them may
    do alone, a little sooner or later. Then halves how long each lasts.
    """
    simulation = make(None)
    faults = list(simulation.faults)
    wrong = failure_of(simulation)
    if not wrong:
        raise ValueError("nothing goes wrong in it")

    def fails(given: list[Fault]) -> bool:
        nonlocal tries
        tries -= 1
        return tries >= 0 and failure_of(make(given)) == wrong

    index = 0
    while index < len(faults):
        fewer = faults[:index] + faults[index + 1 :]
        if fails(fewer):
            faults = fewer
        else:
            index += 1
    if len(faults) > FEW:
        alone = (
            [replace(each, at=each.at + SHIFT_S * shift)] for shift in SHIFTS for each in faults
        )
        faults = next((each for each in alone if fails(each)), faults)
    for index, each in enumerate(faults):
        shorter = replace(each, lasts_s=each.lasts_s / 2.0)
        changed = [*faults[:index], shorter, *faults[index + 1 :]]
        if fails(changed):
            faults = changed
    return faults


def story(make: Run) -> str:
    """What to print of a world that goes wrong: its seed, its faults, its last events."""
    faults = shrink(make)
    simulation = make(faults)
    try:
        simulation.run()
        wrong = "it goes well when told again"
    except WrongError as error:
        wrong = str(error)
    tail = "\n".join(simulation.world.tail)
    told = "\n".join(f"    {each}" for each in faults) or "    none"
    return f"{wrong}\nFaults that it takes:\n{told}\nLast events:\n{tail}"
