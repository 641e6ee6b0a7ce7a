from .connection cimport Borrower, Connection


cdef int note_lease(Connection server, Borrower client) except -1
cdef int replay(Connection server, Borrower client, bint confirming) except -1
cdef int replayed(Connection server, object error) except -1
cdef int discard_plans(Connection server, bint in_batch) except -1
cdef bytes forget_sequences(Connection server, bint in_batch)
