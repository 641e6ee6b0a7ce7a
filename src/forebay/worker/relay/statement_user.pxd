from libc.stdint cimport uint64_t

from .statement cimport Statement
from .statement_owner cimport StatementOwner


cdef enum:
    NAMED_LIMIT = 8388608  # bytes of a Parse with a name
    ASKED = -2  # a question to the connection was put behind what was put before


cdef class StatementUser(StatementOwner):
    cdef dict portals  # name → text and reading of what something follows from when it is executed
    # The unnamed portal's statement, and what the client calls it; empty: the unnamed one.
    cdef Statement bound_statement
    cdef bytes bound_name
    cdef bint bound_agrees  # the connection has told of it what the client was told before
    cdef dict bound_portals  # the same of portals with names; None until there are some
    cdef public bint strict  # what is to pin is what pins on RDS Proxy

    cdef bint must_wait(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
        Py_ssize_t name,
    ) except -1
    cdef int define_named(
        self, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t text
    ) except -1
    cdef Statement _statement(self, const unsigned char *frame, Py_ssize_t text, Py_ssize_t total)
    cdef uint64_t _proves(self) except? 0
    cdef int _define_again(
        self, bytes name, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
        Py_ssize_t text,
    ) except -1
    cdef bint define_proven(self, const unsigned char *frame, Py_ssize_t total) except -1
    cdef Py_ssize_t use_named(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t name
    ) except -3
    cdef Py_ssize_t _refuse_unknown(self, const unsigned char *name, Py_ssize_t total) except -3
    cdef Statement _meant(self, Statement statement)
    cdef Statement _as_told(self, Statement statement, bytes given)
    cdef Statement _agreed(self, Statement statement, bytes given)
    cdef int _note_bound(self, const unsigned char *portal, bytes given, Statement statement) except -1
    cdef bint describe_portal(self, const unsigned char *frame, Py_ssize_t total) except -1
    cdef Py_ssize_t _use_sql_prepared(self, int kind, bytes name) except -3
    cdef int _close(self, bytes given, object found) except -1
    cdef int _prepare(self, Statement statement, tuple refutes=*) except -1
    cdef int _make_room(self) except -1
    cdef int _evict(self, Statement statement) except -1
    cdef bint _keeps_shape(self, Statement statement, bytes given) except -1
    cdef int binds(
        self, const unsigned char *portal, bytes text, bint named, object reading
    ) except -1


cdef bytes FLUSH

cdef Py_ssize_t statement_name(int kind, const unsigned char *frame, Py_ssize_t there) noexcept
