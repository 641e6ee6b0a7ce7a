"""Large results and COPY: what a byte costs."""

from bench.figures import Limit
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

CONNECTIONS = 20
LIMIT = Limit(1.0, 0.7)
KINDS = {"rows": "result rows", "copy_out": "COPY out", "copy_in": "COPY in"}


def measure(world: World) -> list[Row]:
    """Move rows of 1,000 bytes each way, to and from a client that does nothing with them."""
    rows = []
    sizes: dict[str, int] = {}
    for tls in (False, True):
        with world.stands(tls=tls, connections=CONNECTIONS) as stands:
            for kind, words in KINDS.items():
                case = f"{words}, {'TLS' if tls else 'plain'}"
                cpu = Row("bulk", case, "proxy CPU per byte", "ns", limit=LIMIT)
                rate = Row("bulk", case, "throughput", "MB/s")

                def sample(
                    stand: Stand, kind: str = kind, cpu: Row = cpu, rate: Row = rate
                ) -> None:
                    mebibytes = world.options.mebibytes
                    before = stand.usage()
                    answer = world.load("transfer", stand.target, kind=kind, mebibytes=mebibytes)
                    used = stand.usage().since(before)
                    # Whoever comes first says how long the answer is; no byte may be missing.
                    if answer.done != sizes.setdefault(kind, answer.done):
                        wrong = f"{answer.done} bytes where {sizes[kind]} were expected"
                        world.fail(stand.side, f"bulk, {kind}", wrong)
                    rate.add(stand.side, answer.done / answer.elapsed_s / 1e6)
                    if stand.side is not Side.DIRECT:
                        cpu.add(stand.side, used.cpu_ns / answer.done)

                world.rounds(stands, f"bulk, {case}", sample)
                rows += [cpu, rate]
    return rows
