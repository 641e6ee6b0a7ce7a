from libc.stdint cimport uint64_t

from .statement cimport Statement
from .told_user cimport ToldUser


cdef enum:
    NAMED_LIMIT = 8388608  # bytes of a Parse with a name
    ASKED = -2  # a question to the connection was put behind what was put before


cdef class StatementUser(ToldUser):
    cdef dict portals  # name → text and reading of what something follows from when it is executed

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
    cdef bint must_forget(self, bytes text, object reading) except -1
    cdef Py_ssize_t _use_sql_prepared(self, int kind, bytes name) except -3
    cdef int _close(self, bytes given, object found) except -1
    cdef int binds(
        self, const unsigned char *portal, bytes text, bint named, object reading
    ) except -1


cdef Py_ssize_t statement_name(int kind, const unsigned char *frame, Py_ssize_t there) noexcept
