cimport cython

from .scan.control cimport BEGINS, ENDS, HIDES, ROLLS_BACK


cdef enum GUARD:
    # If a change-over has failed the database skips all that was sent with it, up to the first Sync.
    UNGUARDED = 0  # no change-over is under way
    GUARDED = 1  # one is, and no Sync was sent behind it yet
    GUARD_SPENT = 2  # one was: until the change-over is known to have succeeded nothing else may be sent


@cython.final
cdef class Lease:
    cdef readonly double begun_at
    # The change-over to the client's settings.
    cdef bint confirming  # its client waits to know that they are in place
    cdef bint replaying  # they are asked for; the connection's `parameters` are still its last client's
    cdef bytes replay_error  # why that has failed (the body of an ErrorResponse)
    cdef int guarded  # how far what was sent behind it may go: see `GUARD`
    # What the client has sent.
    cdef bint unsynced  # part of an extended batch whose Sync is still to come
    cdef bint bound  # ... with a Bind in it
    cdef bint executed  # ... with an Execute in it
    # What of that is unanswered may do to the transaction: see scan/control.
    cdef int control
    cdef int portals_control  # ... and what was bound since the last ReadyForQuery that said "idle"
    cdef bint drops_all  # what it sends now may end all prepared statements
    cdef public tuple meanwhile  # see `Borrower.meanwhile`
    # What the client has sent first, if it may have to be sent again: see repeating.
    cdef int kept
    cdef bytes request
    cdef bytes withheld  # the answer to that, which the client is not to get yet
    # The turn that is being answered.
    cdef bint forwarded  # a part of an answer has gone to the client, in this turn or before
    cdef object parameters_before  # what the connection reported when the last transaction was over
    cdef bint turn_failed
    cdef bint discarded  # DISCARD ALL has succeeded in this turn: it stays so if something behind it fails
    cdef object follow_up  # what is sent when it has succeeded: see turn.pyx
    cdef Py_ssize_t turns_before  # ReadyForQuery still to come before that of a turn with a follow-up
    cdef object parameters_told  # what the client knew when that turn began; else None
    # What the session may have been left with.
    cdef bint unaudited  # a transaction of a suspect client is over, and the next request is under way
    cdef object audit  # the Command that asks, while it is unanswered
    cdef public int sequences_discarded  # how often, since the lease began or that was asked
    cdef bint rolled_back  # its client left in a transaction, and that was ended

    cdef bint is_following(self) noexcept


cdef inline int control_behind(Lease lease, int control) noexcept:
    """What a text may do to the transaction, given what was sent before it and is unanswered."""
    cdef int before = lease.control | lease.portals_control
    if before:
        if control & BEGINS:
            control |= HIDES
        if before & ROLLS_BACK:
            control |= ENDS
    return control
