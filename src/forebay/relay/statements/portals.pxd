cimport cython

from .entries cimport Named, Unnamed
from .statement cimport Statement


cdef enum:
    PORTALS_LIMIT = 100  # with names, of which is known what they were bound of


@cython.final
cdef class Portals:
    cdef Named named
    cdef Unnamed unnamed
    cdef Statement statement
    cdef bint is_told
    cdef dict others
    cdef dict followed

    cdef int note_bound(
        self, const unsigned char *portal, Named named, Unnamed unnamed, Statement statement, bint is_told
    ) except -1
    cdef int follow(self, bytes portal, tuple bound) except -1
    cdef int forget(self) except -1
