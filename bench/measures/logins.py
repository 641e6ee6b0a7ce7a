"""New connections: SCRAM over plain TCP and over TLS, several at once."""

from bench.figures import Limit, Sense, percentile
from bench.load import Answer
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CONNECTIONS = 20
PROCESSES = 8
TLS_LIMIT = Limit(1.0, 2.0, Sense.AT_LEAST)
WARM_UP_S = 0.3


def take(world: World, stand: Stand, rate: Row, cpu: Row) -> Answer:
    """Have processes log in over and over; note how many a second, and the proxy's CPU for each."""
    request = {"processes": PROCESSES, "rate": None}
    if stand.side not in rate.samples:
        world.load("logins", stand.target, seconds=WARM_UP_S, **request)
    before = stand.usage()
    answer = world.load("logins", stand.target, seconds=world.options.seconds, **request)
    used = stand.usage().since(before)
    rate.add(stand.side, answer.done / answer.elapsed_s)
    if stand.side is not Side.DIRECT:
        cpu.add(stand.side, used.cpu_ns / max(1, answer.done) / 1e6)
    return answer


def measure(world: World) -> list[Row]:
    """Log in and leave for a while from several processes.

    The load shares the processor with the proxy, so logins per second is what both achieve
    together; the CPU time per login is the proxy's alone.
    """
    rows = []
    for tls in (False, True):
        case = "TLS + SCRAM" if tls else "plain + SCRAM"
        rate = Row("logins", case, "logins per second", "1/s", limit=TLS_LIMIT if tls else None)
        cpu = Row("logins", case, "proxy CPU per login", "ms")
        p99 = Row("logins", case, "p99 of a login", "ms")

        def sample(stand: Stand, rows: tuple[Row, Row, Row] = (rate, cpu, p99)) -> None:
            answer = take(world, stand, *rows[:2])
            rows[2].add(stand.side, percentile(answer.latencies_us, 99) / 1000)

        with world.stands(tls=tls, connections=CONNECTIONS) as stands:
            world.rounds(stands, f"logins, {case}", sample)
        rows += [rate, cpu, p99]
    return rows
