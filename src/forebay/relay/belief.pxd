cimport cython
from libc.stdint cimport uint64_t

cdef object KEEP, UNKNOWN, ALL


@cython.final
cdef class Change:
    cdef Place place
    cdef object key
    cdef object value
    cdef object otherwise
    cdef bint only_refused
    cdef uint64_t number
    cdef uint64_t batch
    cdef Change next


@cython.final
cdef class Message:
    cdef public object role
    cdef uint64_t batch
    cdef Change changes
    cdef Message behind


cdef class Place:
    cpdef believe(self, Change change)
    cpdef withdraw(self, Change change)
    cpdef settle(self, object key, object value)


@cython.final
cdef class Cell(Place):
    cdef readonly object confirmed
    cdef Change newest

    cpdef object now(self)
    cpdef bint is_possible(self)
    cpdef bint is_uncertain(self, uint64_t batch)


@cython.final
cdef class Table(Place):
    cdef readonly dict confirmed
    cdef readonly dict newest
    cdef Change newest_of_all

    @cython.locals(change=Change)
    cpdef object get(self, object key)

    @cython.locals(change=Change)
    cpdef bint is_uncertain(self, object key, uint64_t batch) except -1
    cpdef bint is_changing(self) except -1
    cpdef dict believed(self)
    cpdef clear(self)


cdef int _SPARE_LIMIT


@cython.final
cdef class Spares:
    cdef Change changes
    cdef Message messages
    cdef Py_ssize_t count


cdef Spares _spares


@cython.final
cdef class Unanswered:
    cdef readonly Message first
    cdef Message last
    cdef public uint64_t batch
    cdef uint64_t number

    @cython.locals(change=Change)
    cpdef sent(self, Message message)

    @cython.locals(message=Message, change=Change)
    cpdef done(self)

    @cython.locals(message=Message, change=Change)
    cpdef list failed(self, Py_ssize_t count, bint itself, bint cut_short)

    @cython.locals(change=Change)
    cpdef forget(self)

    @cython.locals(message=Message)
    cdef Message _take(self)


@cython.locals(change=Change)
cpdef note(Message message, Place place, object key, object value, object otherwise=*, bint only_refused=*)


@cython.locals(message=Message)
cpdef Message new_message()


@cython.locals(change=Change, following=Change)
cdef _spare(Message message)
