"""How long clients wait for a connection: the queue M/M/c with a finite number of clients.

A pool is a closed system: a client that waits sends nothing more. So the model is M/M/c//N (the
"machine repair" or "machine interference" model; Gross, Shortle, Thompson and Harris, Fundamentals
of Queueing Theory, "finite-source queues"), and not M/M/c, whose clients never run out: that one
has endless queues from a utilisation of 1 on, where real clients only slow each other down.

Of N clients each thinks for a time (mean Z), asks for one of c connections, first come, first
served, and holds it for a time (mean S); both are distributed exponentially.
"""

import math
from dataclasses import dataclass
from functools import cached_property

# Probabilities below this are left out: of 100,000 states most are never seen.
_NEGLIGIBLE = 1e-18
_FAR = 10.0  # in standard deviations of a Poisson distribution, and a bit for small ones


@dataclass(frozen=True)
class Prediction:
    """What clients meet in the long run. Times in seconds, of all transactions, waiting or not."""

    connections: int
    utilisation: float  # the share of time that a connection is held
    transactions_per_s: float
    waits_share: float  # the probability that a client has to wait
    wait_mean_s: float
    wait_p99_s: float
    queue_mean: float  # how many clients wait at a time


class FiniteSource:
    """The queue of `clients` (N) with mean times `hold_s` (S) and `think_s` (Z) at `connections`
    (c)."""

    def __init__(self, clients: int, hold_s: float, think_s: float, connections: int) -> None:
        if clients < 1 or connections < 1 or hold_s <= 0 or think_s <= 0:
            raise ValueError("clients, connections and times are above 0")
        self.clients = clients
        self.hold_s = hold_s
        self.think_s = think_s
        self.connections = connections

    def predict(self) -> Prediction:
        """All of it."""
        states = _states(self.clients, self.hold_s / self.think_s, self.connections)
        busy = sum(share * min(n, self.connections) for n, share in states)
        queue = sum(share * (n - self.connections) for n, share in states if n > self.connections)
        rate = busy / self.hold_s
        return Prediction(
            connections=self.connections,
            utilisation=busy / self.connections,
            transactions_per_s=rate,
            waits_share=self.exceeds(0.0),
            wait_mean_s=queue / rate,  # Little's law
            wait_p99_s=self.wait_quantile_s(0.99),
            queue_mean=queue,
        )

    @cached_property
    def _found(self) -> list[tuple[int, float]]:
        """What a client finds when it asks: by the arrival theorem, what is there in the long run
        if there is one client less. Only the states in which it waits: (those before it, share)."""
        if self.clients <= self.connections:
            return []
        states = _states(self.clients - 1, self.hold_s / self.think_s, self.connections)
        return [(n - self.connections, p) for n, p in states if n >= self.connections]

    def exceeds(self, seconds: float) -> float:
        """The probability that a client waits for longer than that.

        Who finds k clients waiting gets a connection when k + 1 have come free, one each S/c on
        average: an Erlang-distributed time.
        """
        passed = seconds * self.connections / self.hold_s
        total = 0.0
        # P(Erlang(k + 1) > t) is the probability of at most k events by then, mean `passed`. Far
        # from the mean nothing is added.
        spread = _FAR * math.sqrt(passed) + _FAR
        first, last = max(0, int(passed - spread)), int(passed + spread)
        cumulated, at = 0.0, first - 1
        for before, share in self._found:
            for events in range(at + 1, min(before, last) + 1):
                cumulated += _poisson(events, passed)
            at = max(at, before)
            total += share * min(1.0, cumulated)
        return min(1.0, total)

    def wait_quantile_s(self, share: float) -> float:
        """The time that this share of the waits (0.99, say) does not exceed."""
        tail = 1 - share
        if self.exceeds(0.0) <= tail:
            return 0.0
        high = self.hold_s / self.connections
        while self.exceeds(high) > tail:
            high *= 2
        low = 0.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.exceeds(middle) > tail else (low, middle)
        return high


def connections_needed(clients: int, hold_s: float, think_s: float, wait_s: float) -> int:
    """The fewest connections with which 99 % of the waits are not longer than this."""

    def suffices(connections: int) -> bool:
        queue = FiniteSource(clients, hold_s, think_s, connections)
        return queue.exceeds(wait_s) <= 0.01

    low, high = 1, clients  # with one for each nobody waits
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle + 1, high)
    return low


def _states(clients: int, ratio: float, connections: int) -> list[tuple[int, float]]:
    """How likely it is in the long run that n clients hold or want a connection; where it matters.

    In logarithms: the numbers are far beyond what a float holds.
    """
    logs = [0.0]
    for n in range(1, clients + 1):
        rate = (clients - n + 1) * ratio / min(n, connections)
        logs.append(logs[-1] + math.log(rate))
    highest = max(logs)
    weights = [math.exp(value - highest) for value in logs]
    total = sum(weights)
    return [(n, w / total) for n, w in enumerate(weights) if w > _NEGLIGIBLE * total]


def _poisson(events: int, mean: float) -> float:
    if mean == 0:
        return 1.0 if events == 0 else 0.0
    return math.exp(events * math.log(mean) - mean - math.lgamma(events + 1))
