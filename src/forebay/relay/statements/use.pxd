from ..connection cimport Borrower
from ..frames cimport Frame


cdef enum:
    NAMED_LIMIT = 8388608  # bytes of a Parse with a name


cdef Py_ssize_t statement_name(Frame *frame) noexcept
cdef bint must_wait(Borrower client, Frame *frame, Py_ssize_t name) except -1
cdef int define_named(Borrower client, Frame *frame, Py_ssize_t at) except -1
cdef bint define_proven(Borrower client, Frame *frame) except -1
cdef int use_named(Borrower client, Frame *frame, Py_ssize_t name) except -1
cdef int drop_statements(Borrower client) except -1
cdef bint must_forget(Borrower client, bytes text, object reading) except -1
