"""Readers that come, go, die and fall behind at random: every client is served as long as there is
one that can be reached, no server gets more connections than it has room for."""

import random

import pytest

from tests.unit.worker.readers_world import ReadersWorld

SERVERS = {"a:5432": 3, "b:5432": 2, "c:5432": 4}
STEPS = 120
BOUND_S = 5.0


class Chance:
    """One seed's course."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = ReadersWorld(dict(SERVERS), 1000.0, max_replica_lag=BOUND_S)
        self.near: list[str] = []
        self.epoch = 1

    def run(self) -> None:
        for _ in range(STEPS):
            self.random.choice(
                [self.come, self.ask, self.ask, self.finish, self.finish, self.wait, self.turn]
            )()
            self.check()
        self.end()

    # ---- what may happen ----

    def come(self) -> None:
        if len(self.world.clients) < 40:
            self.world.client()

    def ask(self) -> None:
        idle = [each for each in self.world.clients if not each.server and not each.is_waiting]
        if idle:
            self.world.ask(self.random.choice(idle))

    def finish(self) -> None:
        busy = [each for each in self.world.clients if each.server is not None]
        if busy:
            self.world.done(self.random.choice(busy))

    def wait(self) -> None:
        self.world.tick(self.random.choice([0.1, 0.1, 1.0, 3.0]))

    def turn(self) -> None:
        """Other servers are readers from now on. What is lost can be reached no more; what is down
        may not be known to be so yet."""
        names = list(SERVERS)
        lost = [each for each in names if self.random.random() < 0.2]
        there = [each for each in names if each not in lost and self.random.random() < 0.8]
        lags = {each: self.random.choice([0.0, 4.5, 6.0]) for each in there}
        for each in names:
            if self.random.random() < 0.3:
                self.world.down.symmetric_difference_update({each})
        self.epoch += self.random.random() < 0.2
        known = self.random.choice([lost, []])
        before = {id(each): each.server for each in self.world.clients}
        self.world.tell(*there, epoch=self.epoch, lost=known, lags=lags)
        for each in self.world.clients:
            server = before[id(each)]
            if server is not None and server.is_closed and each.server is server:
                each.lose()
        self.near = list(self.world.readers._open)

    # ---- what must hold ----

    def check(self) -> None:
        world = self.world
        assert sum(manager_clients(world)) == len(world.clients)
        for backend in world.all:
            address = str(backend.target)
            if address in SERVERS:
                assert len(backend.manager.servers) <= SERVERS[address]
        places = {id(each.manager): str(each.target) for each in world.all}
        for each in world.clients:
            assert id(each.pool.manager) in places
            closed = each.pool.manager.census.on_hold
            if each.is_waiting and self.near:
                assert not closed, "somebody waits where nobody gets anything"

    def end(self) -> None:
        """All servers are well, and everybody has an end: so whoever waits is served."""
        world = self.world
        world.down.clear()
        world.tell(*SERVERS, epoch=self.epoch + 1)
        for _ in range(200):
            for each in world.clients:
                if each.server is not None:
                    world.done(each)
            world.tick(0.5)
            if not any(each.is_waiting or each.server for each in world.clients):
                break
        else:
            raise AssertionError("somebody is not served")
        assert not any(each.error for each in world.clients), "somebody was refused"
        self.check()
        self.balance()

    def balance(self) -> None:
        """Nobody asks: each reader comes to have about its share."""
        world = self.world
        for _ in range(400):
            world.tick(0.1)
        total = len(world.clients)
        for backend in world.readers._open.values():
            share = total * SERVERS[str(backend.target)] / sum(SERVERS.values())
            clients = sum(pool.clients for pool in backend.manager.pools.values())
            assert abs(clients - share) < 2 + len(SERVERS)


def manager_clients(world: ReadersWorld) -> list[int]:
    return [sum(pool.clients for pool in backend.manager.pools.values()) for backend in world.all]


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_everybody_is_served(first: int) -> None:
    for seed in range(first, first + 20):
        try:
            Chance(seed).run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
