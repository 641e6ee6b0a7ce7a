from .connection cimport Borrower
from .frames cimport Frame


cdef int query(Borrower client, Frame *frame) except -1
cdef int call_function(Borrower client, Frame *frame) except -1
cdef int parse(Borrower client, Frame *frame) except -1
cdef int bind(Borrower client, Frame *frame) except -1
cdef int describe(Borrower client, Frame *frame) except -1
cdef int close(Borrower client, Frame *frame) except -1
cdef int execute(Borrower client, Frame *frame) except -1
cdef bint is_followed(Borrower client) noexcept
cdef int look_on(Borrower client, const unsigned char *text, Py_ssize_t count, bint ends) except -1
