cdef enum:
    # A client that has logged in. What it sends is read in the first two states only.
    IDLE
    WORKING
    QUEUED
    HELD
    UNSETTLED
    GONE
    # A database connection that has logged in. It begins as SETTLING.
    FREE
    LENT
    SETTLING
    PARKED
    SHUT
    STATES


cdef unsigned int ALLOWED[STATES]  # for each state, a bit for each that may follow

cdef int refuse_move(int now, int to) except -1


cdef inline int moved(int now, int to) except -1:
    """Returns `to`, the state that follows `now`. Raises StateError if the table has no such move."""
    return to if (ALLOWED[now] >> to) & 1 else refuse_move(now, to)
