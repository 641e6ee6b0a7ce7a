from .connection cimport Borrower, Connection


cdef bint follow(Connection server, object messages) except -1
cdef int begin_follow_up(Connection server) except -1
cdef int ready_for_query(Connection server) except -1
cdef int release_if_free(Connection server) except -1
cdef int pass_on(Connection server, const unsigned char *data, Py_ssize_t count) except -1
cdef int answer_fakes(Connection server) except -1
cdef int command_done(Connection server) except -1
