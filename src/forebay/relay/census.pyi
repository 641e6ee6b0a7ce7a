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
    before: MicroPool | None
    behind: MicroPool | None

class Census:
    limit: int
    waiting_limit: int
    size: int
    opening: int
    idle: int
    waiting: int
    in_demand: int
    first: MicroPool | None
    last: MicroPool | None
    waits: Histogram
    queries: Histogram
    database: Histogram

    @property
    def is_over(self) -> bool: ...
    def resize(self, pool: Demand, change: int) -> None: ...
    def joined(self, pool: Demand, now: float) -> bool: ...
    def left(self, pool: Demand, since: float) -> None: ...
    def neediest(self, owner: Demand | None, now: float) -> MicroPool | None: ...
    def claimant(self, owner: Demand, now: float) -> MicroPool | None: ...
    def takes(self, owner: Demand, now: float) -> bool: ...
