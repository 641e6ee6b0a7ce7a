from .connection cimport Borrower


cdef enum:
    UNCHANGED = -1
    UNCERTAIN = -3
    NOTED = -4


cdef bint is_read(Borrower client, int kind) noexcept
cdef Py_ssize_t translate(
    Borrower client, int kind, const unsigned char *span, Py_ssize_t span_count,
    const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
) except -5
cdef int look_on(Borrower client, const unsigned char *text, Py_ssize_t count, bint ends) except -1
