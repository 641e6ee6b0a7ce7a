"""What a storm of logins does to clients that are already at work."""

import threading
import time

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
TAKEN_LEAST = 0.8
PROCESSES = 4
LEAST_S = 3.0
# The storm begins before the statements and ends after them.
MARGIN_S = 0.5
CASE = f"{LOGINS_PER_S} TLS logins/s"


def measure(world: World) -> list[Row]:
    """Take the p99 of paced statements in calm, and while TLS + SCRAM logins pour in.

    The load that logs in gives way to everything else, so that its own use of the processor delays
    as little as may be. A second proxy of the same kind takes the same storm once: what that
    changes for the clients of the first is what the storm's use of the processor costs them,
    whoever serves it.
    """
    calm = Row("storm", CASE, "p99 calm", "ms")
    elsewhere = Row("storm", CASE, "p99, storm elsewhere", "ms")
    storm = Row("storm", CASE, "p99 in the storm", "ms")
    rate = Row("storm", CASE, "logins served in it", "1/s")
    ratio = Row("storm", CASE, "storm ÷ calm", "", limit=LIMIT, limit_of_ratio=False)
    apart = Row("storm", CASE, "storm ÷ storm elsewhere", "")
    sides = (Side.PGBOUNCER, Side.FOREBAY)
    with (
        world.stands(tls=True, connections=CONNECTIONS, sides=sides) as stands,
        world.stands(tls=True, connections=CONNECTIONS, sides=sides) as others,
    ):
        second = {stand.side: stand.target for stand in others}

        def sample(stand: Stand) -> None:
            calm_ms, _ = p99(world, stand, None)
            elsewhere_ms, _ = p99(world, stand, second[stand.side])
            storm_ms, per_second = p99(world, stand, stand.target)
            calm.add(stand.side, calm_ms)
            elsewhere.add(stand.side, elsewhere_ms)
            storm.add(stand.side, storm_ms)
            rate.add(stand.side, per_second)
            ratio.add(stand.side, storm_ms / calm_ms)
            apart.add(stand.side, storm_ms / elsewhere_ms)

        both = [stand for stand in stands if stand.side in second]
        world.rounds(both, "storm", sample)
    if (rate.value(Side.FOREBAY) or 0) < LOGINS_PER_S * TAKEN_LEAST:
        ratio.limit = None  # that was no storm
        ratio.note = "too few logins to judge"
    return [calm, elsewhere, storm, rate, ratio, apart]


def p99(world: World, stand: Stand, stormed: Target | None) -> tuple[float, float]:
    """Give the p99 in ms of statements on ``stand`` while ``stormed`` is logged in to.

    The second figure is how many logins it took per second. Raises PgbenchError or LoadError.
    """
    seconds = max(world.options.seconds, LEAST_S)
    storm = Storm(world, stormed, seconds + 2 * MARGIN_S)
    with storm:
        time.sleep(MARGIN_S)
        load = Load(CLIENTS, seconds=seconds, rate=STATEMENTS_PER_S, log=True)
        log = settled(world.run(stand.target, load).log)
    if storm.error is not None:
        raise storm.error
    return percentile([entry.served_us for entry in log], 99) / 1000, storm.per_second


class Storm:
    """Logins in the background for the length of ``with``; none if there is no target."""

    def __init__(self, world: World, target: Target | None, seconds: float) -> None:
        self.error: LoadError | None = None
        self.per_second = 0.0
        self._world, self._target, self._seconds = world, target, seconds
        self._thread = threading.Thread(target=self._blow)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()  # bounded: the load ends by itself

    def _blow(self) -> None:
        if self._target is None:
            return
        try:
            answer = self._world.load(
                "logins",
                self._target,
                seconds=self._seconds,
                processes=PROCESSES,
                rate=LOGINS_PER_S,
                yielding=True,
            )
        except LoadError as error:
            self.error = error
        else:
            self.per_second = answer.done / answer.elapsed_s
