from .connection cimport Borrower


cdef bytes READY_IDLE

cdef bint borrow(Borrower client) except -1
cdef int note_lent(Borrower client, bint confirming) except -1
cdef int note_go_on(Borrower client) except -1
cdef int note_confirmed(Borrower client, object error) except -1
cdef int note_turn_refused(Borrower client, bytes error, list kinds) except -1
cdef int note_turn_ended(Borrower client) except -1
cdef int note_settled(Borrower client) except -1
cdef int forget_transaction(Borrower client) except -1
