"""How evenly clients wait when there are 30 times more of them than connections."""

from bench.figures import Limit, percentile
from bench.pgbench import Load, settled
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CLIENTS = 300
CONNECTIONS = 10
LIMIT = Limit(1.5, 1.1)
# The first asks as fast as it can, and pgbench's own turn is part of the wait; in the second the
# database is the only one who takes time, so the order of the proxy's queue is all that shows.
# The number is how many a second are expected: runs go by count, because pgbench's time runs
# while it connects, and connecting 300 clients by SCRAM takes it seconds.
SCRIPTS = {
    "select only": (None, 12_000),
    "5 ms statements": ("SELECT pg_sleep(0.005);\n", 1_900),
}
LEAST_S = 3.0


def measure(world: World) -> list[Row]:
    """Run 300 clients over 10 connections and compare the slow with the usual."""
    rows = []
    seconds = max(world.options.seconds, LEAST_S)
    # Directly, 300 clients do not fit into the database at all.
    sides = (Side.PGBOUNCER, Side.FOREBAY)
    with world.stands(tls=False, connections=CONNECTIONS, sides=sides) as stands:
        for case, (script, per_second) in SCRIPTS.items():
            p50 = Row("waiting", case, "p50", "ms")
            p99 = Row("waiting", case, "p99", "ms")
            spread = Row("waiting", case, "p99 ÷ p50", "", limit=LIMIT, limit_of_ratio=False)
            each = round(seconds * per_second / CLIENTS)
            load = Load(CLIENTS, transactions=each, script=script, log=True)

            def sample(
                stand: Stand, rows: tuple[Row, Row, Row] = (p50, p99, spread), load: Load = load
            ) -> None:
                log = settled(world.run(stand.target, load).log)
                latencies = [entry.latency_us / 1000 for entry in log]
                usual, slow = percentile(latencies, 50), percentile(latencies, 99)
                for row, value in zip(rows, (usual, slow, slow / usual), strict=True):
                    row.add(stand.side, value)

            world.rounds(stands, f"waiting, {case}", sample)
            rows += [p50, p99, spread]
        check_connections(world, stands)
    return rows


def check_connections(world: World, stands: list[Stand]) -> None:
    """See that nobody used more database connections than the comparison gives to each."""
    [(text,)] = world.server.sql(
        f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{world.database.user}'"
    )
    allowed = CONNECTIONS * len(stands)
    if int(text or 0) > allowed:
        names = " and ".join(stand.side for stand in stands)
        world.failures.append(f"waiting: {names} hold {text} database connections, not {allowed}")
