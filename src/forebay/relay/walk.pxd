from .connection cimport Borrower


cdef Py_ssize_t walk(Borrower client, const unsigned char *data, Py_ssize_t count) except -1
