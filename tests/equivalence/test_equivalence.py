"""Many clients on few connections hear what they would on connections of their own.

A run is of the same programs each time. FOREBAY_TEST_SEQUENCES=3000 tries so many sequences that
nobody has tried before; FOREBAY_TEST_SEED is one program again.
"""

import os
import random
from collections.abc import Callable

import pytest

from forebay.protocol.errors import PgError
from tests.equivalence.lanes import Difference, Step, World, differs
from tests.equivalence.shrink import shrunk
from tests.equivalence.statements import program

LANES = 9
LENGTH = 14
LIMIT = 3
TOGETHER = 3
PARTS = 2
NEW_SEQUENCES = int(os.environ.get("FOREBAY_TEST_SEQUENCES", "0"))
SEQUENCES = NEW_SEQUENCES or 360


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_generated_sequences(make_world: Callable[[int], World], part: int) -> None:
    given = os.environ.get("FOREBAY_TEST_SEED")
    chance = random.Random() if NEW_SEQUENCES else random.Random(part)
    count = -(-SEQUENCES // PARTS // LANES)
    seeds = [int(given)] if given else [chance.randrange(2**32) for _ in range(count)]
    world = make_world(LIMIT)
    for seed in seeds:
        steps = program(seed, LANES, LENGTH)
        found = differs(world, steps, TOGETHER)
        if found is not None:
            pytest.fail(f"FOREBAY_TEST_SEED={seed}\n{_explained(world, steps, found)}")


def _explained(world: World, steps: list[Step], found: Difference) -> str:
    """The difference, and a small program that shows it."""
    try:
        small = shrunk(steps, lambda steps: differs(world, steps, TOGETHER) is not None)
        again = differs(world, small, TOGETHER) or found
    except (OSError, PgError) as error:
        return f"{found}\nand not made smaller: {error}"
    lines = "\n".join(f"  {step}" for step in small)
    return f"{again}\nthe program:\n{lines}"
