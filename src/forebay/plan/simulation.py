"""The same clients, one event after another: a check of the formulas, and of clients that differ.

The formulas know one kind of client. Here each kind keeps its own times; connections are given out
first come, first served, as Forebay does it. With the same seed it comes to the same, always.
"""

import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from forebay.plan.clients import Clients

SEED: Final = 20_260_101
LEAST_TRANSACTIONS: Final = 60_000
_FOR_EACH_CLIENT: Final = 5  # transactions at least, so that queues have time to build up
_WARM_UP: Final = 0.25  # of the transactions, which are not counted

_ASKS: Final = 0
_ENDS: Final = 1


@dataclass(frozen=True)
class Simulated:
    """What was counted; as `queueing.Prediction`."""

    transactions: int
    utilisation: float
    transactions_per_s: float
    waits_share: float
    wait_mean_s: float
    wait_p99_s: float


def simulate(
    groups: Sequence[Clients], connections: int, *, seed: int = SEED, transactions: int = 0
) -> Simulated:
    """Run all clients at so many connections. `transactions`: how many to count; 0: enough."""
    choice = random.Random(seed)  # noqa: S311 - no secret
    clients = [each for each in groups for _ in range(each.count)]
    wanted = transactions or max(LEAST_TRANSACTIONS, _FOR_EACH_CLIENT * len(clients))
    warm_up = int(wanted * _WARM_UP)
    events = [
        (choice.expovariate(1 / client.think_s), index, _ASKS)
        for index, client in enumerate(clients)
    ]
    heapq.heapify(events)
    queue: deque[tuple[float, int]] = deque()
    free = connections
    waits: list[float] = []
    ended, held_s, began_s, now_s = 0, 0.0, 0.0, 0.0
    while ended < warm_up + wanted:
        now_s, index, kind = heapq.heappop(events)
        counts = ended >= warm_up
        if kind == _ASKS:
            queue.append((now_s, index))
        else:
            free += 1
            ended += 1
            think_s = choice.expovariate(1 / clients[index].think_s)
            heapq.heappush(events, (now_s + think_s, index, _ASKS))
            if ended == warm_up:
                began_s, held_s, counts = now_s, 0.0, True
        if free and queue:
            asked_s, index = queue.popleft()
            free -= 1
            hold_s = choice.expovariate(1 / clients[index].hold_s)
            heapq.heappush(events, (now_s + hold_s, index, _ENDS))
            if counts:
                waits.append(now_s - asked_s)
                held_s += hold_s
    took_s = now_s - began_s
    waits.sort()
    return Simulated(
        transactions=len(waits),
        utilisation=held_s / took_s / connections,
        transactions_per_s=wanted / took_s,
        waits_share=sum(wait > 0 for wait in waits) / len(waits),
        wait_mean_s=sum(waits) / len(waits),
        wait_p99_s=waits[int(0.99 * (len(waits) - 1))],
    )
