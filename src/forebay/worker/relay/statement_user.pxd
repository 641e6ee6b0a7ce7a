from libc.stdint cimport uint64_t

from .server cimport Borrower, Server
from .statement cimport Statement


cdef class StatementUser(Borrower):
    cdef public dict statements  # name the client gave → Statement; None until it names one
    cdef Py_ssize_t statement_bytes
    # The unnamed statement's definition, to prepare it again elsewhere: NULL if there is none.
    cdef unsigned char *unnamed
    cdef Py_ssize_t unnamed_count
    cdef uint64_t unnamed_serial
    cdef bint unnamed_harmless  # as Statement.harmless
    cdef public bint strict  # what is to pin is what pins on RDS Proxy

    cdef int define_named(
        self, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t text,
        object intern,
    ) except -1
    cdef bint _has_room(self, Py_ssize_t total) except -1
    cdef bint define_proven(
        self, const unsigned char *frame, Py_ssize_t total, object intern
    ) except -1
    cdef int define_unnamed(self, const unsigned char *definition, Py_ssize_t count) except -1
    cdef int forget_unnamed(self) noexcept
    cdef bint has_unnamed(self) except -1
    cdef int prepare_unnamed(self) except -1
    cdef Py_ssize_t use_named(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t name
    ) except -1
    cdef int executes(self, bytes text, bint named) except -1
    cdef int refuse_in_place(self, bytes error) except -1
    cdef int _prepare(self, Statement statement) except -1


cdef Py_ssize_t statement_name(int kind, const unsigned char *frame, Py_ssize_t there) noexcept
cdef int put(Server server, const unsigned char *data, Py_ssize_t count) except -1
cdef int send_put(Server server, const unsigned char *data, Py_ssize_t count) except -1
cdef int begin_putting() noexcept
