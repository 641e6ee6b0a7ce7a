"""What a transaction costs the proxy when most clients wait for a connection: few and many clients,
two database users who share them, and micro-pools that are there beside the busy one."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench.figures import Limit
from bench.pgbench import Load
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CONNECTIONS = 20
CLIENTS = 100
CROWD = 300
LIMIT = Limit(1.05, 1.00)
# Micro-pools beside the busy one: a client of each is logged in, and does nothing. They are of so
# many users in so many databases: a proxy has at most 200 users.
BESIDE = (49, 499)
USERS = 125
DATABASES = 4
# pgbench's time runs while it connects, which takes hundreds of clients seconds: runs go by count.
PER_SECOND = 12_000


class Crowd:
    """Measures one case; what logging in costs is taken off."""

    def __init__(self, world: World, case: str, clients: int, users: list[str]) -> None:
        self._world = world
        self._clients = clients
        self._users = users
        self.cpu = Row("crowd", case, "proxy CPU per transaction", "µs", limit=LIMIT)
        self.rate = Row("crowd", case, "throughput", "1/s")

    def sample(self, stand: Stand) -> None:
        """Run the load on ``stand``, all its users at once. Raises PgbenchError, SideError."""
        each = self._clients // len(self._users)
        count = max(2, round(self._world.options.seconds * PER_SECOND / self._clients))
        start_ns, _ = self._run(stand, each, 1)
        cpu_ns, per_second = self._run(stand, each, count)
        transactions = self._clients * (count - 1)
        if stand.process is not None:
            self.cpu.add(stand.side, (cpu_ns - start_ns) / transactions / 1000)
        self.rate.add(stand.side, per_second)

    def _run(self, stand: Stand, clients: int, transactions: int) -> tuple[float, float]:
        before = stand.usage()
        load = Load(clients, transactions=transactions)
        targets = [replace(stand.target, user=user) for user in self._users]
        with ThreadPoolExecutor(len(targets)) as threads:
            done = list(threads.map(lambda target: self._world.run(target, load), targets))
        used = stand.usage().since(before)
        return used.cpu_ns, sum(each.summary.per_second for each in done)


def measure(world: World) -> list[Row]:
    """Compare the proxies: the database itself does not take so many."""
    sides = (Side.PGBOUNCER, Side.FOREBAY)
    own = world.database.user
    names = world.make_users(USERS)
    databases = [world.database.database, *world.make_databases(DATABASES - 1)]
    places = [(database, name) for database in databases for name in names]
    rows = []
    with world.stands(tls=False, connections=CONNECTIONS, sides=sides, more_users=names) as stands:
        cases = [
            (Crowd(world, f"{CLIENTS} clients over {CONNECTIONS}", CLIENTS, [own]), 0),
            (Crowd(world, f"{CROWD} clients over {CONNECTIONS}", CROWD, [own]), 0),
            (Crowd(world, "two users, one budget", CLIENTS, [own, names[0]]), 0),
            *(
                (Crowd(world, f"{beside + 1} micro-pools", CLIENTS, [own]), beside)
                for beside in BESIDE
            ),
        ]
        for one, beside in cases:
            with contextlib.ExitStack() as stack:
                for stand in stands:
                    stack.enter_context(logged_in_beside(world, stand, places[:beside]))
                world.rounds(stands, f"crowd, {one.cpu.case}", one.sample)
            rows += [one.cpu, one.rate]
    return rows


@contextlib.contextmanager
def logged_in_beside(world: World, stand: Stand, places: list[tuple[str, str]]) -> Iterator[None]:
    """A client of each of these databases and users is logged in meanwhile."""
    if not places:
        yield
        return
    with world.loading("idle", stand.target, clients=len(places), places=places):
        yield
