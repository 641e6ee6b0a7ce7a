from .connection cimport Borrower, Connection


cdef bytes READY_FAILED

cdef object loss_of(Connection server, Borrower client)
cdef int note_loss(Borrower client, str reason, object loss) except -1
cdef int answer_unanswered(Borrower client, bytes error, list kinds, bytes ready, bint told) except -1
cdef bint is_answered_aborted(Borrower client, int kind, const unsigned char *body, Py_ssize_t there) except -1
cdef int begin_aborted(Connection server) except -1
