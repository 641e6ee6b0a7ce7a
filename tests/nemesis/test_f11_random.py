"""F11: whatever happens, in whatever order. FOREBAY_TEST_SEED repeats what a failure has told."""

import os
import random
import time
from collections.abc import Callable

import pytest

from tests.harness import FaultProxy, Forebay
from tests.harness.faults import Direction
from tests.nemesis import faults
from tests.nemesis.conftest import IS_WHOLE, Note, rounds_of
from tests.nemesis.faults import Fault
from tests.nemesis.load import Shape
from tests.nemesis.pair import Pair, Server
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis

SEED = "FOREBAY_TEST_SEED"
ROUNDS = rounds_of(100, 3)
DEADLY: tuple[Fault, ...] = (
    *(faults.fast_stop, faults.immediate_stop, faults.kill_postmaster),
    *(faults.freeze, faults.freeze_postmaster),
)
PASSING: tuple[Fault, ...] = (faults.end_sessions, faults.kill_backend)
DIRECTIONS: tuple[Direction | None, ...] = (None, "to_server", "to_client")


@pytest.mark.timeout(3600 if IS_WHOLE else 120)
def test_whatever_happens(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    note: Note,
) -> None:
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED}={seed}")
    chance = random.Random(seed)
    with FaultProxy(pair.a.port) as to_a, FaultProxy(pair.b.port) as to_b:
        proxies = {pair.a: to_a, pair.b: to_b}
        forebay = watching_forebay(hosts=[f"127.0.0.1:{each.port}" for each in proxies.values()])
        with Rig(pair, at("Forebay", forebay.port), shape, seed) as rig:
            for number in range(ROUNDS):
                what = chance.choice(("deadly", "deadly", "cut", "passing", "healed"))
                print(f"round {number}: {what}")
                one_round(rig, what, chance, proxies)
            result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    note("F11 random", result)


def one_round(
    rig: Rig, what: str, chance: random.Random, proxies: dict[Server, FaultProxy]
) -> None:
    """One thing that happens, and clients that are at work again."""
    pair = rig.pair
    if what == "deadly":
        rig.fail_over(chance.choice(DEADLY))
        pair.rejoin()
    elif what == "cut":
        direction = chance.choice(DIRECTIONS)

        def cut(both: Pair) -> None:
            proxies[both.primary].freeze(direction)

        rig.fail_over(cut)
        proxies[pair.standby].heal()
        pair.rejoin()
    elif what == "passing":
        rig.load.go_on(20)
        chance.choice(PASSING)(pair)
        rig.load.go_on(100)
    else:
        # Silence that ends before anybody has been promoted.
        rig.load.go_on(20)
        proxies[pair.primary].freeze(chance.choice(DIRECTIONS))
        # As long as a network is silent: short of what counts as a failure, or beyond.
        time.sleep(chance.uniform(0, 1.5))
        proxies[pair.primary].heal()
        rig.load.go_on(100)
