"""A micro-pool: the connections of one (database, user) and the clients that wait for one."""

from typing import Any

from forebay.relay.census import Census, Demand
from forebay.relay.server import Place, Server
from forebay.worker.pool.changeover import Changeover

class Waiter:
    waiting_in: MicroPool | None
    waits_before: Waiter | None
    waits_behind: Waiter | None
    waits_since: float

class MicroPool(Demand):
    database: str
    user: str
    census: Census
    manager: Any
    changeover: Changeover
    idle: list[Server]
    first_waiter: Place | None
    last_waiter: Place | None
    clients: int
    borrowed: int
    borrows: int
    transactions: int
    schema: int
    keeps_next: bool

    def __init__(
        self, database: str, user: str, census: Census, manager: Any, changeover: Changeover
    ) -> None: ...
    def begin_opening(self) -> None: ...
    def end_opening(self, opened: bool) -> None: ...
    def take(self, server: Server) -> None: ...
    def drop(self, server: Server) -> None: ...
    def borrow(self, settings: object) -> Server | None: ...
    def borrow_last(self, process_id: int, lease: int) -> Server | None: ...
    def wait(self, waiter: Waiter, now: float) -> None: ...
    def leave(self, waiter: Waiter) -> None: ...
    def next_waiter(self) -> Waiter | None: ...
    def give_back(self, server: Server, retired: bool, now: float) -> Waiter | None: ...
