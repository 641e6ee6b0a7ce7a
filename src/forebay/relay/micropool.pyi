"""A micro-pool: the connections of one (database, user) and the clients that wait for one."""

from typing import final

from forebay.relay.census import Census, Demand, Group
from forebay.relay.connection import Place
from forebay.relay.ports import ChangeoverPort, ManagerPort, SettingsPort
from forebay.relay.server import Server
from forebay.relay.tally import Tally

class Waiter:
    waiting_in: MicroPool | None
    waits_before: Waiter | None
    waits_behind: Waiter | None
    waits_since: float

@final
class MicroPool(Demand):
    database: str
    user: str
    census: Census
    manager: ManagerPort
    changeover: ChangeoverPort
    idle: list[Server]
    first_waiter: Place | None
    last_waiter: Place | None
    clients: int
    borrowed: int
    tally: Tally
    schema: int
    keeps_next: bool

    def __init__(
        self,
        database: str,
        user: str,
        census: Census,
        manager: ManagerPort,
        changeover: ChangeoverPort,
    ) -> None: ...
    def begin_opening(self) -> None: ...
    def end_opening(self, opened: bool) -> None: ...
    def take(self, server: Server) -> None: ...
    def drop(self, server: Server) -> None: ...
    def join(self, user_group: Group | None, database_group: Group | None) -> None: ...
    def note_clients(self, change: int) -> None: ...
    def borrow(self, settings: SettingsPort) -> Server | None: ...
    def borrow_last(self, process_id: int, lease: int) -> Server | None: ...
    def wait(self, waiter: Waiter, now: float) -> None: ...
    def take_place(self, waiter: Waiter, since: float, now: float) -> None: ...
    def leave(self, waiter: Waiter) -> None: ...
    def next_waiter(self) -> Waiter | None: ...
    def give_back(self, server: Server, retired: bool, now: float) -> Waiter | None: ...
