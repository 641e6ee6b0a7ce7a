"""Histories of the pool: many, rough ones; and that the simulation finds bugs that are there."""

import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from forebay.relay import Waiter
from forebay.worker.pool import groups as groups_module
from forebay.worker.pool import manager as manager_module
from forebay.worker.pool.decide import Step, next_step
from forebay.worker.pool.manager import PoolManager
from tests.simulation.pool import ROUGH, Client, Simulation, World, WrongError
from tests.unit.relay.ledgers import interpreted

CALM_SEEDS = range(12)
ROUGH_SEEDS = range(30)
# More micro-pools than connections, and always somebody waiting in each.
CROWDED = World(pools=3, clients=60, limit=2, hold_s=0.05, think_s=0.01)
# Users whose databases are those of all others: both limits bind, and neither comes free when the
# other does.
CROSSED = World(
    pools=3,
    databases=3,
    clients=90,
    limit=20,
    hold_s=0.05,
    think_s=0.01,
    user_limit=2,
    database_limit=2,
)
# A planted bug is found by one of so many histories.
TRIES = 40


def calm(seed: int) -> World:
    """Short use, no trouble: everybody is served, in whichever pool."""
    random = Random(seed)
    return World(
        pools=random.randint(1, 8),
        clients=random.randint(10, 80),
        limit=random.randint(1, 6),
        hold_s=0.02,
        duration_s=20.0,
    )


@pytest.mark.parametrize("seed", CALM_SEEDS)
def test_calm(seed: int) -> None:
    simulation = Simulation(seed, calm(seed))
    simulation.run()
    assert simulation.refused == 0, f"seed {seed}: somebody starved"
    assert simulation.done > 100
    assert simulation.wasted <= simulation.manager.record.opened // 50 + 3


@pytest.mark.parametrize("seed", range(3))
def test_crowded(seed: int) -> None:
    simulation = Simulation(seed, CROWDED)
    simulation.run()
    assert simulation.refused == 0, f"seed {seed}: somebody starved"


@pytest.mark.parametrize("seed", ROUGH_SEEDS)
def test_rough(seed: int) -> None:
    simulation = Simulation(seed, ROUGH)
    simulation.run()
    assert simulation.done > 50
    assert simulation.wasted <= simulation.manager.record.opened // 50 + 3


def limited(seed: int) -> World:
    """As `calm`, with limits of users, or databases, or both."""
    random = Random(seed)
    return replace(
        calm(seed),
        pools=random.randint(1, 5),
        databases=random.randint(1, 5),
        limit=random.randint(2, 12),
        user_limit=random.choice([None, 1, 2, 3]),
        database_limit=random.choice([None, 1, 2, 3]),
    )


@pytest.mark.parametrize("seed", CALM_SEEDS)
def test_calm_with_limits_of_users_and_databases(seed: int) -> None:
    simulation = Simulation(seed, limited(seed))
    simulation.run()
    assert simulation.refused == 0, f"seed {seed}: somebody starved"
    assert simulation.done > 100


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("limit", "user_limit"), [(20, 2), (20, 1), (3, 1)])
def test_crossed(seed: int, limit: int, user_limit: int) -> None:
    world = replace(CROSSED, limit=limit, user_limit=user_limit, database_limit=user_limit)
    simulation = Simulation(seed, world)
    simulation.run()
    assert simulation.refused == 0, f"seed {seed}: somebody starved"


@pytest.mark.parametrize("seed", ROUGH_SEEDS)
def test_rough_with_limits_of_users_and_databases(seed: int) -> None:
    world = replace(ROUGH, limit=8, databases=3, user_limit=2, database_limit=3)
    simulation = Simulation(seed, world)
    simulation.run()
    assert simulation.done > 50


def test_the_same_seed_gives_the_same_history() -> None:
    first, second = Simulation(1, ROUGH), Simulation(1, ROUGH)
    first.run()
    second.run()
    assert (first.done, first.refused) == (second.done, second.refused)


def test_a_refusal_is_told_to_nobody_whom_another_connection_will_serve() -> None:
    """A password that was changed, say: what is open already goes on from client to client."""
    simulation = Simulation(0, World(pools=1, hold_s=1000.0))
    pool: Any = simulation.manager.pool("app", "user")
    first, second, third = (Client(simulation, pool) for _ in range(3))
    first.ask()
    while first.connection is None:
        simulation.clock.step()
    simulation.world.openings_refused = 1.0
    second.ask()
    while not simulation.manager.record.failed:
        simulation.clock.step()
    third.ask()
    for _ in range(3):
        simulation.clock.step()
    assert simulation.refused == 0
    connection = first.connection
    first.give_back(connection)
    assert second.connection is connection
    second.give_back(connection)
    assert third.connection is connection
    connection.lost("the database went")
    fourth = Client(simulation, pool)
    fourth.ask()
    while fourth.place is not None:
        simulation.clock.step()
    assert simulation.refused == 1


class TestPlantedBugs:
    """Each of these would go unnoticed for long in a test without a simulation."""

    @pytest.fixture(autouse=True)
    def unplant(self) -> Iterator[pytest.MonkeyPatch]:
        with pytest.MonkeyPatch.context() as patch:
            self.patch = patch
            yield patch

    def interpreted(self) -> tuple[Any, Any]:
        """The modules of micro-pools and of the census, which the manager uses from now on."""
        return use_interpreted(self.patch)

    def expect(self, reason: str, waiter: Any = Waiter, given: World | None = None) -> None:
        """Some history goes wrong, for this reason (a regular expression)."""
        for seed in range(TRIES):
            world = given or (calm(seed) if seed % 2 else ROUGH)
            simulation = Simulation(seed, world, waiter)
            try:
                simulation.run()
                found = "starved" if world.hold_s < 0.1 and simulation.refused else ""
            except WrongError as error:
                found = str(error)
            if found:
                assert re.search(reason, found), found
                return
        raise AssertionError("the planted bug was not found")

    def test_a_connection_more_than_allowed(self) -> None:
        def greedy(census: Any, pools: Any, now: float) -> Step | None:
            census.limit += census.limit > 0
            try:
                return next_step(census, pools, now)
            finally:
                census.limit -= census.limit > 1

        self.patch.setattr(manager_module, "next_step", greedy)
        self.expect("the limit is exceeded")

    def test_a_pool_keeps_its_connections_while_it_can_use_them(self) -> None:
        """Unfairness between micro-pools: its own clients go first, however long others wait."""
        micropool, census = self.interpreted()
        self.patch.setattr(census.Census, "claimant", lambda *_: None)
        self.expect("starved", micropool.Waiter, CROWDED)

    def test_a_lost_connection_stays_counted(self) -> None:
        def forgetful(self: PoolManager, server: Any, reason: str) -> None:
            if server in self.servers:
                self.servers.discard(server)
                if server in server.pool.idle:
                    server.pool.drop(server)
                self.schedule()

        self.patch.setattr(PoolManager, "server_lost", forgetful)
        self.expect("borrowed, of")

    def test_a_failed_opening_is_not_tried_again(self) -> None:
        true_later = Simulation(0, ROUGH).clock.__class__.later

        def later(self: Any, delay_s: float, function: Any, *arguments: object) -> None:
            if getattr(function, "__name__", "") != "schedule":
                true_later(self, delay_s, function, *arguments)

        self.patch.setattr("tests.simulation.pool.Clock.later", later)
        # With few clients nothing else makes up for it.
        quiet = World(pools=1, clients=2, openings_fail=0.5, connections_die=1.0)
        self.expect("nothing is opened", given=quiet)

    def test_no_room_is_kept_for_who_needs_it_in_two_groups(self) -> None:
        """The database has a connection to spare while the user has none, and the other way."""
        micropool, census = self.interpreted()
        self.patch.setattr(census.Census, "_keeps", lambda *_: False)
        self.expect("starved", micropool.Waiter, replace(CROSSED, user_limit=1, database_limit=1))

    def test_who_waits_for_a_group_is_forgotten(self) -> None:
        micropool, census = self.interpreted()
        self.patch.setattr(census.Census, "release", lambda *_: None)
        self.expect("waits for room in its group", micropool.Waiter, CROSSED)

    def test_a_group_keeps_its_connections_where_they_are(self) -> None:
        """Whoever of the user's waits in another database, and however long."""
        micropool, census = self.interpreted()
        true_claimant = census.Census._claimant

        def claimant(self: Any, owner: Any, now: float, is_full: bool) -> Any:
            other = true_claimant(self, owner, now, is_full)
            return None if other is not None and owner.waiting else other

        self.patch.setattr(census.Census, "_claimant", claimant)
        self.patch.setattr(census.Census, "_keeps", lambda *_: False)
        self.expect("starved", micropool.Waiter, CROSSED)

    def test_a_group_more_than_allowed(self) -> None:
        def greedy(census: Any, pools: Any, now: float) -> Step | None:
            step = next_step(census, pools, now)
            return None if step is None else Step(step.pool)

        self.patch.setattr(manager_module, "next_step", greedy)
        given = replace(ROUGH, limit=20, databases=3, user_limit=2)
        self.expect("of a user or a database is exceeded", given=given)

    def test_the_last_is_served_first(self) -> None:
        micropool, _ = self.interpreted()

        class Lifo(micropool.MicroPool):  # type: ignore[misc, name-defined]
            def next_waiter(self) -> Any:
                waiter = self.last_waiter
                if waiter is not None:
                    self.leave(waiter)
                return waiter

        self.patch.setattr(manager_module, "MicroPool", Lifo)
        self.expect("overtaken", micropool.Waiter)

    def test_a_waiter_that_left_is_served(self) -> None:
        micropool, _ = self.interpreted()

        class Sticky(micropool.MicroPool):  # type: ignore[misc, name-defined]
            def leave(self, waiter: Any) -> None:
                if waiter is self.first_waiter or waiter is not self.last_waiter:
                    super().leave(waiter)

        self.patch.setattr(manager_module, "MicroPool", Sticky)
        self.expect("wait, ", micropool.Waiter)

    def test_a_wait_is_taken_to_need_nothing(self) -> None:
        """A lost wake-up: there is room, or something idle elsewhere, and nobody looks."""
        micropool, census = self.interpreted()
        true_joined = census.Census.joined

        def joined(self: Any, pool: Any, now: float) -> bool:
            true_joined(self, pool, now)
            return bool(self.size == 0)

        self.patch.setattr(census.Census, "joined", joined)
        self.expect("nothing is opened|idle connection while|starved", micropool.Waiter)


def use_interpreted(patch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    micropool, census = interpreted("micropool"), interpreted("census")
    patch.setattr(manager_module, "MicroPool", micropool.MicroPool)
    patch.setattr(manager_module, "Census", census.Census)
    patch.setattr(groups_module, "Group", census.Group)
    return micropool, census


def test_the_interpreted_micropool_does_as_well() -> None:
    with pytest.MonkeyPatch.context() as patch:
        micropool, _ = use_interpreted(patch)
        world = replace(ROUGH, limit=8, databases=3, user_limit=2, database_limit=3)
        simulation = Simulation(3, world, micropool.Waiter)
        simulation.run()
    compiled = Simulation(3, world)
    compiled.run()
    assert (simulation.done, simulation.refused) == (compiled.done, compiled.refused)
