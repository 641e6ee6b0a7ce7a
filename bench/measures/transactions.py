"""CPU time per transaction and throughput: 16 clients that never wait for a connection."""

from statistics import median

from bench.figures import Limit
from bench.pgbench import Load
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CLIENTS = 16
CONNECTIONS = 20
PROTOCOLS = {
    "simple": Limit(1.00, 0.85),
    "extended": Limit(1.00, 0.80),
    "prepared": Limit(1.00, 0.80),
}
TLS_LIMIT = Limit(1.05, 0.85)
START_SAMPLES = 3


class PerTransaction:
    """Measures one load's CPU time per transaction on each stand, start-up taken off."""

    def __init__(
        self, world: World, measure: str, case: str, limit: Limit | None, load: Load
    ) -> None:
        self.world, self.load = world, load
        self.cpu = Row(measure, case, "proxy CPU per transaction", "µs", limit=limit)
        self.user = Row(measure, case, "of it user code", "µs")
        self.rate = Row(measure, case, "throughput", "1/s")
        self._start_ns: dict[Side, float] = {}

    def sample(self, stand: Stand) -> None:
        """Run the load once on ``stand`` and add to the rows. Raises PgbenchError, SideError."""
        if stand.side not in self._start_ns:
            self._start_ns[stand.side] = self._start_cost(stand)
        before = stand.usage()
        summary = self.world.run(stand.target, self.load).summary
        used = stand.usage().since(before)
        self.rate.add(stand.side, summary.per_second)
        if stand.process is not None:
            extra_ns = used.cpu_ns - self._start_ns[stand.side]
            transactions = summary.transactions - self.load.clients
            each_us = extra_ns / max(1, transactions) / 1000
            self.cpu.add(stand.side, each_us)
            self.user.add(stand.side, each_us * used.user_share)

    def _start_cost(self, stand: Stand) -> float:
        """Give the CPU time of logging in and one transaction each; warms the stand up too."""
        load = Load(
            self.load.clients,
            transactions=1,
            protocol=self.load.protocol,
            script=self.load.script,
            variables=self.load.variables,
        )
        costs = []
        for _ in range(START_SAMPLES + 1):
            before = stand.usage()
            self.world.run(stand.target, load)
            costs.append(stand.usage().since(before).cpu_ns)
        return median(costs[1:])


def measure(world: World) -> list[Row]:
    """Run ``pgbench -S`` in each protocol, plain and with TLS."""
    rows = []
    for tls in (False, True):
        with world.stands(tls=tls, connections=CONNECTIONS) as stands:
            for protocol, plain_limit in PROTOCOLS.items():
                case = f"{protocol}, {'TLS' if tls else 'plain'}"
                limit = TLS_LIMIT if tls else plain_limit
                load = Load(CLIENTS, seconds=world.options.seconds, protocol=protocol)
                shown = comparable(world, stands, protocol)
                one = PerTransaction(world, "transactions", case, limit, load)
                world.rounds(shown, f"transactions, {case}", one.sample)
                rows += [one.cpu, one.user, one.rate]
    return rows


def comparable(world: World, stands: list[Stand], protocol: str) -> list[Stand]:
    """Leave PgBouncer out of the prepared protocol if it cannot do it in transaction mode."""
    old = world.pgbouncer is not None and not world.pgbouncer.multiplexes_prepared
    if protocol != "prepared" or not old:
        return stands
    return [stand for stand in stands if stand.side is not Side.PGBOUNCER]
