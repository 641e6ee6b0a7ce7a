from ..connection cimport Borrower
from .entries cimport Named, Unnamed
from .prepared cimport Question
from .statement cimport Statement, Told


cdef enum:
    NAMED_LIMIT = 8388608  # bytes of a Parse with a name
    ASKED = -2  # a question to the connection was put behind what was put before


cdef Py_ssize_t statement_name(int kind, const unsigned char *frame, Py_ssize_t there) noexcept
cdef bint must_wait(
    Borrower client, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name
) except -1
cdef int define_named(
    Borrower client, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t text
) except -1
cdef bint define_proven(Borrower client, const unsigned char *frame, Py_ssize_t total) except -1
cdef Py_ssize_t use_named(
    Borrower client, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t name
) except -3
cdef int drop_statements(Borrower client) except -1
cdef bint must_forget(Borrower client, bytes text, object reading) except -1
