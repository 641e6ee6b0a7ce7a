from .connection cimport Borrower, Connection
from .frames cimport Frame


cdef int begin_putting() noexcept
cdef int put(Connection server, const unsigned char *data, Py_ssize_t count) except -1
cdef int send_put(Connection server, const unsigned char *data, Py_ssize_t count) except -1
cdef int put_flush(Connection server) except -1
cdef int put_before(Borrower client, Frame *frame) except -1
