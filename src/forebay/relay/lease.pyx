"""One borrow of a database connection: what is known of it from its beginning to its end.

A connection has one from the moment when it is lent, and keeps it until it is lent again: what its client
has left is cleaned up under the same lease. All that belongs to a borrow stands here, so nothing of it
has to be reset for the next one.
"""

cimport cython


@cython.final
@cython.no_gc
@cython.freelist(16)
cdef class Lease:
    """One borrow. `begun_at`: when, on the relay's clock, in seconds."""

    cdef bint is_following(self) noexcept:
        """Whether the client's turn has a follow-up that has not ended yet."""
        return self.follow_up is not None or self.parameters_told is not None
