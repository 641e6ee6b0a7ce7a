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


cdef inline bint is_word(const unsigned char *word, const char *other, Py_ssize_t size) noexcept nogil:
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
        return is_word(word, "temp", 4)
    if size == 6:
        return is_word(word, "setval", 6)
    if size == 7:
        return (
            is_word(word, "nextval", 7) or is_word(word, "currval", 7)
            or is_word(word, "lastval", 7) or is_word(word, "setseed", 7)
        )
    if size == 9:
        return is_word(word, "temporary", 9)
    return size == 10 and is_word(word, "set_config", 10)


cdef inline bint may_begin(const unsigned char *word, Py_ssize_t size) noexcept nogil:
    """Whether a statement that begins with this word changes nothing but by names that matter."""
    if size == 3:
        return (word[0] | 0x20) == b"e" and (word[1] | 0x20) == b"n" and (word[2] | 0x20) == b"d"
    if size == 4:
        return (
            is_word(word, "with", 4) or is_word(word, "copy", 4) or is_word(word, "show", 4)
            or is_word(word, "call", 4) or is_word(word, "lock", 4) or is_word(word, "move", 4)
        )
    if size == 5:
        return (
            is_word(word, "begin", 5) or is_word(word, "start", 5) or is_word(word, "fetch", 5)
            or is_word(word, "close", 5) or is_word(word, "merge", 5) or is_word(word, "table", 5)
            or is_word(word, "abort", 5)
        )
    if size == 6:
        return (
            is_word(word, "select", 6) or is_word(word, "insert", 6) or is_word(word, "update", 6)
            or is_word(word, "commit", 6) or is_word(word, "delete", 6) or is_word(word, "values", 6)
            or is_word(word, "notify", 6) or is_word(word, "vacuum", 6)
        )
    if size == 7:
        return is_word(word, "release", 7) or is_word(word, "analyze", 7)
    if size == 8:
        return is_word(word, "rollback", 8) or is_word(word, "truncate", 8)
    return size == 9 and is_word(word, "savepoint", 9)
