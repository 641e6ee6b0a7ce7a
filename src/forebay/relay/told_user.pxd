from libc.stdint cimport uint64_t

from .statement cimport Statement, Told
from .statement_owner cimport StatementOwner


cdef class ToldUser(StatementOwner):
    cdef Statement asked  # the connection is asked what this returns
    # The unnamed portal's statement, and what the client calls it; empty: the unnamed one.
    cdef Statement bound_statement
    cdef bytes bound_name
    cdef bint bound_is_told  # the client was told what it returns, as the connection has it
    cdef dict bound_portals  # the same of portals with names; None until there are some

    cdef Statement as_told(self, Statement statement, Told told)
    cdef bint keeps(self, Statement statement, Told told, bytes given) except -1
    cdef int ask(self, Statement statement, bytes given, uint64_t serial, bytes describe) except -1
    cdef int note_bound(
        self, const unsigned char *portal, bytes given, Statement statement, bint is_told
    ) except -1
    cdef bint describe_portal(self, const unsigned char *frame, Py_ssize_t total) except -1
