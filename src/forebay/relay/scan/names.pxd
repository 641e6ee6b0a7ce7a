"""Whether a text names one of the functions that an operator lists."""

from libc.stdint cimport uint64_t

cdef enum:
    NAME_BYTES = 63  # PostgreSQL cuts longer identifiers


# The word that a text, or a piece of it, ends in. Zeroed memory is the beginning of a text.
cdef struct Word:
    unsigned char size
    unsigned char text[NAME_BYTES]


cdef class FunctionNames:
    cdef uint64_t lengths[256]  # by their first byte: bit n is set for a name of n bytes
    cdef bytes packed  # each behind its length

    cdef bint are_in(self, const unsigned char *text, Py_ssize_t size) noexcept
    cdef bint go_on(self, Word *word, const unsigned char *text, Py_ssize_t size) noexcept
    cdef bint _is_one(self, const Word *word) noexcept
