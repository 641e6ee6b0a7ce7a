from .connection cimport Borrower, Connection


cdef enum KEPT:
    # What of a client's is kept (`Lease.request`) since it has its connection.
    NOTHING = 0
    PART = 1  # the beginning of a batch
    WHOLE = 2  # what has come by its Sync, or a Query
    TOO_MUCH = 3  # it has sent more than can be sent again


cdef int keep_request(Borrower client, const unsigned char *data, Py_ssize_t count) except -1
cdef bytes begin_alone(Connection server)
cdef int put_back(Borrower client, bytes request) except -1
cdef bint may_repeat(Connection server) except -1
cdef int withhold(Connection server, bytes answer) except -1
cdef int ask_about_refusal(Connection server) except -1
cdef int refusal_confirmed(Connection server, object command) except -1
