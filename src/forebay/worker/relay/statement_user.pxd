from libc.stdint cimport uint64_t

from .server cimport Borrower, Server
from .statement cimport Statement


cdef class StatementUser(Borrower):
    cdef Py_ssize_t statement_bytes
    cdef dict changed  # name → the batch in which it was last defined or closed, if that is not long ago
    cdef dict bound  # Statement → the name under which the client used it last
    cdef dict unnamed  # b"" → (serial, definition) of the unnamed statement, to prepare it elsewhere
    cdef object undo  # for the message that is being noted, as in Server.owe; mostly None
    cdef bint unnamed_harmless  # as Statement.harmless

    cdef int define_named(
        self, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t text,
        object intern,
    ) except -1
    cdef bint _has_room(self, Py_ssize_t total) except -1
    cdef bint is_uncertain(self, bytes name) except -1
    cdef int note_changed(self, bytes name) except -1
    cdef int _define_again(
        self, bytes name, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
        Py_ssize_t text,
    ) except -1
    cdef bint define_proven(
        self, const unsigned char *frame, Py_ssize_t total, object intern
    ) except -1
    cdef int define_unnamed(self, bytes definition) except -1
    cdef int close_unnamed(self) except -1
    cdef int forget_unnamed(self) except -1
    cdef bint has_unnamed(self) except -1
    cdef int prepare_unnamed(self) except -1
    cdef Py_ssize_t use_named(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t name
    ) except -1
    cdef int executes(self, bytes text) except -1
    cdef int refuse_in_place(self, bytes error) except -1
    cdef int _prepare(self, Statement statement) except -1


cdef Py_ssize_t statement_name(int kind, const unsigned char *frame, Py_ssize_t there) noexcept
cdef int put(Server server, const unsigned char *data, Py_ssize_t count) except -1
cdef int send_put(Server server, const unsigned char *data, Py_ssize_t count) except -1
cdef int begin_putting() noexcept
