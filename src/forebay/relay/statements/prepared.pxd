cimport cython
from libc.stdint cimport uint64_t

from ..belief cimport Cell, Message, Place, Table, Unanswered
from ..ledger cimport Ledger
from .entries cimport Held, Named, Unnamed
from .statement cimport Known, Statement


@cython.final
cdef class Question:
    cdef Statement statement
    cdef Held held
    cdef Named named
    cdef Unnamed unnamed
    cdef bytes types
    cdef bint is_open
    cdef bint is_of_parse
    cdef bint proves


@cython.final
cdef class Refusal:
    cdef bytes error
    cdef bytes sqlstate


@cython.final
cdef class Naming:
    cdef bytes name


cdef object GUARD


@cython.final
cdef class Proofs(Place):
    pass


@cython.final
cdef class Prepared:
    cdef Ledger ledger
    cdef readonly Unanswered unanswered
    cdef readonly Table statements
    cdef readonly Cell unnamed
    cdef Known latest
    cdef Held latest_held

    cdef bint owe(self, int kind, int action, Message message) except -1
    cdef bint owe_role(self, int kind, int action, object role) except -1
    cdef int owe_error(self, bytes error, bytes sqlstate) except -1
    cdef bint owe_guard(self, int kind) except -1
    cdef bint owe_naming(self, int kind, bytes name) except -1
    cdef Held get(self, Known known)
    cdef int note_used(self, Known known, Held there) except -1
    cdef bint is_full(self, Py_ssize_t limit) except -1
    cdef Known least_used(self)
    cdef int end_batch(self) except -1
    cdef int forget_all(self) except -1
    cdef int note_outcome(self, bint itself=*, bint cut_short=*) except -1
    cdef object role(self)
    cdef int note_types(self, bytes types) except -1
    cdef int note_description(self, bytes description) except -1


cdef int note_unnamed(Prepared prepared, Message message, Cell cell, Unnamed now) except -1
cdef int note_proof(Message message, Known known, uint64_t schema) except -1
