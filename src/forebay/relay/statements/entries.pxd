cimport cython

from .statement cimport Statement, Told


@cython.final
cdef class Named:
    cdef readonly bytes name
    cdef readonly Statement statement
    cdef Told told

    cdef int tell(self, Statement statement, bytes returns, bytes types) except -1


@cython.final
cdef class Unnamed:
    cdef bytes definition
    cdef object parameters
    cdef int control
    cdef bint harmless
    cdef bint is_bound
    cdef bytes portal
    cdef Told told

    cdef bytes text(self)
    cdef Told was_told(self)


@cython.final
cdef class Held:
    cdef Unnamed unnamed
    cdef Told told
    cdef bytes called


cdef Named named(bytes name, Statement statement)


cdef inline Held held():
    return Held.__new__(Held)
