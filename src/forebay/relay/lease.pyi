"""One borrow of a database connection."""

class Lease:
    begun_at: float
    sequences_discarded: int
