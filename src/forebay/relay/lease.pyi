"""One borrow of a database connection."""

from typing import final

@final
class Lease:
    begun_at: float
    sequences_discarded: int
