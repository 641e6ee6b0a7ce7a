"""Whether what is counted as connections come and go is what there is."""

from collections.abc import Collection

from forebay.relay import Census, MicroPool


def assert_counts(census: Census, pools: Collection[MicroPool], servers: int) -> None:
    """Every connection is in exactly one place. `servers`: so many are open. Raises AssertionError
    with what is wrong."""
    idle = sum(len(pool.idle) for pool in pools)
    borrowed = sum(pool.borrowed for pool in pools)
    if idle + borrowed != servers:
        raise AssertionError(f"{idle} idle + {borrowed} borrowed, of {servers}")
    counted = census.size, census.opening, census.idle, census.waiting, census.in_demand
    opening = sum(pool.opening for pool in pools)
    waiting = sum(pool.waiting for pool in pools)
    in_demand = sum(pool.size > 0 or pool.waiting > 0 for pool in pools)
    real = idle + borrowed + opening, opening, idle, waiting, in_demand
    if counted != real:
        raise AssertionError(f"{counted} counted, of {real}")
