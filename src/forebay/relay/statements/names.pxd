cimport cython

from ..belief cimport Cell, Message, Table
from .entries cimport Named, Unnamed
from .prepared cimport Question
from .statement cimport Statement


cdef enum:
    STATEMENTS_LIMIT = 10000  # one client's
    STATEMENTS_BYTES_LIMIT = 16777216  # what they take, together (see STATEMENT_BYTES)
    NAME_BYTES = 63  # NAMEDATALEN - 1


@cython.final
cdef class Names:
    cdef readonly Table table
    cdef readonly Cell unnamed
    cdef Py_ssize_t statement_bytes
    cdef set unasked
    cdef Question asked

    cdef Named get(self, bytes name)
    cdef Unnamed get_unnamed(self)
    cdef bint is_waiting(self) except -1
    cdef bint has_room(self, Py_ssize_t total) except -1
    cdef int define(self, Message message, bytes name, Statement statement) except -1
    cdef int define_unasked(self, bytes name, Statement statement, bytes types) except -1
    cdef int drop(self, Message message, Named entry) except -1
    cdef int drop_all(self, Message message) except -1
    cdef int clear(self) except -1
    cdef int forget(self) except -1
    cdef int end(self) except -1
    cdef int look_again(self) except -1
    cdef bint keeps_connection(self) except -1
    cdef bytes name_of(self, bytes known_name)


cdef bytes known_as(const unsigned char *name)
