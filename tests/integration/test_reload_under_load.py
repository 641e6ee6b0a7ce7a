"""Proxies, users, addresses and targets come, change and go by reloads: nobody else notices. And if
worker or node are killed meanwhile, what is in force is the old configuration or the new one."""

import dataclasses
import json
import os
import random
import re
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forebay.embedded.surroundings import HOST, free_port
from tests.harness import FaultProxy, Forebay, Postgres, TestDatabase, descriptors, eventually
from tests.harness.load import logins, statements, under_load

PASSWORD = "planted-password"
RELOADS = 6
KILLS = 4
# Users who come with each configuration and go with it: their keys take a worker a while.
CROWD = 40
# Kills come so long after the signal at most: a reload of these takes about half of it.
REACH_S = 0.15
# FOREBAY_TEST_SEED=reloads:1234 repeats what a failure has told.
SEED = "FOREBAY_TEST_SEED"


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A proxy. ``mark``: what its connections to the database say of themselves."""

    users: frozenset[str]
    ports: tuple[int, ...]
    target_port: int
    mark: str

    def toml(self, name: str, directory: Path) -> str:
        auth = "".join(
            f'[[proxies.{name}.auth]]\nsecret = "file:{directory / user}"\n'
            for user in sorted(self.users)
        )
        listen = ", ".join(f'"{HOST}:{port}"' for port in self.ports)
        return (
            f"[proxies.{name}]\nlisten = [{listen}]\nrequire_tls = false\n{auth}"
            f'[[proxies.{name}.auth]]\nsecret = "userlist:{directory}/crowd-{self.mark}"\n'
            f'[proxies.{name}.target]\nhosts = ["{HOST}:{self.target_port}"]\n'
            f"[proxies.{name}.pool]\nmax_connections_percent = 10\n"
            f"init_query = \"SET test.mark = '{self.mark}'\"\n"
        )


Configuration = Mapping[str, Endpoint]
Seen = dict[tuple[int, str], str]


def expected(configuration: Configuration) -> Seen:
    """Who can log in where, and what it meets there."""
    return {
        (port, user): endpoint.mark
        for endpoint in configuration.values()
        for port in endpoint.ports
        for user in endpoint.users
    }


class World(Forebay):
    """A Forebay whose configuration is drawn anew, but for the proxy ``steady`` and, of the proxy
    ``a``, the first address and the first user."""

    def __init__(
        self, directory: Path, postgres: Postgres, database: TestDatabase, detour: FaultProxy
    ) -> None:
        super().__init__(directory, postgres.port, database)
        self.seed = _seed()
        self.rng = random.Random(self.seed)
        self.everybody = [f"{database.user} {number}" for number in range(3)]
        self._targets_ports = [postgres.port, detour.port]
        self._spare = [free_port() for _ in range(4)]
        self.steady_port, self.a_port = free_port(), free_port()
        self._drawn = 0
        self.configuration: Configuration = {}
        self.draw()

    def draw(self) -> Configuration:
        """Makes another configuration, and writes it. Returns the one before."""
        before, self._drawn = self.configuration, self._drawn + 1
        first, *others = self.everybody
        spare = self.rng.sample(self._spare, len(self._spare))
        drawn = {
            "steady": Endpoint(
                frozenset({first}), (self.steady_port,), self._targets_ports[0], "steady"
            )
        }
        for name in "a", "b", "c":
            if name != "a" and self.rng.random() < 0.4:
                continue
            # One address and one user of `a` are there already.
            least = 0 if name == "a" else 1
            ports = [spare.pop() for _ in range(self.rng.randint(least, 1))]
            users = set(self.rng.sample(others, self.rng.randint(least, len(others))))
            if name == "a":
                ports, users = [self.a_port, *ports], {first, *users}
            drawn[name] = Endpoint(
                frozenset(users),
                tuple(ports),
                self.rng.choice(self._targets_ports),
                str(self._drawn),
            )
        self.configuration = drawn
        if self.directory.exists():
            self._write()
        return before

    def _write(self) -> None:
        for user in self.everybody:
            self._keep(user, json.dumps({"username": user, "password": PASSWORD}))
        for mark in {each.mark for each in self.configuration.values()}:
            lines = [f'"{mark} {number}" "{PASSWORD}"' for number in range(CROWD)]
            self._keep(f"crowd-{mark}", "\n".join(lines))
        text = "".join(each.toml(name, self.directory) for name, each in self.configuration.items())
        new = self.config.with_suffix(".new")
        new.write_text(f'[node]\ndrain_timeout = 20\ncontrol_listen = ""\n{text}')
        new.replace(self.config)

    def _keep(self, name: str, text: str) -> None:
        """Writes a secret once: what is followed is not to change."""
        path = self.directory / name
        if not path.exists():
            path.write_text(text)
            path.chmod(0o600)

    @property
    def all_ports(self) -> list[int]:
        return [self.steady_port, self.a_port, *self._spare]

    def connect(self, port: int, user: str) -> "psycopg.Connection[Any]":
        return psycopg.connect(
            host=HOST,
            port=port,
            user=user,
            password=PASSWORD,
            dbname=self.database.name,
            sslmode="disable",
            connect_timeout=30,
            autocommit=True,
        )

    def look(self) -> Seen:
        """Who can log in where at the moment, and what it meets there."""

        def try_in(place: tuple[int, str]) -> str | None:
            try:
                with self.connect(*place) as connection:
                    found = connection.execute("SELECT current_setting('test.mark')").fetchone()
            except psycopg.OperationalError as error:
                if "refused" in str(error) or "has no credentials" in str(error):
                    return None
                return f"failed: {error}"  # as in no configuration
            assert found is not None
            return str(found[0])

        places = [(port, user) for port in self.all_ports for user in self.everybody]
        with ThreadPoolExecutor(8) as pool:
            found = dict(zip(places, pool.map(try_in, places), strict=True))
        return {place: mark for place, mark in found.items() if mark is not None}

    def assert_tidy(self) -> None:
        """Node and worker listen where they are to, and nowhere else."""
        wanted = {port for each in self.configuration.values() for port in each.ports}
        for pid in self.pids:
            eventually(lambda pid=pid: descriptors.listening(pid) == wanted, f"{pid} listens")

    def again(self) -> str:
        return f"again: {SEED}=reloads:{self.seed}"


def _seed() -> int:
    variant, _, seed = os.environ.get(SEED, "").partition(":")
    return int(seed) if variant == "reloads" else secrets.randbelow(2**32)


@pytest.fixture
def world(tmp_path: Path, postgres: Postgres, database: TestDatabase) -> Iterator[World]:
    with FaultProxy(postgres.port) as detour:
        world = World(tmp_path / "forebay", postgres, database, detour)
        for user in world.everybody:
            postgres.create_user(user, PASSWORD)
        try:
            with world:
                yield world
        finally:
            for user in world.everybody:
                postgres.sql(f'DROP OWNED BY "{user}"; DROP ROLE "{user}"')


def test_nobody_else_notices(world: World) -> None:
    """Clients of another proxy, and those of a proxy that changes all around them."""
    first = world.everybody[0]
    ports = [world.steady_port, world.a_port]

    def log_in(number: int) -> "psycopg.Connection[Any]":
        return world.connect(ports[number % 2], first)

    loads = [statements(4, log_in), logins(4, log_in)]
    with under_load(*loads):
        for _ in range(RELOADS):
            world.draw()
            world.command("reload").ok()
            assert world.look() == expected(world.configuration), world.again()
            world.assert_tidy()
            for load in loads:
                load.go_on()


def test_a_worker_is_killed_at_any_moment_of_a_reload(world: World) -> None:
    for _ in range(KILLS):
        kill_worker(world)
        assert world.look() == expected(world.configuration), world.again()
        world.assert_tidy()
    world.draw()
    world.command("reload").ok()
    assert world.look() == expected(world.configuration), world.again()


def kill_worker(world: World) -> None:
    """While a reload is under way; afterwards ``configuration`` is what is said to be in force."""
    (worker,) = world.worker_pids
    before, said = world.draw(), len(world.text)
    world.signal(signal.SIGHUP)
    time.sleep(world.rng.uniform(0, REACH_S))
    os.kill(worker, signal.SIGKILL)
    came_to = eventually(lambda: re.search("Reloaded|Not reloaded", world.text[said:]))
    if came_to[0] != "Reloaded":
        world.configuration = before
    eventually(lambda: len(world.worker_pids) == 1 and worker not in world.worker_pids)


def test_a_node_is_killed_at_any_moment_of_a_reload(world: World) -> None:
    for _ in range(KILLS):
        kill_node(world)
        world.start()
        assert world.look() == expected(world.configuration), world.again()
        world.assert_tidy()


def kill_node(world: World) -> None:
    """While a reload is under way; its worker goes on, and is ended then."""
    (worker,) = world.worker_pids
    before = expected(world.draw())
    either = before, expected(world.configuration)
    world.signal(signal.SIGHUP)
    time.sleep(world.rng.uniform(0, REACH_S))
    world.stop(signal.SIGKILL)
    eventually(lambda: world.look() in either, world.again())
    os.kill(worker, signal.SIGTERM)
    eventually(lambda: not descriptors.is_running(worker), "the worker ends")
