from libc.stdint cimport uint64_t

from .statement cimport Statement
from .unnamed_user cimport UnnamedUser


cdef enum:
    STATEMENTS_LIMIT = 10000  # one client's
    STATEMENTS_BYTES_LIMIT = 16777216  # what they take, together (see STATEMENT_BYTES)


cdef class StatementOwner(UnnamedUser):
    cdef Py_ssize_t statement_bytes
    cdef dict changed  # name → the batch in which it was last defined or closed, if that is not long ago
    cdef set unasked  # names in the batch being sent whose Parse no database was asked about
    cdef dict bound  # Statement → the name under which the client used it last
    cdef dict told  # name → what the client was told of it: a Told; None until it was told anything
    cdef uint64_t dropping  # the batch that may end prepared statements, while it is not answered

    cdef int note_changed(self, bytes name) except -1
    cdef int drop_statements(self) except -1
    cdef dict _without_gone(self, dict found, bint of_names=*)
    cdef bint _still_means(self, bytes name, Statement statement) except -1
    cdef int _define(self, bytes name, Statement statement) except -1
    cdef int note_told(self, Statement statement, bytes name, bytes shape, bytes types) except -1
    cdef bint _has_room(self, Py_ssize_t total) except -1
