"""What a connected client costs that does nothing."""

import functools
import time

from bench.figures import Limit
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CONNECTIONS = 20
# Connected before the first look, so that what is set up once is not divided among clients.
BASE_CLIENTS = 100
PROCESSES = 4
SETTLE_S = 1.0
LIMITS = {False: Limit(1.0, 0.5), True: Limit(16.0, 8.0)}


def measure(world: World) -> list[Row]:
    """Connect many clients that ask once each, then look at the proxies' memory."""
    rows = []
    count = world.options.idle_clients
    for tls in (False, True):
        case = f"{count:,} clients, {'TLS' if tls else 'plain'}"
        row = Row("memory", case, "per idle client", "kB", limit=LIMITS[tls], limit_of_ratio=False)

        def sample(stand: Stand, row: Row = row) -> None:
            with world.loading("idle", stand.target, clients=BASE_CLIENTS):
                time.sleep(SETTLE_S)
                before = stand.memory_bytes()
                with world.loading("idle", stand.target, clients=count, processes=PROCESSES):
                    time.sleep(SETTLE_S)
                    row.add(stand.side, (stand.memory_bytes() - before) / count / 1024)

        # One round on fresh processes: memory is not noisy, and a second round would be served
        # from what the first one left.
        sides = (Side.PGBOUNCER, Side.FOREBAY)
        with world.stands(tls=tls, connections=CONNECTIONS, sides=sides) as stands:
            for stand in stands:
                world.progress(f"memory, {case}: {stand.side}")
                world.attempt(stand.side, f"memory, {case}", functools.partial(sample, stand))
        rows.append(row)
    return rows
