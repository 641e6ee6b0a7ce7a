from libc.stdint cimport uint64_t

from .connection cimport Borrower
from .statement cimport Told


cdef class UnnamedUser(Borrower):
    cdef readonly object sessions  # answers what is rare or slow; see client.pyx
    cdef bytes unnamed  # the definition of the unnamed statement, to prepare it elsewhere
    cdef object unnamed_parameters  # the connection's, when it was defined
    cdef uint64_t unnamed_serial
    # What the client was told of the one with that serial: what it returns and takes.
    cdef uint64_t told_serial
    cdef Told told_unnamed
    cdef uint64_t portal_serial  # of the one of which a portal was described last: see Borrower.portal_told
    cdef bint unnamed_harmless  # as Statement.harmless: certainly changes no session when it runs

    cdef int define_unnamed(self, bytes definition, bint harmless) except -1
    cdef int close_unnamed(self) except -1
    cdef int _change(self, int kind, bytes definition, bint harmless) except -1
    cdef int _set(self, bytes definition, uint64_t serial, bint harmless) except -1
    cdef int end_unnamed(self) except -1
    cdef int forget_unnamed(self) except -1
    cpdef object parameters_now(self)
    cdef bytes unnamed_text(self)
    cdef bint has_unnamed(self) noexcept
    cdef int owe_portal(self) except -1
    cdef bint was_told(self) except -1
    cdef int note_unnamed_told(self, uint64_t serial, bytes returned, bytes types) except -1
    cdef bint keeps_unnamed_shape(self) except -1
    cdef bint prepare_unnamed(self) except -1
