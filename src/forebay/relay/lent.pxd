from .connection cimport Borrower, Connection


cdef class LentConnection(Connection):
    cdef object parameters_before
    cdef bint confirming  # its client waits to know that its settings are in place
    cdef Py_ssize_t turns_before  # ReadyForQuery still to come before that of a turn with a follow-up
    cdef bint turn_failed
    cdef bint discarded  # DISCARD ALL has succeeded in this turn: it stays so if something behind it fails
    cdef public int sequences_discarded  # how often, since it was lent or asked

    cdef bytes replay_error  # why the last change-over has failed (the body of an ErrorResponse)

    cdef int _note_lease(self, Borrower client) except -1
    cdef int _owe_batch(self) except -1
    cdef int _replay(self, Borrower client, bint confirming) except -1
    cdef int _replayed(self, object error) except -1
    cdef int _follow(self) except -1
    cdef bint _did_not_reset(self) except -1
    cdef int _end_turn(self) except -1
    cdef int _ready_for_query(self) except -1
    cdef int _pass(self, const unsigned char *data, Py_ssize_t count) except -1
    cdef int _answer_deallocate(self) except -1
    cdef int _command_done(self) except -1
    cdef int _answered(self, Borrower client) except -1
