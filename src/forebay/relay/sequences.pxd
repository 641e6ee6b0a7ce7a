from .connection cimport Borrower


cdef bytes NOT_DRAWN

cdef bint is_told_right(Borrower client) noexcept
cdef int forget_first(Borrower client) except -1
cdef bytes with_hint(Borrower client, bytes error)
