"""What a proxy adds to a statement's time when nothing else happens: one client."""

from bench.figures import Limit, grouped_median
from bench.pgbench import Load, settled
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CONNECTIONS = 20
BOUND_US = 20


def measure(world: World) -> list[Row]:
    """Run ``pgbench -S -c 1`` and take the median of its log."""
    rows = []
    for protocol, tls in (("simple", False), ("prepared", False), ("simple", True)):
        case = f"{protocol}, {'TLS' if tls else 'plain'}"
        total = Row("latency", case, "p50 at one client", "µs")
        load = Load(1, seconds=world.options.seconds, protocol=protocol, log=True)

        def sample(stand: Stand, total: Row = total, load: Load = load) -> None:
            log = settled(world.run(stand.target, load).log)
            total.add(stand.side, grouped_median([entry.latency_us for entry in log]))

        with world.stands(tls=tls, connections=CONNECTIONS) as stands:
            if protocol == "prepared" and not _prepared(world):
                stands = [stand for stand in stands if stand.side is not Side.PGBOUNCER]
            world.rounds(stands, f"latency, {case}", sample)
        rows += [total, added(total)]
    return rows


def added(total: Row) -> Row:
    """Give what each proxy adds to the direct figure of the same round."""
    row = Row(total.measure, total.case, "p50 added", "µs", limit_of_ratio=False)
    direct = total.samples.get(Side.DIRECT, [])
    for side in (Side.PGBOUNCER, Side.FOREBAY):
        for whole, base in zip(total.samples.get(side, []), direct, strict=False):
            row.add(side, whole - base)
    # The goal is what PgBouncer adds in the same run.
    row.limit = Limit(BOUND_US, row.value(Side.PGBOUNCER))
    return row


def _prepared(world: World) -> bool:
    return world.pgbouncer is None or world.pgbouncer.multiplexes_prepared
