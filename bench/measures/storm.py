"""What a storm of logins does to clients that are already at work."""

import threading

from bench.figures import Limit, percentile
from bench.pgbench import Load, settled
from bench.results import Row
from bench.sides import Side, Stand
from bench.target import Target
from bench.world import LoadError, World

CONNECTIONS = 20
LIMIT = Limit(2.0, 1.1)
CLIENTS = 4
# Far below what a core can do, so that waiting shows and not a lack of processors.
STATEMENTS_PER_S = 1000
LOGINS_PER_S = 200
PROCESSES = 4
LEAST_S = 3.0
# The storm begins before the statements and ends after them.
MARGIN_S = 0.5


def measure(world: World) -> list[Row]:
    """Take the p99 of paced statements in calm, and while TLS + SCRAM logins pour in.

    A second proxy of the same kind takes the same storm once: what it changes for the clients of
    the first is what the storm's use of the processor costs them, whoever serves it.
    """
    rows = [
        Row("storm", f"{LOGINS_PER_S} TLS logins/s", q, "ms")
        for q in ("p99 calm", "p99, storm elsewhere", "p99 in the storm")
    ]
    ratio = Row("storm", rows[0].case, "storm ÷ calm", "", limit=LIMIT, limit_of_ratio=False)
    apart = Row("storm", rows[0].case, "storm ÷ storm elsewhere", "")
    sides = (Side.PGBOUNCER, Side.FOREBAY)
    with (
        world.stands(tls=True, connections=CONNECTIONS, sides=sides) as stands,
        world.stands(tls=True, connections=CONNECTIONS, sides=sides) as others,
    ):
        second = {stand.side: stand.target for stand in others}

        def sample(stand: Stand) -> None:
            calm = statements(world, stand, None)
            elsewhere = statements(world, stand, second[stand.side])
            storm = statements(world, stand, stand.target)
            for row, value in zip(rows, (calm, elsewhere, storm), strict=True):
                row.add(stand.side, value)
            ratio.add(stand.side, storm / calm)
            apart.add(stand.side, storm / elsewhere)

        both = [stand for stand in stands if stand.side in second]
        world.rounds(both, "storm", sample)
    return [*rows, ratio, apart]


def statements(world: World, stand: Stand, storm: Target | None) -> float:
    """Give the p99 in ms of statements on ``stand`` while ``storm`` is logged in to.

    Raises PgbenchError or LoadError.
    """
    seconds = max(world.options.seconds, LEAST_S)
    errors: list[LoadError] = []

    def blow() -> None:
        assert storm is not None
        try:
            world.load(
                "logins",
                storm,
                seconds=seconds + 2 * MARGIN_S,
                processes=PROCESSES,
                rate=LOGINS_PER_S,
            )
        except LoadError as error:
            errors.append(error)

    thread = threading.Thread(target=blow)
    if storm is not None:
        thread.start()
    try:
        threading.Event().wait(MARGIN_S)
        load = Load(CLIENTS, seconds=seconds, rate=STATEMENTS_PER_S, log=True)
        log = settled(world.run(stand.target, load).log)
    finally:
        if storm is not None:
            thread.join()
    if errors:
        raise errors[0]
    return percentile([entry.served_us for entry in log], 99) / 1000
