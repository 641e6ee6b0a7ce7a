"""Runs many worlds: ``python -m tests.simulation.failover SEEDS [FIRST]``."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pool
from time import monotonic

from tests.simulation.failover.run import Simulation, Summary
from tests.simulation.failover.shrink import story
from tests.simulation.failover.world import WrongError


def run_seed(seed: int) -> tuple[int, Summary | None]:
    """One world; None: something went wrong in it."""
    try:
        return seed, Simulation(seed).run()
    except WrongError:
        return seed, None


def main() -> int:
    """Exit code 1: at least one seed failed; its story is printed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    start, done, epochs, errors = monotonic(), 0, 0, Counter[str]()
    failed: list[int] = []
    with Pool(os.cpu_count()) as pool:
        results: Iterator[tuple[int, Summary | None]] = pool.imap_unordered(
            run_seed, range(first, first + count), chunksize=10
        )
        for number, (seed, summary) in enumerate(results, 1):
            if summary is None:
                failed.append(seed)
                print(f"\nSeed {seed} fails: {story(partial(Simulation, seed))}", flush=True)
                if len(failed) == 3:
                    break
            else:
                done, epochs = done + summary.done, epochs + summary.epochs - 1
                errors.update(summary.errors)
            if number % 100 == 0:
                print(f"{number} of {count} worlds, {len(failed)} failed", flush=True)
    told = ", ".join(f"{count} × {code}" for code, count in sorted(errors.items()))
    print(
        f"{monotonic() - start:.0f} s; {done} writes acknowledged, {epochs} switches; "
        f"told to clients: {told}; seeds that failed: {failed or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
