cimport cython

# C integers when compiled; ledger.py gives them their values.
cdef int QUERY, FUNCTION, SYNC, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, COPY_END, FORWARD
cdef int SWALLOW, FAKE, REPLACE, DESYNC
cdef int _KIND, _ACTION_SHIFT, _ACTION, _EXPECTED, _READY_FOR_QUERY, _ERROR_RESPONSE, _COMMAND_COMPLETE
cdef int _EMPTY_QUERY, _PORTAL_SUSPENDED, _PARSE_COMPLETE, _BIND_COMPLETE, _CLOSE_COMPLETE
cdef int _ROW_DESCRIPTION, _NO_DATA, _COPY_IN_RESPONSE, _PARAMETER_DESCRIPTION, _DATA_ROW
cdef int _COPY_DATA, _COPY_DONE, _COPY_OUT_RESPONSE, _FUNCTION_CALL_RESPONSE


cdef inline int head_of(Ledger ledger):
    """The entry that is being answered, without a call; 0 if nothing is owed."""
    return 0 if ledger.count == 0 else ledger.ring[ledger.head]


cdef inline int action_of(int entry) noexcept:
    return (entry >> _ACTION_SHIFT) & _ACTION


cdef inline bint is_expected_in(int entry) noexcept:
    return entry & _EXPECTED != 0


cdef bint _fits(int kind, int message) noexcept


@cython.final
cdef class Ledger:
    cdef bytearray ring
    cdef Py_ssize_t mask
    cdef Py_ssize_t head
    cdef readonly Py_ssize_t count
    cdef readonly bint failed
    cdef readonly bint copy_in
    cdef readonly bint doubtful
    cdef bint copying
    cdef Py_ssize_t ignored_syncs
    cdef readonly Py_ssize_t fakes
    cdef Py_ssize_t requests
    cdef public Py_ssize_t settled
    cdef public Py_ssize_t dropped

    @cython.locals(ignored=cython.bint, entry=cython.int)
    cpdef bint push(self, int kind, int action, bint expected=*) except -2

    @cython.locals(kind=cython.int)
    cpdef int take_fake(self) except -2
    cpdef int action(self) except -2
    cpdef int head_kind(self) except -2
    cpdef list kinds(self)
    cpdef bint is_expected(self) except -2
    cpdef bint is_pipelined(self) except -2

    @cython.locals(index=cython.Py_ssize_t, found=cython.Py_ssize_t, entry=cython.int)
    cpdef Py_ssize_t turns(self) except -2

    @cython.locals(kind=cython.int, action=cython.int)
    cpdef int reply(self, int message) except -2

    @cython.locals(entry=cython.int)
    cdef int _pop(self) except -2
    cdef int _fail(self) except -2
    cdef int _drop_head(self) except -2
    cdef bint _is_request(self, int entry) noexcept

    @cython.locals(index=cython.Py_ssize_t, kept=cython.Py_ssize_t, entry=cython.int)
    cdef int _begin_copy_in(self) except -2

    @cython.locals(place=cython.Py_ssize_t)
    cdef int _end_copy_in(self) except -2

    @cython.locals(index=cython.Py_ssize_t, old=cython.Py_ssize_t, ring=bytearray)
    cdef int _grow(self) except -2
