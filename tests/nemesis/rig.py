"""A pair, clients at work on it through something that is under test, and rounds of faults."""

import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from tests.nemesis.account import (
    Account,
    Op,
    account,
    first_success_s,
    longest_stall_s,
    percentile,
)
from tests.nemesis.faults import Fault
from tests.nemesis.load import END_TIMEOUT_S, SMALL, History, Load, Shape
from tests.nemesis.pair import LOGIN, Pair, Server, witness
from tests.nemesis.session import LostError, RawSession, Session

SETTLED_WRITES = 40  # acknowledged before a fault strikes, and after the next server has taken over


@dataclass(frozen=True, slots=True)
class Front:
    """What the clients connect to. ``promoted``: what its users do when the writer has changed;
    ``repair``: what they do when clients do not get there by themselves."""

    name: str
    connect: Callable[[bool], Awaitable[Session]]
    promoted: Callable[[Pair], None] = lambda _: None
    repair: Callable[[Pair], None] = lambda _: None


def at(name: str, port: int, promoted: Callable[[Pair], None] = lambda _: None) -> Front:
    """A proxy that listens on 127.0.0.1."""

    async def connect(extended: bool) -> Session:
        return await RawSession.connect("127.0.0.1", port, LOGIN, extended=extended)

    return Front(name, connect, promoted)


def direct(pair: Pair) -> Front:
    """No proxy: each client looks for the server that is no standby, whenever it connects."""

    async def connect(extended: bool) -> Session:
        error = LostError("refused", "no server writes")
        for server in pair.servers:
            try:
                session = await RawSession.connect(
                    server.host, server.port, LOGIN, extended=extended
                )
            except LostError as refusal:
                error = refusal
                continue
            if session.parameters.get("in_hot_standby") == "off":
                return session
            session.close()
        raise error

    return Front("direct", connect)


@dataclass(frozen=True, slots=True)
class Round:
    """One change of the writer. Times are time.monotonic.

    ``struck_s``: before the fault; ``direct_s``: when the new one has taken a direct write; the
    ports are those of the servers.
    """

    fault: str
    struck_s: float
    direct_s: float
    old_port: int
    new_port: int
    over_s: float  # when clients had been at work on the new one for a while


@dataclass(slots=True)
class Result:
    """What came of all rounds together. ``first_success_s`` counts from the first direct write."""

    front: str
    account: Account
    history: History
    rounds: list[Round]
    first_success_s: list[float] = field(default_factory=list)
    stall_s: list[float] = field(default_factory=list)

    def assert_clean(self) -> None:
        """Nothing is lost, done twice, or there against what a client was told."""
        assert not self.history.mistakes, self.history.mistakes[0]
        assert self.history.hung == 0
        assert self.account.is_clean, str(self.account)
        assert self.account.outcomes["ok"] > 0, "nothing was written"

    def assert_idle_stayed(self) -> None:
        assert not self.history.dropped, self.history.dropped

    @property
    def failed_between(self) -> list[Op]:
        """Writes that ended with an error."""
        return [op for op in self.history.ops if op.sqlstate]

    def as_json(self) -> dict[str, Any]:
        found = self.account
        return {
            "front": self.front,
            "rounds": len(self.rounds),
            "fault": sorted({each.fault for each in self.rounds}),
            "first_success_ms": summary(self.first_success_s),
            "stall_ms": summary(self.stall_s),
            "outcomes": dict(found.outcomes),
            "errors": dict(found.errors),
            "refused": dict(self.history.refused),
            "idle_dropped": len(self.history.dropped),
            "hung": self.history.hung,
            **{name: len(asdict(found)[name]) for name in ("lost", "dup", "phantom", "torn")},
        }


def summary(values_s: list[float]) -> dict[str, float]:
    """p50, p99 and the most, in ms."""
    if not values_s:
        return {}
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(1000 * percentile(values_s, share), 1) for name, share in shares.items()}


class Rig:
    """``with Rig(pair, front) as rig:`` clients are at work; ``fail_over`` as often as wanted, then
    ``finish`` says what came of it."""

    def __init__(self, pair: Pair, front: Front, shape: Shape = SMALL, seed: int = 0) -> None:
        self.pair = pair
        self.front = front
        self.load = Load(front.connect, shape, seed)
        self.rounds: list[Round] = []

    def __enter__(self) -> Self:
        self.load.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.load.close()

    def fail_over(self, fault: Fault) -> Round:
        """A fault strikes the primary, the standby is promoted, clients work there."""
        self.load.go_on(SETTLED_WRITES)
        struck = self.strike(fault)
        self.settle(self.pair.primary, struck.direct_s)
        return self.keep(struck)

    def strike(self, fault: Fault) -> Round:
        """The fault and the promotion; clients may be anywhere."""
        old, new = self.pair.primary, self.pair.standby
        with witness(new) as observer:
            struck_s = time.monotonic()
            fault(self.pair)
            self.pair.promote()
            self.front.promoted(self.pair)
            direct_s = observer.first_write_s()
        return Round(fault.__name__, struck_s, direct_s, old.port, new.port, direct_s)

    def settle(self, server: Server, after_s: float, timeout_s: float = 60.0) -> None:
        """Waits until clients write on this server, and go on to. Raises AssertionError."""
        self.load.wait_for_port(server.port, after_s, timeout_s)
        self.load.go_on(SETTLED_WRITES, timeout_s)

    def keep(self, struck: Round) -> Round:
        """The round is over now."""
        done = replace(struck, over_s=time.monotonic())
        self.rounds.append(done)
        return done

    def fail_over_often(self, fault: Fault, rounds: int) -> None:
        """So often, the old one coming back as a standby each time."""
        for number in range(rounds):
            self.fail_over(fault)
            if number < rounds - 1:
                self.pair.rejoin()

    def finish(self, patience_s: float = END_TIMEOUT_S) -> Result:
        """Ends the load, and holds what clients were told against what is there; ``patience_s``:
        how long a client may wait for its last answer."""
        history = self.load.end(patience_s)
        found = account(history.ops, self.pair.primary.rows())
        result = Result(self.front.name, found, history, self.rounds)
        for each in self.rounds:
            result.stall_s.append(longest_stall_s(history.ops, each.struck_s, each.over_s))
            with contextlib.suppress(ValueError):  # nobody got there
                first_s = first_success_s(history.ops, each.new_port, each.struck_s)
                result.first_success_s.append(max(0.0, first_s - each.direct_s))
        return result
