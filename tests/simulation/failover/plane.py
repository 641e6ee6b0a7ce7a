"""The data plane: obeys verdicts, lends connections, and tells clients what has become of what they
asked for. What becomes of a client whose connection is lost is decided by the production code."""

from collections.abc import Callable
from dataclasses import dataclass

from forebay.config.addresses import Address
from forebay.session.fate import Exchange, Fate, fate
from forebay.topology.reports import HintKind, Verdict
from tests.simulation.failover.clients import Client
from tests.simulation.failover.network import EOF, Message, Network, Wire
from tests.simulation.failover.observer import Observer
from tests.simulation.failover.postgres import Postgres
from tests.simulation.failover.world import World

LIMIT = 8
TIMEOUT_S = 4.0  # connection_borrow_timeout
LOGIN_S = 2.0
RETRY_S = 0.1
_HINTS: dict[str, HintKind] = {"57P01": "terminated", "57P02": "crashed", "57P03": "starting"}


@dataclass(eq=False)
class Waiter:
    """A request that no connection was lent for yet."""

    client: Client
    message: Message
    since: float
    is_over: bool = False


@dataclass(eq=False)
class Link:
    """One connection to a server, and what its client and it have to do with each other."""

    address: Address
    server: Postgres
    epoch: int
    wire: Wire | None = None
    life: float = 0.0  # the start of the server that it was opened to
    state: str = "opening"  # checking, idle, busy
    client: Client | None = None
    message: Message = ("", 0)  # the latest that was sent
    sent: bool = False
    forwarded: bool = False
    in_transaction: bool = False
    code: str = ""  # of what the server said at last

    def exchange(self) -> Exchange:
        """What is lost with it."""
        return Exchange(
            sent=self.sent,
            forwarded=self.forwarded,
            in_transaction=self.in_transaction,
            begins=self.sent and self.message[0] == "begin",
            begin_alone=self.sent and self.message[0] == "begin",
            ends=self.sent and self.message[0] == "commit",
        )


class Plane:
    """Of one proxy. ``hint``: how the node is told."""

    def __init__(
        self,
        world: World,
        network: Network,
        servers: dict[Address, Postgres],
        observer: Observer,
        is_retryable: bool,
    ) -> None:
        self.world, self.network, self.servers, self.observer = world, network, servers, observer
        self.random = world.chance("plane")
        self.is_retryable = is_retryable
        self.hint: Callable[[Address, HintKind], None] = lambda address, kind: None
        self.verdict: Verdict | None = None
        self.epoch = 0
        self.links: list[Link] = []
        self.idle: list[Link] = []
        self.queue: list[Waiter] = []
        self.lent: dict[Client, Link] = {}
        self.retry_at = 0.0
        self.aborted: set[Client] = set()  # who was told 40001 and has not rolled back

    # Verdicts.

    def apply(self, verdict: Verdict) -> None:
        """What the node has decided."""
        before, self.verdict = self.verdict, verdict
        self.observer.applied(verdict)
        if verdict.epoch > self.epoch:
            self.switch(verdict.epoch)
        elif before is not None and before.state != "UP" and verdict.state == "UP":
            self.release()
        self.serve()

    def close(self) -> None:
        """Killed: its connections end, and nobody is told anything."""
        for each in self.links:
            if each.wire is not None:
                each.wire.close()
        self.links, self.idle, self.queue = [], [], []
        self.lent, self.verdict = {}, None

    def switch(self, epoch: int) -> None:
        """Every connection of the old epoch is cut before the first of the new one opens."""
        self.epoch = epoch
        for each in list(self.links):
            self.cut(each)
        self.retry_at = 0.0

    def cut(self, link: Link) -> None:
        """Nothing of it reaches anybody any more."""
        if link.wire is not None:
            link.wire.close()
        self.lost(link)

    def release(self) -> None:
        """The same server goes on: idle connections are asked whether it still writes."""
        idle, self.idle = self.idle, []
        for each in idle:
            self.check(each)
        self.retry_at = 0.0

    # Clients.

    def join(self, client: Client) -> None:
        """Logins are served from what is remembered."""

    def ask(self, client: Client, message: Message) -> None:
        """A client's request."""
        if client in self.aborted:
            if message[0] in ("rollback", "commit"):
                self.aborted.discard(client)
                self.tell(client, ("C",), ("Z", "I"))
            else:
                self.tell(client, ("E", "25P02"), ("Z", "E"))
        elif client in self.lent:
            self.send(self.lent[client], message)
        elif message[0] == "rollback":
            self.tell(client, ("C",), ("Z", "I"))
        else:
            self.wait(client, message)
            self.serve()

    def wait(self, client: Client, message: Message) -> None:
        waiter = Waiter(client, message, self.world.now)
        self.queue.append(waiter)
        self.world.later(TIMEOUT_S, self.expire, waiter)

    def expire(self, waiter: Waiter) -> None:
        """No connection came free within the borrow timeout."""
        if waiter in self.queue:
            self.queue.remove(waiter)
            self.tell(waiter.client, ("E", "timeout"), ("Z", "I"))

    def tell(self, client: Client, *messages: Message) -> None:
        """Our own words, a moment later; a client that is dropped meanwhile does not get them."""
        for each in messages:
            client.read(each)

    # Connections.

    def serve(self) -> None:
        """Lends what is idle, and opens what is missing."""
        verdict = self.verdict
        if verdict is None or verdict.state != "UP" or verdict.writer is None:
            return
        while self.queue and self.idle:
            link, waiter = self.idle.pop(), self.queue.pop(0)
            link.client, link.state = waiter.client, "busy"
            self.lent[waiter.client] = link
            self.observer.lends(link)
            self.send(link, waiter.message)
        if self.world.now < self.retry_at:
            return
        coming = sum(each.state in ("opening", "checking") for each in self.links)
        while coming < len(self.queue) and len(self.links) < LIMIT:
            self.open(verdict.writer)
            coming += 1

    def open(self, address: Address) -> None:
        server = self.servers[address]
        link = Link(address, server, self.epoch)
        self.links.append(link)
        self.observer.opened(link, self.links)
        link.wire = self.network.connect(
            server, lambda message: self.read(link, message), lambda said: self.there(link, said)
        )
        self.world.later(LOGIN_S, self.give_up, link)

    def there(self, link: Link, said: str) -> None:
        """A connection is there, or was refused."""
        if link not in self.links:
            return
        if said or link.wire is None:
            self.fail(link, "refused")
        else:
            link.life = link.server.started_at
            link.wire.send(("login", "app"))

    def give_up(self, link: Link) -> None:
        if link in self.links and link.state == "opening":
            self.fail(link, "silent")

    def fail(self, link: Link, kind: HintKind) -> None:
        """A connection that could not be opened, or does not lead where it should."""
        if link.wire is not None:
            link.wire.close()
        self.links.remove(link)
        self.retry_at = self.world.now + RETRY_S
        self.world.later(RETRY_S + 0.001, self.serve)
        self.hint(link.address, kind)

    def check(self, link: Link) -> None:
        """Is it to a server that writes?"""
        link.state = "checking"
        if link.wire is not None:
            link.wire.send(("writes?", 0))

    def send(self, link: Link, message: Message) -> None:
        """A client's message leaves."""
        self.observer.sends(link, message)
        link.message, link.sent, link.forwarded, link.code = message, True, False, ""
        if link.wire is not None:
            link.wire.send(message)

    def read(self, link: Link, message: Message) -> None:
        """A server's message is there."""
        kind = message[0]
        if message == EOF:
            if link in self.links:
                self.ended(link)
        elif kind == "N" or (kind == "E" and message[1] in _HINTS):
            link.code = message[1]  # it ends now; the client is told what that means for it
        elif link.state == "opening":
            if kind == "Z":
                self.check(link)
            else:
                link.code = message[1]
        elif link.state == "checking":
            self.checked(link, message)
        elif link.client is not None:
            self.forward(link, link.client, message)

    def checked(self, link: Link, message: Message) -> None:
        if message == ("writes", False):
            self.fail(link, "read_only")
        elif message[0] == "Z" and link in self.links:
            link.state = "idle"
            self.idle.append(link)
            self.serve()

    def forward(self, link: Link, client: Client, message: Message) -> None:
        """A part of the answer goes to the client."""
        self.observer.forwards(link, message)
        if message == ("E", "25006"):
            self.hint(link.address, "read_only")
        link.forwarded = message[0] != "Z"
        is_ready = message[0] == "Z"
        if is_ready:
            link.sent, link.in_transaction = False, message[1] != "I"
            if not link.in_transaction:
                del self.lent[client]
                link.client = None
                if link in self.links:
                    link.state = "idle"
                    self.idle.append(link)
        client.read(message)
        if is_ready:
            self.serve()

    def ended(self, link: Link) -> None:
        """The server has closed it."""
        if link.wire is not None:
            link.wire.close()
        kind = _HINTS.get(link.code, "lost")
        if link.state == "opening":
            self.fail(link, "starting" if kind == "starting" else "lost")
            return
        self.lost(link)
        self.hint(link.address, kind)
        self.serve()

    def lost(self, link: Link) -> None:
        """It is gone: what becomes of its client?"""
        self.links.remove(link)
        if link in self.idle:
            self.idle.remove(link)
        client, link.client = link.client, None
        if client is None:
            return
        del self.lent[client]
        becomes = self.fate(link)
        self.world.log("lost", client.name, link.message[0], becomes.value)
        if becomes is Fate.WAITS:
            self.wait(client, link.message)
        elif becomes is Fate.UNKNOWN:
            self.tell(client, ("E", "08007"), ("Z", "I"))
        elif becomes is Fate.RETRYABLE:
            self.aborted.add(client)
            self.tell(client, ("E", "40001"), ("Z", "E"))
        else:
            if becomes is Fate.CLOSED:
                self.tell(client, ("E", "08006"))
            self.observer.drops(client)
            client.dropped()

    def fate(self, link: Link) -> Fate:
        error = "retryable" if self.is_retryable else "close"
        return fate(link.exchange(), in_transaction_error=error)
