"""New connections with IAM tokens: one after the other, a thousand at once, and what they do to
clients that are already at work. PgBouncer has nothing like them, so it takes no part.
"""

from bench.figures import percentile
from bench.measures.logins import PROCESSES, take
from bench.measures.storm import LOGINS_PER_S, p99
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CONNECTIONS = 20
FUNCTIONS = 1000


def measure(world: World) -> list[Row]:
    """Log in with tokens, each made anew, over TLS; each client leaves again, but for the thousand,
    of whom all connect before the first one leaves. Signing is the load's own work."""
    rate = Row("tokens", "TLS + IAM token", "logins per second", "1/s")
    cpu = Row("tokens", "TLS + IAM token", "proxy CPU per login", "ms")
    burst = Row("tokens", f"{FUNCTIONS} functions at once", "until the last one is in", "s")
    slowest = Row("tokens", f"{FUNCTIONS} functions at once", "p99 of a login", "s")
    case = f"{LOGINS_PER_S} IAM logins/s"
    calm = Row("tokens", case, "p99 calm", "ms")
    storm = Row("tokens", case, "p99 in the storm", "ms")
    ratio = Row("tokens", case, "storm ÷ calm", "")

    def sample(stand: Stand) -> None:
        take(world, stand, rate, cpu)
        answer = world.load("burst", stand.target, clients=FUNCTIONS, processes=PROCESSES)
        burst.add(stand.side, answer.elapsed_s)
        slowest.add(stand.side, percentile(answer.latencies_us, 99) / 1e6)
        calm_ms, _ = p99(world, stand, None)
        storm_ms, _ = p99(world, stand, stand.target)
        calm.add(stand.side, calm_ms)
        storm.add(stand.side, storm_ms)
        ratio.add(stand.side, storm_ms / calm_ms)

    with world.stands(
        tls=True, connections=CONNECTIONS, sides=(Side.FOREBAY,), tokens=True
    ) as stands:
        world.rounds(stands, "logins with tokens", sample)
    return [rate, cpu, burst, slowest, calm, storm, ratio]
