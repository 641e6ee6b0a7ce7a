"""What it costs to look: a scrape with many micro-pools and idle clients, and pages that are open,
while clients are at work."""

import contextlib
import http.client
import statistics
import threading
import time
from typing import Self

from bench.figures import Limit, percentile
from bench.measures.crowd import logged_in_beside
from bench.pgbench import Load, settled
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CONNECTIONS = 20
CLIENTS = 4
# Far below what a core can do, so that what looking costs shows as waiting.
STATEMENTS_PER_S = 1000
LEAST_S = 4.0
# 500 micro-pools: the busy one, and one client in each of the others.
USERS = 125
DATABASES = 4
BESIDE = 499
SCRAPES_PER_S = 2.0
PAGES = 20
PROCESSES = 4
LIMIT = Limit(50.0, 20.0)
LIMIT_APART = Limit(1.3, 1.1)
CASE = f"{BESIDE + 1} micro-pools"


def measure(world: World) -> list[Row]:
    """Take the p99 of paced statements while nobody looks, and while it is scraped and pages are
    open; and how long one scrape takes.

    A second Forebay with as many micro-pools and clients is looked at once, too: what that changes
    for the clients of the first is what the onlookers, and the node that answers them, cost by
    their use of two cores, whoever is looked at.
    """
    idle = world.options.idle_clients
    case = f"{CASE}, {idle:,} idle clients"
    scrape = Row("looking", case, "one scrape", "ms", limit=LIMIT, limit_of_ratio=False)
    size = Row("looking", case, "its size", "kB")
    calm = Row("looking", case, "p99, nobody looks", "ms")
    elsewhere = Row("looking", case, "p99, another is looked at", "ms")
    looked = Row("looking", case, f"p99, {SCRAPES_PER_S:g} scrapes/s, {PAGES} pages", "ms")
    apart = Row(
        "looking",
        case,
        "looked at ÷ another looked at",
        "",
        limit=LIMIT_APART,
        limit_of_ratio=False,
    )
    names = world.make_users(USERS)
    databases = [world.database.database, *world.make_databases(DATABASES - 1)]
    places = [(database, name) for database in databases for name in names][:BESIDE]
    sides = (Side.FOREBAY,)
    with (
        world.stands(tls=False, connections=CONNECTIONS, sides=sides, more_users=names) as stands,
        world.stands(tls=False, connections=CONNECTIONS, sides=sides, more_users=names) as others,
    ):
        second = {stand.side: stand for stand in others}

        def sample(stand: Stand) -> None:
            calm_ms = p99(world, stand)
            with Onlookers(second[stand.side]):
                elsewhere_ms = p99(world, stand)
            with Onlookers(stand) as onlookers:
                looked_ms = p99(world, stand)
            calm.add(stand.side, calm_ms)
            elsewhere.add(stand.side, elsewhere_ms)
            looked.add(stand.side, looked_ms)
            apart.add(stand.side, looked_ms / elsewhere_ms)
            scrape.add(stand.side, statistics.median(onlookers.scrapes_ms))
            size.add(stand.side, onlookers.size_bytes / 1024)

        with contextlib.ExitStack() as stack:
            for stand in [*stands, *others]:
                stack.enter_context(logged_in_beside(world, stand, places))
                crowd = world.loading("idle", stand.target, clients=idle, processes=PROCESSES)
                stack.enter_context(crowd)
            world.rounds(stands, "looking", sample)
    return [scrape, size, calm, elsewhere, looked, apart]


def p99(world: World, stand: Stand) -> float:
    """Give the p99 in ms of statements that come at an even pace. Raises PgbenchError."""
    seconds = max(world.options.seconds, LEAST_S)
    load = Load(CLIENTS, seconds=seconds, rate=STATEMENTS_PER_S, log=True)
    log = settled(world.run(stand.target, load).log)
    return percentile([entry.served_us for entry in log], 99) / 1000


class Onlookers:
    """A scraper and open pages, for the length of ``with``."""

    def __init__(self, stand: Stand) -> None:
        self.scrapes_ms: list[float] = []
        self.size_bytes = 0
        self._address = stand.control
        self._end = threading.Event()
        self._pages: list[http.client.HTTPConnection] = []
        self._thread = threading.Thread(target=self._scrape)

    def __enter__(self) -> Self:
        for _ in range(PAGES):
            page = http.client.HTTPConnection(*self._address, timeout=10)
            page.request("GET", "/api/live")
            page.getresponse()
            self._pages.append(page)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        for page in self._pages:
            page.close()

    def _scrape(self) -> None:
        while not self._end.wait(1 / SCRAPES_PER_S):
            connection = http.client.HTTPConnection(*self._address, timeout=10)
            with contextlib.closing(connection):
                began = time.perf_counter()
                connection.request("GET", "/metrics")
                self.size_bytes = len(connection.getresponse().read())
                self.scrapes_ms.append((time.perf_counter() - began) * 1000)
