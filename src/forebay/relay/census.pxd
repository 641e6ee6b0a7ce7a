cimport cython

from forebay.relay.histogram cimport Histogram


cdef class Demand:
    cdef public Py_ssize_t size
    cdef public Py_ssize_t opening
    cdef public Py_ssize_t waiting
    cdef public double waits_since
    cdef public double retry_at
    cdef public bint held_back
    cdef public Demand before
    cdef public Demand behind


cdef class Census:
    cdef public Py_ssize_t limit
    cdef public Py_ssize_t waiting_limit
    cdef public Py_ssize_t size
    cdef public Py_ssize_t opening
    cdef public Py_ssize_t idle
    cdef public Py_ssize_t waiting
    cdef public Py_ssize_t in_demand
    cdef readonly Demand first
    cdef readonly Demand last
    # How long clients have waited for a connection (but for those that got one at once), and requests took.
    cdef readonly Histogram waits
    cdef readonly Histogram queries
    cdef readonly Histogram database

    @cython.locals(was_in_demand=bint)
    cpdef resize(self, Demand pool, Py_ssize_t change)
    cpdef bint joined(self, Demand pool, double now)

    @cython.locals(at=Demand)
    cpdef left(self, Demand pool, double since)

    @cython.locals(after=Demand)
    cdef _put_behind(self, Demand at, Demand pool)

    @cython.locals(before=Demand, behind=Demand)
    cdef _take_out(self, Demand pool)

    @cython.locals(pool=Demand)
    cpdef Demand neediest(self, Demand owner, double now)

    @cython.locals(other=Demand, share=Py_ssize_t)
    cpdef Demand claimant(self, Demand owner, double now)
    cpdef bint takes(self, Demand owner, double now)
