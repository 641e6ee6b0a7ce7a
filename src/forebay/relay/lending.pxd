from .connection cimport Borrower, Connection


cdef int lend(Connection server, Borrower client) except -1
cdef int take_back(Connection server) except -1
cdef int abandon(Connection server, bint vanished) except -1
cdef int fail_copy(Connection server, bint unsynced) except -1
cdef int settle(Connection server) except -1
cdef int go_free(Connection server) except -1
