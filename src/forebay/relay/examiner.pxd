from .scan.glance cimport GlanceState
from .scan.names cimport FunctionNames
from .connection cimport Borrower
from .statements.entries cimport Unnamed


cdef enum:
    UNCHANGED = -1
    UNCERTAIN = -3
    NOTED = -4


cdef class Examiner(Borrower):
    cdef FunctionNames functions  # that the operator lists; None: none
    cdef GlanceState *looking  # at a statement that is too long to be held back; mostly NULL
    cdef object deallocated  # the name in a DEALLOCATE that Forebay answers
    cdef public object follow_up  # what belongs to the turn that the client is in: see turn.follow

    cdef bint is_read(self, int kind) noexcept
    cdef Py_ssize_t translate(
        self, int kind, const unsigned char *span, Py_ssize_t span_count,
        const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
    ) except -5
    cdef int look_on(self, const unsigned char *text, Py_ssize_t count, bint ends) except -1
    cdef Py_ssize_t _unnamed(
        self, int kind, const unsigned char *span, Py_ssize_t span_count,
        const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name,
    ) except -5
    cdef bint _bind_unnamed(self, const unsigned char *frame, Unnamed entry) except -1
    cdef Py_ssize_t _forget_first(self, const unsigned char *span, Py_ssize_t span_count) except -5
    cdef int _parse_unnamed(
        self, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name
    ) except -5
    cdef Py_ssize_t _execute(self, const unsigned char *frame, Py_ssize_t total) except -5
    cdef int _examine(self, const unsigned char *text, Py_ssize_t there, bint whole) except -1
    cdef bint _is_certain(self, const unsigned char *text, Py_ssize_t there) noexcept
    cdef Py_ssize_t _answer_deallocate(self, Py_ssize_t total) except -1
    cdef int _looked(self, bint harmless) except -1
    cpdef look_for(self, FunctionNames functions)
