"""The words the glance knows: what a statement may begin with, and what matters wherever it stands.

Case is folded by `byte | 0x20`. It makes a letter of nothing but that letter, so what a statement
may begin with is exact. In a quoted name DEL passes for the _ of set_config, though, which only
means to ask.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy


cdef inline uint32_t _four(const void *text) noexcept nogil:
    """Four bytes in lower case."""
    cdef uint32_t bytes_there
    memcpy(&bytes_there, text, 4)
    return bytes_there | 0x20202020


cdef inline bint _is(const unsigned char *word, const char *other, Py_ssize_t size) noexcept nogil:
    """Whether a word of 4 to 12 bytes is `other`, in any case.

    By fours, the last of which may overlap: of `other` and `size` the compiler makes constants.
    """
    return (
        _four(word) == _four(other)
        and (size == 4 or _four(word + size - 4) == _four(other + size - 4))
        and (size <= 8 or _four(word + 4) == _four(other + 4))
    )


cdef inline bint matters(const unsigned char *word, Py_ssize_t size) noexcept nogil:
    """Whether a word or quoted name matters wherever it stands."""
    if size >= 3 and word[2] == b"_" and (word[0] | 0x20) == b"p" and (word[1] | 0x20) == b"g":
        return True
    if size == 4:
        return _is(word, "temp", 4)
    if size == 6:
        return _is(word, "setval", 6)
    if size == 7:
        return (
            _is(word, "nextval", 7) or _is(word, "currval", 7)
            or _is(word, "lastval", 7) or _is(word, "setseed", 7)
        )
    if size == 9:
        return _is(word, "temporary", 9)
    return size == 10 and _is(word, "set_config", 10)


cdef inline bint may_begin(const unsigned char *word, Py_ssize_t size) noexcept nogil:
    """Whether a statement that begins with this word changes nothing but by names that matter."""
    if size == 3:
        return (word[0] | 0x20) == b"e" and (word[1] | 0x20) == b"n" and (word[2] | 0x20) == b"d"
    if size == 4:
        return (
            _is(word, "with", 4) or _is(word, "copy", 4) or _is(word, "show", 4)
            or _is(word, "call", 4) or _is(word, "lock", 4) or _is(word, "move", 4)
        )
    if size == 5:
        return (
            _is(word, "begin", 5) or _is(word, "start", 5) or _is(word, "fetch", 5)
            or _is(word, "close", 5) or _is(word, "merge", 5) or _is(word, "table", 5)
            or _is(word, "abort", 5)
        )
    if size == 6:
        return (
            _is(word, "select", 6) or _is(word, "insert", 6) or _is(word, "update", 6)
            or _is(word, "commit", 6) or _is(word, "delete", 6) or _is(word, "values", 6)
            or _is(word, "notify", 6) or _is(word, "vacuum", 6)
        )
    if size == 7:
        return _is(word, "release", 7) or _is(word, "analyze", 7)
    if size == 8:
        return _is(word, "rollback", 8) or _is(word, "truncate", 8)
    return size == 9 and _is(word, "savepoint", 9)
