from libc.stdint cimport uint64_t

from ..connection cimport Borrower
from .entries cimport Unnamed


cdef int define_unnamed(Borrower client, bytes definition, bint harmless, int control) except -1
cdef int close_unnamed(Borrower client) except -1
cdef bint is_unnamed_uncertain(Borrower client) except -1
cdef bint has_unnamed(Borrower client, Unnamed entry) noexcept
cdef bint keeps_unnamed_shape(Borrower client, Unnamed entry) except -1
cdef bint prepare_unnamed(Borrower client, Unnamed entry) except -1
cdef int describe_unnamed(Borrower client, Unnamed entry) except -1
cdef int ask_of_unnamed(Borrower client, Unnamed entry) except -1
