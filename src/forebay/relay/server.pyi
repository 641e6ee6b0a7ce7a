"""A database connection."""

from collections.abc import Callable
from ssl import MemoryBIO, SSLObject

from forebay.net.target import Place as Address
from forebay.relay.client import Client
from forebay.relay.command import Command
from forebay.relay.lease import Lease
from forebay.relay.ledger import Ledger
from forebay.relay.micropool import MicroPool, Waiter
from forebay.relay.peer import Peer
from forebay.relay.poller import Poller
from forebay.session.settings import Parameters, Settings

Done = Callable[["Server", Command], None]

class Place(Waiter):
    borrower: Client

class Server(Peer):
    pool: MicroPool
    client: Client | None
    ledger: Ledger
    settings: Settings
    parameters: Parameters
    pid: int
    cancel_key: bytes
    place: Address
    status: int
    dirty: bool
    retired: bool
    stale: bool
    plans_mixed: bool
    plans_stale: bool
    drawn_by: int
    drawn_in: int
    forgetting: bool
    cancels_in_flight: int
    opened_at: float
    idle_since: float
    lease: Lease
    @property
    def lent_at(self) -> float: ...
    age_jitter: float
    search_path: str
    begins_hasty: bool
    begins_under_pg_temp: bool

    def __init__(
        self,
        poller: Poller,
        fd: int,
        pool: MicroPool,
        pid: int,
        cancel_key: bytes,
        *,
        settings: Settings,
        parameters: Parameters,
        tls: SSLObject | None = None,
        incoming: MemoryBIO | None = None,
        outgoing: MemoryBIO | None = None,
        early: bytes = b"",
    ) -> None: ...
    @property
    def in_transaction(self) -> bool: ...
    @property
    def is_pinned(self) -> bool: ...
    def start(self) -> None: ...
    def go_free(self) -> None: ...
    def cancel_finished(self) -> None: ...
    def run(self, sql: bytes, done: Done | None) -> Command: ...
    def ask(self, sql: bytes, done: Done) -> None: ...
    def was_reset(self, settings: Settings) -> None: ...
    def look_again(self) -> None: ...
    def shut(self, reason: str) -> None: ...
