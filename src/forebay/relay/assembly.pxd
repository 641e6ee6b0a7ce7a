from .connection cimport Connection


cdef int begin_putting() noexcept
cdef int put(Connection server, const unsigned char *data, Py_ssize_t count) except -1
cdef int send_put(Connection server, const unsigned char *data, Py_ssize_t count) except -1
