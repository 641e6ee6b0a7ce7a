"""Readers with real pools before servers that are played; clients are played, too."""

from types import SimpleNamespace
from typing import Any, cast

from forebay.channel import Route, RouteServer
from forebay.config.settings import PoolSettings, ProxySettings, TargetSettings
from forebay.net.connector import ConnectError
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError
from forebay.session.settings import InternTable
from forebay.worker.backend import Backend, Common
from forebay.worker.evacuation import Evacuator
from forebay.worker.pool.chores import timeouts_of
from forebay.worker.readers import Readers
from tests.unit.worker.clock import Clock
from tests.unit.worker.pool.pools import Client, Connection

WRITER = "w:5432"


class Reading(Client):
    """A client that may move, as `relay.moving` has it."""

    def __init__(self, world: "ReadersWorld", pool: Any) -> None:
        super().__init__(pool, world.clock.now)
        self.world = world
        self.farewell: PgError | None = None

    @property
    def is_waiting(self) -> bool:
        return self.place is not None

    @property
    def address(self) -> str:
        """Of the server that it reads from, or has read from."""
        return str(next(b.target for b in self.world.all if b.manager is self.pool.manager))

    def move(self, pool: Any) -> bool:
        if self.server is not None:
            return False
        self.pool.note_clients(-1)
        pool.note_clients(1)
        place, before, self.pool = self.place, self.pool, pool
        if place is None:
            return True
        since = place.waits_since
        before.leave(place)
        server = None if pool.held_back or pool.waiting else pool.borrow(self.settings)
        if server is None:
            pool.take_place(place, since, self.now())
        else:
            self.hold(server)
        return True

    def part(self, farewell: bytes) -> None:
        self.farewell = PgError.parse(farewell[5:])

    def lose(self) -> None:
        """Its connection is gone: it asks no more."""
        self.server = None


class ReadersWorld:
    """`limits`: how many connections each server allows Forebay. ``down``: servers to which nobody
    can connect."""

    def __init__(
        self, limits: dict[str, int], borrow_timeout_s: float = 60.0, **target: Any
    ) -> None:
        self.limits = limits
        self.down: set[str] = set()
        self.clock = Clock()
        self.intern = InternTable()
        self.hints: list[tuple[str, str]] = []
        self.clients: list[Reading] = []
        self.slow_at = 0.0
        self.settings = ProxySettings(
            target=TargetSettings(hosts=[WRITER, *limits], **target),
            pool=PoolSettings(connection_borrow_timeout=borrow_timeout_s),
            target_role="READ_ONLY",
        )
        agenda = cast(Any, self.clock)
        greetings = SimpleNamespace(forget=lambda: None)
        evacuator = Evacuator(agenda)
        common = Common(agenda, self.intern, cast(Any, greetings), evacuator, ClientContexts())
        self.sessions = SimpleNamespace(clients={})
        self.readers = Readers(
            common,
            cast(Any, self.sessions),
            self.settings,
            lambda: cast(Any, None),
            self._made,
            lambda address, kind: self.hints.append((address, kind)),
        )

    def _made(self, backend: Backend) -> None:
        address = str(backend.target)

        async def opened(pool: Any) -> tuple[Any, tuple[int, int]]:
            if address in self.down:
                raise ConnectError(f"{address}: Connection refused", transient=True)
            connection = Connection(pool, 1, self.clock.now, self.intern.none)
            cast(Any, connection).parameters = self.intern.parameters({})
            return connection, (self.limits[address] + 1, 0)  # one is the node's

        cast(Any, backend).opener = SimpleNamespace(open=opened)

    @property
    def all(self) -> list[Backend]:
        return self.readers.backends

    def tell(self, *near: str, epoch: int = 1, **given: Any) -> None:
        """These are the standbys. `lags`: in seconds, by address."""
        lags = given.pop("lags", {})
        standbys = [
            RouteServer(address=each, weight=self.limits.get(each, 0), lag_s=lags.get(each, 0.0))
            for each in near
        ]
        route = {"epoch": epoch, "state": "UP", "writer": WRITER, "servers": 2} | given
        self.readers.route(Route(standbys=standbys, **route))
        self.settle()

    def client(self) -> Reading:
        """Somebody comes."""
        made = Reading(self, self.readers.backend().manager.pool("shop", "app"))
        made.pool.note_clients(1)
        self.sessions.clients[len(self.sessions.clients)] = made
        self.clients.append(made)
        return made

    def asking(self) -> Reading:
        """Somebody comes, and asks."""
        made = self.client()
        self.ask(made)
        return made

    def ask(self, *clients: Reading) -> None:
        for each in clients:
            each.ask(each.settings)
            self.settle()

    def done(self, *clients: Reading) -> None:
        for each in clients:
            each.done()
            self.settle()

    def settle(self) -> None:
        self.clock.run()
        for each in self.all:
            each.manager.assert_counts()

    def tick(self, seconds: float = 0.1) -> None:
        """Time passes, and the janitor looks."""
        self.clock.pass_time(seconds)
        timeouts = timeouts_of(self.settings)
        for each in (self.readers, *(backend.chores for backend in self.all)):
            each.tick(self.clock.now(), timeouts)
            if self.clock.now() >= self.slow_at:
                each.slow_tick(self.clock.now(), timeouts)
        if self.clock.now() >= self.slow_at:
            self.slow_at = self.clock.now() + 1.0
        self.settle()
