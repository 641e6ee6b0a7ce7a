cimport cython
from libc.stdint cimport uint64_t

from .ledger cimport Ledger
from .statement cimport Known, Statement


@cython.final
@cython.freelist(256)
cdef class Expectation:
    cdef uint64_t batch
    cdef tuple changes  # of (mapping, key, old value or None), put back if the message fails; or None
    cdef tuple refutes  # (mapping, key) that goes if this very message fails; or None
    cdef uint64_t proves  # in which state of the schema what it prepares is proven, if it succeeds; 0: none
    # The error that the client gets instead of one with this SQLSTATE.
    cdef bytes error
    cdef bytes sqlstate
    # Whom the outcome concerns: who defines or closes its unnamed statement, or asks for a description.
    cdef object user
    cdef bytes unnamed_before
    cdef uint64_t serial_before
    cdef uint64_t serial_there  # whose unnamed statement the connection had
    cdef uint64_t serial_now  # ... and has, if it succeeds: never 0
    cdef Statement described
    cdef bytes types  # of its parameters, as they were told (the body of a ParameterDescription)
    cdef bytes name  # what the client calls the statement it means, if that cannot be told otherwise
    cdef bint drops_all  # it ends all prepared statements, if it succeeds
    cdef bint is_of_parse  # nobody has asked for the description: it says what Parse has found
    cdef bint is_guard  # it fails if the change-over before it has failed: see `LentConnection._replay`

    cdef bint is_unnamed(self) noexcept


@cython.final
cdef class Prepared:
    cdef Ledger ledger
    cdef readonly dict statements  # of Known, all True: in the order of their last use
    cdef Known latest  # the one used last, as long as it has that; else None
    cdef dict told  # Known that it has → what it has told of it, if anything: a Told
    cdef bytes unnamed_shape  # what the unnamed statement returns that had this serial
    cdef uint64_t unnamed_shape_serial
    cdef dict unproven  # Known → the batch that prepares or closes it, until it is answered
    # What could not be prepared or named: no message sent behind that can put it back.
    cdef set never
    cdef object expectations  # one Expectation for each entry of the ledger that asked for it
    cdef uint64_t batch  # the number of the one being sent: each ends with Sync or is a Query
    cdef uint64_t unnamed_serial  # which client's unnamed statement it has; 0: nobody's that counts
    cdef uint64_t unnamed_batch  # the last one that has defined or closed it

    cdef bint owe(self, int kind, int action, tuple changes, uint64_t proves=*, tuple refutes=*) except -1
    cdef bint owe_drop(self, tuple changes) except -1
    cdef Expectation _next_drop(self)
    cdef int owe_error(self, bytes error, bytes sqlstate) except -1
    cdef bint owe_unnamed(
        self, int kind, int action, object user, bytes before, uint64_t serial_before,
        uint64_t serial_now,
    ) except -1
    cdef bint owe_description(
        self, int action, Statement statement, object user, bytes name, tuple refutes=*, uint64_t serial=*
    ) except -1
    cdef bint owe_types(self, Statement statement, object user, bytes name, bint proves) except -1
    cdef bint owe_named(self, int kind, bytes name) except -1
    cdef bint owe_guard(self, int kind) except -1
    cdef bint _expect(self, int kind, int action, Expectation expected) except -1
    cdef uint64_t unknown_since(self) except -1
    cdef bint is_uncertain(self, Known known) except -1
    cdef bint is_unnamed_uncertain(self) except -1
    cdef int note_used(self, Known known) except -1
    cdef Known least_used(self)
    cdef int forget_all(self) except -1
    cdef int note_outcome(self, bint unnamed_failed=*) except -1
    cdef int note_failure(self, Expectation failing) except -1
    cdef int _undo(self, list failed, bint unnamed_failed) except -1
    cdef int _restore_unnamed(self, Expectation first, Expectation last, bint failed) except -1
    cdef Expectation head(self)
    cdef bytes head_name(self)
    cdef int note_types(self, bytes types) except -1
    cdef bint note_description(self, bytes shape) except -1
    cdef bytes replaced(self, bytes error)
    cdef bint is_unnamed(self) except -1
