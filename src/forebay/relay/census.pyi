"""All micro-pools before one database server together."""

from forebay.relay.histogram import Histogram
from forebay.relay.micropool import MicroPool

OPENING_LIMIT: int

class Demand:
    size: int
    opening: int
    waiting: int
    waits_since: float
    retry_at: float
    held_back: bool
    line: Line | None
    before: MicroPool | None
    behind: MicroPool | None
    user_group: Group | None
    database_group: Group | None

class Line:
    first: MicroPool | None
    last: MicroPool | None

class Group(Line):
    limit: int
    size: int
    idle: int
    in_demand: int
    clients: int
    kept: MicroPool | None

    @property
    def is_over(self) -> bool: ...
    def is_full(self, pool: Demand | None) -> bool: ...
    def has_room(self, pool: Demand | None) -> bool: ...

class Census(Line):
    limit: int
    waiting_limit: int
    on_hold: bool
    size: int
    opening: int
    idle: int
    waiting: int
    in_demand: int
    has_others: bool
    waits: Histogram
    queries: Histogram
    database: Histogram

    @property
    def is_over(self) -> bool: ...
    def is_over_for(self, pool: Demand) -> bool: ...
    def resize(self, pool: Demand, change: int) -> None: ...
    def note_idle(self, pool: Demand, change: int) -> None: ...
    def joined(self, pool: Demand, now: float) -> bool: ...
    def move_forward(self, pool: Demand, since: float) -> None: ...
    def left(self, pool: Demand, since: float) -> bool: ...
    def regroup(
        self,
        pool: Demand,
        user_group: Group | None,
        database_group: Group | None,
        idle: int,
        clients: int,
    ) -> None: ...
    def release(self, group: Group) -> None: ...
    def neediest(self, owner: Demand | None, now: float) -> MicroPool | None: ...
    def claimant(self, owner: Demand, now: float) -> MicroPool | None: ...
    def takes(self, owner: Demand, now: float) -> bool: ...
