"""A database connection."""

from collections.abc import Callable
from ssl import MemoryBIO, SSLObject
from typing import Any

from forebay.relay.client import Client
from forebay.relay.command import Command
from forebay.relay.lease import Lease
from forebay.relay.ledger import Ledger
from forebay.relay.micropool import MicroPool
from forebay.relay.peer import Peer
from forebay.relay.poller import Poller
from forebay.relay.ports import ParametersPort, SettingsPort

# As net/target.py has it: an address family, and an address in it.
_Address = tuple[int, tuple[Any, ...] | str]
_Done = Callable[["Server", Command], None]

class Server(Peer):
    pool: MicroPool
    client: Client | None
    ledger: Ledger
    settings: SettingsPort
    parameters: ParametersPort
    pid: int
    cancel_key: bytes
    place: _Address
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
    timeouts_in_flight: int
    opened_at: float
    asked_at: float
    transaction_at: float
    idle_since: float
    lease: Lease
    @property
    def lent_at(self) -> float: ...
    age_jitter: float
    made_by: object
    renew_at: float
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
        settings: SettingsPort,
        parameters: ParametersPort,
        tls: SSLObject | None = None,
        incoming: MemoryBIO | None = None,
        outgoing: MemoryBIO | None = None,
        early: bytes = b"",
    ) -> None: ...
    @property
    def in_transaction(self) -> bool: ...
    @property
    def is_free(self) -> bool: ...
    @property
    def is_pinned(self) -> bool: ...
    def start(self) -> None: ...
    def go_free(self) -> None: ...
    def cancel_finished(self) -> None: ...
    def timeout_finished(self) -> None: ...
    def run(self, sql: bytes, done: _Done | None) -> Command: ...
    def ask(self, sql: bytes, done: _Done) -> None: ...
    def was_reset(self, settings: SettingsPort) -> None: ...
    def look_again(self) -> None: ...
    def shut(self, reason: str) -> None: ...
    def cut(self, reason: str) -> None: ...
