"""A first look at statement text: certainly without effect on the session, or not."""

from .names cimport Word

cdef enum:
    CARRY_BYTES = 64


# A look at a text that arrives in pieces. Zeroed memory is not enough: use glance_begin.
cdef struct GlanceState:
    unsigned char mode
    unsigned char last  # byte of the piece before
    bint at_start  # the next word begins a statement
    bint failed
    int depth  # of nested comments
    int carried  # bytes of an unfinished token, kept in `carry` until more of it arrives
    unsigned char carry[CARRY_BYTES]
    Word word  # for who looks for names as well (FunctionNames.go_on): glance_begin leaves it alone


cdef bint glance(const unsigned char* text, Py_ssize_t size) noexcept nogil
cdef void glance_begin(GlanceState* state) noexcept nogil
cdef bint glance_feed(GlanceState* state, const unsigned char* text, Py_ssize_t size) noexcept nogil
cdef bint glance_finish(GlanceState* state) noexcept nogil


cdef class ChunkedGlance:
    cdef GlanceState state
