"""Many clients on few connections hear what they would on connections of their own.

There are two variants of programs: sparse ones (``statements``) have many texts, names and clients,
in dense ones (``dense``) few of them meet again and again. A run is of the same programs each time.
FOREBAY_TEST_SEQUENCES=3000 tries so many sequences of each variant that nobody has tried before (-k
dense: of that one only); FOREBAY_TEST_SEED=dense:1234 is one program again, as a failure says it.
"""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from forebay.protocol.errors import PgError
from tests.equivalence import dense, statements
from tests.equivalence.dense import CROWDS, Crowd
from tests.equivalence.exclusions import without_known
from tests.equivalence.lanes import Difference, Step, World, differs
from tests.equivalence.seeds import NEW_SEQUENCES, again, given, is_left_out
from tests.equivalence.shrink import shrunk

SPARSE = Crowd(connections=3, lanes=9, together=3)
SPARSE_LENGTH, DENSE_LENGTH = 14, 12


class Variant(NamedTuple):
    """Of a seed the program, and the crowd that runs it: those with the same remainder by `spread`
    have the same one. `sequences`: of single clients, in a usual run, in so many `parts`."""

    program: Callable[[int], list[Step]]
    crowd: Callable[[int], Crowd]
    spread: int
    parts: int
    sequences: int


VARIANTS = {
    "sparse": Variant(
        lambda seed: statements.program(seed, SPARSE.lanes, SPARSE_LENGTH),
        lambda _: SPARSE,
        spread=1,
        parts=2,
        sequences=360,
    ),
    "dense": Variant(
        lambda seed: dense.program(seed, DENSE_LENGTH),
        dense.crowd,
        spread=len(CROWDS),
        parts=len(CROWDS),
        sequences=120,
    ),
}


def _parts() -> Iterator[tuple[str, int]]:
    """All parts of all variants, or the one that the given seed belongs to."""
    for name, variant in VARIANTS.items():
        seed = given(name)
        if seed is not None:
            yield name, seed % variant.spread
        elif not is_left_out(name):
            yield from ((name, part) for part in range(variant.parts))


def _seeds(name: str, part: int) -> list[int]:
    """All of them have the same crowd."""
    variant, seed = VARIANTS[name], given(name)
    if seed is not None:
        return [seed]
    chance = random.Random() if NEW_SEQUENCES else random.Random(part)
    remainder = part % variant.spread
    sequences = -(-(NEW_SEQUENCES or variant.sequences) // variant.parts)
    count = -(-sequences // variant.crowd(remainder).lanes)
    drawn = [chance.randrange(2**32) for _ in range(count)]
    return [seed - seed % variant.spread + remainder for seed in drawn]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "part"), list(_parts()))
def test_generated_sequences(make_world: Callable[[int], World], name: str, part: int) -> None:
    variant = VARIANTS[name]
    seeds = _seeds(name, part)
    crowd = variant.crowd(seeds[0])
    world = make_world(crowd.connections)
    for seed in seeds:
        steps = variant.program(seed)
        found = differs(world, steps, crowd.together)
        if found is not None:
            explained = _explained(world, steps, found, crowd.together)
            pytest.fail(f"{again(name, seed)}\n{explained}")


def _explained(world: World, steps: list[Step], found: Difference, together: int) -> str:
    """The difference, and a small program that shows it."""
    try:
        small = without_known(
            shrunk(steps, lambda left: differs(world, without_known(left), together) is not None)
        )
        again = differs(world, small, together) or found
    except (OSError, PgError) as error:
        return f"{found}\nand not made smaller: {error}"
    lines = "\n".join(f"  {step}" for step in small)
    return f"{again}\nthe program:\n{lines}"
