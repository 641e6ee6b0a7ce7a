# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""What a text may do to a transaction: begin one, end one, or neither, for certain.

It decides what a client is told whose connection is lost: so every text passes here, and what is not certain
counts as all that it may be. Texts of one statement that begin with none of a few words do neither. CALL and DO
end no transaction block; nor do EXECUTE, which runs no such command, and EXPLAIN.

Source: the grammar's TransactionStmt (gram.y); "Transaction Management" in PL/pgSQL's chapter.
"""

from libc.string cimport memchr

# The same for Python.
BEGINS_BIT, ENDS_BIT, ROLLS_BACK_BIT, HIDES_BIT, SEVERAL_BIT = BEGINS, ENDS, ROLLS_BACK, HIDES, SEVERAL

cdef unsigned char HARMLESS[256]  # as the first byte of a text


def _fill():
    for byte in range(256):
        HARMLESS[byte] = chr(byte).isalpha() and byte < 128 and chr(byte).lower() not in "abceprs"
    HARMLESS[b"("] = True


_fill()


cdef int control_of(const unsigned char *text, Py_ssize_t size) noexcept:
    """What a text may do: a set of CONTROL."""
    cdef const unsigned char *end
    if size <= 0:
        return NO_CONTROL
    if text[size - 1] == c";":
        size -= 1
    end = <const unsigned char *> memchr(text, c";", size)
    if end != NULL and not _is_blank(end + 1, text + size):
        return _of_several(text, size)
    if HARMLESS[text[0]] or (size > 1 and text[0] | 0x20 == c"s" and text[1] | 0x20 == c"e"):
        return NO_CONTROL
    return _of_one(text, size if end == NULL else end - text)


cpdef int control_in(bytes text):
    """As ``control_of``, for Python."""
    return control_of(text, len(text))


cdef bint _is_space(int byte) noexcept:
    return byte == c" " or (byte >= c"\t" and byte <= c"\r")


cdef bint _is_blank(const unsigned char *text, const unsigned char *end) noexcept:
    while text < end:
        if not _is_space(text[0]) and text[0] != c";":
            return False
        text += 1
    return True


cdef int _of_several(const unsigned char *text, Py_ssize_t size) noexcept:
    if _names(text, size, b"begin", 5) or _names(text, size, b"start", 5) or _names(text, size, b"chain", 5):
        return NO_CONTROL | ENDS | SEVERAL | HIDES
    return NO_CONTROL | ENDS | SEVERAL


cdef int _of_one(const unsigned char *text, Py_ssize_t size) noexcept:
    cdef Py_ssize_t at = _skip(text, size)
    cdef Py_ssize_t left = size - at
    cdef int found = NO_CONTROL
    text += at
    if _begins_with(text, left, b"begin", 5) or _begins_with(text, left, b"start", 5):
        found = BEGINS
    elif _begins_with(text, left, b"commit", 6) or _begins_with(text, left, b"end", 3):
        found = ENDS
    elif _begins_with(text, left, b"prepare", 7):
        found = ENDS if _names(text, left, b"transaction", 11) else NO_CONTROL
    elif _begins_with(text, left, b"rollback", 8) or _begins_with(text, left, b"abort", 5):
        # To a savepoint: in a word of its own, whatever stands between.
        found = NO_CONTROL if _names(text, left, b"to", 2) else ROLLS_BACK
    if found & (ENDS | ROLLS_BACK) and _names(text, left, b"chain", 5):
        found |= HIDES
    return found


cdef Py_ssize_t _skip(const unsigned char *text, Py_ssize_t size) noexcept:
    """How many bytes of white space, of comments and of empty statements stand first."""
    cdef Py_ssize_t at = 0
    cdef int depth
    while at < size:
        if _is_space(text[at]) or text[at] == c";":
            at += 1
        elif at + 1 < size and text[at] == c"-" and text[at + 1] == c"-":
            while at < size and text[at] != c"\n" and text[at] != c"\r":
                at += 1
        elif at + 1 < size and text[at] == c"/" and text[at + 1] == c"*":
            depth = 0
            while at < size:
                if at + 1 < size and text[at] == c"/" and text[at + 1] == c"*":
                    depth += 1
                    at += 2
                elif at + 1 < size and text[at] == c"*" and text[at + 1] == c"/":
                    depth -= 1
                    at += 2
                    if depth == 0:
                        break
                else:
                    at += 1
        else:
            break
    return at


cdef bint _begins_with(
    const unsigned char *text, Py_ssize_t size, const unsigned char *word, Py_ssize_t count
) noexcept:
    cdef Py_ssize_t at
    if size < count:
        return False
    for at in range(count):
        if text[at] | 0x20 != word[at]:
            return False
    return True


cdef bint _names(const unsigned char *text, Py_ssize_t size, const unsigned char *word, Py_ssize_t count) noexcept:
    """Whether the letters of `word` stand anywhere in the text."""
    cdef Py_ssize_t at
    for at in range(size - count + 1):
        if _begins_with(text + at, count, word, count):
            return True
    return False
