"""A story that goes wrong, told with as few faults as it takes."""

from collections.abc import Callable, Sequence

from tests.simulation.failover.faults import Fault
from tests.simulation.failover.run import Simulation
from tests.simulation.failover.world import WrongError

Run = Callable[[Sequence[Fault] | None], Simulation]
"""Makes the same world with other faults."""

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
    """The faults of a world that goes wrong, fewer and shorter, so that it still goes wrong.

    Drops one after the other, then halves how long each lasts.
    """
    simulation = make(None)
    faults = list(simulation.faults)
    if not failure_of(simulation):
        raise ValueError("nothing goes wrong in it")

    def fails(given: list[Fault]) -> bool:
        nonlocal tries
        tries -= 1
        return tries >= 0 and bool(failure_of(make(given)))

    index = 0
    while index < len(faults):
        fewer = faults[:index] + faults[index + 1 :]
        if fails(fewer):
            faults = fewer
        else:
            index += 1
    for index, each in enumerate(faults):
        shorter = Fault(each.at, each.kind, each.victim, each.lasts_s / 2.0)
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
