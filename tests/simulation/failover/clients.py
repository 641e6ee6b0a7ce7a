"""Clients of the proxy: what they do, and what they were told of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tests.simulation.failover.network import Message
from tests.simulation.failover.world import World

Kind = Literal["idle", "autocommit", "transactions"]
Result = Literal["open", "ok", "fail", "info"]
"""As Jepsen has them: told that it is done; that it is not; not told which."""

# Outcomes that a client may take for "it has not happened" and "nobody knows".
NOT_DONE = frozenset({"08006", "40001", "25006", "25P02", "timeout"})
# ... and those behind which the transaction is there still, as one that has failed.
ABORTED = frozenset({"40001", "25006", "25P02"})


class Proxy(Protocol):
    """What a client talks to."""

    def join(self, client: "Client") -> None: ...
    def ask(self, client: "Client", message: Message) -> None: ...


@dataclass(eq=False)
class Client:
    """``results``: by row, what became of the writes."""

    world: World
    proxy: Proxy
    name: str
    kind: Kind
    numbers: Iterator[int]
    told: Callable[[list[int], Result], None]
    results: dict[int, Result] = field(default_factory=dict)
    waits_for: str = ""  # the kind of the request under way
    rows: list[int] = field(default_factory=list)  # of the write or transaction under way
    steps: list[Message] = field(default_factory=list)
    completed: bool = False  # a CommandComplete has come for what is under way
    is_connected: bool = False
    drops: int = 0
    done: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    stops_at: float = 1e9

    def __post_init__(self) -> None:
        self.random = self.world.chance(f"client {self.name}")
        self.is_stubborn = self.random.random() < 0.5
        self.world.later(self.random.random() * 0.2, self.connect)

    @property
    def is_idle(self) -> bool:
        """Nothing of it is under way or held open."""
        return self.is_connected and not self.waits_for and not self.rows and not self.steps

    def connect(self) -> None:
        self.is_connected = True
        self.proxy.join(self)
        self.think()

    def think(self) -> None:
        if self.kind == "idle" and self.done:
            return
        self.world.later(self.random.expovariate(6.0), self.go_on)

    def go_on(self) -> None:
        """The next request."""
        if not self.is_connected or self.waits_for:
            return
        if not self.steps:
            if self.world.now > self.stops_at:
                return
            self._begin()
        message = self.steps.pop(0)
        self.waits_for, self.completed = message[0], False
        self.proxy.ask(self, message)

    def _begin(self) -> None:
        count = self.random.randint(1, 3) if self.kind == "transactions" else 1
        self.rows = [next(self.numbers) for _ in range(count)]
        for row in self.rows:
            self.results[row] = "open"
        if self.kind == "transactions":
            inserts = [("tinsert", row) for row in self.rows]
            self.steps = [("begin", 0), *inserts, ("commit", 0)]
        else:
            self.steps = [(self.random.choice(["insert", "xinsert"]), self.rows[0])]

    def read(self, message: Message) -> None:
        """Something came from the proxy."""
        kind = message[0]
        if kind == "C":
            self.completed = True
        elif kind == "E":
            self._fail(message[1])
        elif kind == "Z" and self.waits_for:
            self.waits_for = ""
            if not self.rows and not self.steps:
                self.think()
            elif not self.steps:
                self._end("ok")
            else:
                self.world.later(self.random.uniform(0.0, 0.02), self.go_on)

    def _fail(self, code: str) -> None:
        self.errors[code] = self.errors.get(code, 0) + 1
        # A transaction stays an aborted one until the client ends it. Scripts go on regardless.
        if not (self.is_stubborn and code in ABORTED):
            self.steps = [("rollback", 0)] if self.kind == "transactions" else []
        self._end("fail" if code in NOT_DONE else "info")

    def _end(self, result: Result) -> None:
        for row in self.rows:
            self.results[row] = result
            self.world.log("result", self.name, row, result)
        self.told(self.rows, result)
        self.rows = []
        self.done += 1
        if self.is_connected and not self.waits_for:
            self.think()

    def dropped(self) -> None:
        """The proxy has closed it. Unless it was told more, nobody knows what it had asked for."""
        self.drops += 1
        self.is_connected, self.waits_for, self.steps = False, "", []
        if self.rows:
            self._end("info")
        self.world.later(0.05, self.connect)
