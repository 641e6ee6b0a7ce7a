# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
"""A first look at statement text: certainly without effect on the session, or not.

Every statement passes here, so this reads each byte once, makes no object and knows just enough of
PostgreSQL's lexical rules to be certain. True means that ``forebay.sql.effects`` would find
nothing, whatever standard_conforming_strings and the client's encoding are. False means: ask it.

Certain are statements that

- begin with a word from a short list (SELECT, INSERT, BEGIN ...; so nothing can hide behind a
  command that is unknown here),
- and hold none of the names that matter anywhere (nextval, set_config, TEMP, all that begins with
  pg_), neither as a word nor as a whole quoted name,
- and hold nothing whose end or meaning depends on more than this file knows: dollar quotes,
  ``U&""`` names, a backslash before a quote, letters beyond ASCII outside quotes, words glued to
  numbers, zero bytes, what a client encoding may turn into a backslash.

A statement that is longer than what the relay gathers is looked at in pieces. What is unfinished at
the end of a piece (a word, half an operator) is carried over; strings and comments are a mode.
"""

from libc.string cimport memchr, memcpy

from .words cimport matters, may_begin

cdef enum:
    # where the text stands
    NORMAL
    STRING
    LONG_NAME  # in a quoted name too long to matter
    LINE_COMMENT
    BLOCK_COMMENT

cdef enum:
    # what a byte begins outside quotes and comments
    PLAIN
    SPACE
    LETTER
    DIGIT
    QUOTE
    NAME_QUOTE
    SEMICOLON
    OPENING
    HYPHEN
    SLASH
    DOLLAR
    AMPERSAND
    BEYOND_ASCII

cdef enum:
    MAX_COMMENT_DEPTH = 1000000

cdef unsigned char CLASS[256]
cdef unsigned char CONTINUES[256]  # whether a byte continues a word; those beyond ASCII too


def _fill_tables():
    for byte in range(256):
        character = chr(byte)
        CONTINUES[byte] = byte >= 128 or character.isalnum() or character in "_$"
        CLASS[byte] = PLAIN
        if byte >= 128:
            CLASS[byte] = BEYOND_ASCII
        elif character.isalpha() or character == "_":
            CLASS[byte] = LETTER
        elif character.isdigit():
            CLASS[byte] = DIGIT
        elif character in " \t\n\r\f\v":
            CLASS[byte] = SPACE
    CLASS[b"'"] = QUOTE
    CLASS[b'"'] = NAME_QUOTE
    CLASS[b";"] = SEMICOLON
    CLASS[b"("] = OPENING
    CLASS[b"-"] = HYPHEN
    CLASS[b"/"] = SLASH
    CLASS[b"$"] = DOLLAR
    CLASS[b"&"] = AMPERSAND


_fill_tables()


cdef inline const unsigned char* _fail(
    GlanceState* state, const unsigned char* end
) noexcept nogil:
    state.failed = True
    return end


cdef const unsigned char* _string(
    GlanceState* state, const unsigned char* at, const unsigned char* end, bint final
) noexcept nogil:
    """Read on within a string literal of any kind. Returns the position behind its closing quote, or the one where
    to wait for the next piece.

    The kinds differ only in whether a backslash escapes a quote behind it. Where a backslash stands before a
    quote, or may be the second half of a character, the glance fails. ``''`` is read as the end of one literal
    and the start of the next.
    """
    cdef const unsigned char* first = at
    cdef const unsigned char* quote = <const unsigned char*>memchr(at, b"'", end - at)
    cdef const unsigned char* limit = end if quote == NULL else quote
    while True:
        at = <const unsigned char*>memchr(at, b"\\", limit - at)
        if at == NULL:
            break
        if at > first and at[-1] >= 0x80:
            return _fail(state, end)
        if at + 1 == end:
            return _fail(state, end) if final else at
        if at[1] == b"'":
            return _fail(state, end)
        at += 2
    if quote != NULL:
        state.mode = NORMAL
        return quote + 1
    if final:
        return _fail(state, end)
    # The last byte is needed again if the next one is a backslash.
    return end - 1 if end > first and end[-1] >= 0x80 else end


cdef const unsigned char* _block_comment(
    GlanceState* state, const unsigned char* at, const unsigned char* end, bint final
) noexcept nogil:
    """Go on within a block comment; the position behind it, or where to wait."""
    while at < end:
        if at[0] != b"*" and at[0] != b"/":
            at += 1
            continue
        if at + 1 == end:
            return _fail(state, end) if final else at
        if at[0] == b"*" and at[1] == b"/":
            at += 2
            state.depth -= 1
            if state.depth == 0:
                state.mode = NORMAL
                return at
        elif at[0] == b"/" and at[1] == b"*":
            at += 2
            state.depth += 1
            if state.depth > MAX_COMMENT_DEPTH:
                return _fail(state, end)
        else:
            at += 1
    return _fail(state, end) if final else at


cdef const unsigned char* _quoted_name(
    GlanceState* state, const unsigned char* at, const unsigned char* end, bint final
) noexcept nogil:
    """Read "..." from its first quote on; the position behind its last, or where to wait."""
    cdef const unsigned char* close = <const unsigned char*>memchr(at + 1, b'"', end - at - 1)
    if close != NULL:
        if matters(at + 1, close - at - 1):
            return _fail(state, end)
        return close + 1
    if final:
        return _fail(state, end)
    if end - at <= CARRY_BYTES:
        return at
    if matters(at + 1, end - at - 1):
        return _fail(state, end)
    state.mode = LONG_NAME
    return end


cdef inline const unsigned char* _digits(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    while at < end and CLASS[at[0]] == DIGIT:
        at += 1
    return at


cdef inline const unsigned char* _ended(
    GlanceState* state, const unsigned char* first, const unsigned char* at,
    const unsigned char* end, bint final
) noexcept nogil:
    """The end of a number that began at ``first``, or where to wait; nothing may be glued to it."""
    if at == end:
        return at if final else first
    return _fail(state, end) if CONTINUES[at[0]] else at


cdef const unsigned char* _number(
    GlanceState* state, const unsigned char* first, const unsigned char* end, bint final
) noexcept nogil:
    """Read a number from its first digit on; a word glued to it is more than this file knows."""
    cdef const unsigned char* at = _digits(first, end)
    if at < end and at[0] == b".":
        at = _digits(at + 1, end)
    if at < end and (at[0] == b"e" or at[0] == b"E"):
        at += 1
        if at < end and (at[0] == b"+" or at[0] == b"-"):
            at += 1
        if at < end and CLASS[at[0]] != DIGIT:
            return _fail(state, end)
        at = _digits(at, end)
    return _ended(state, first, at, end, final)


cdef const unsigned char* _mark(
    GlanceState* state, const unsigned char* at, const unsigned char* end, bint final
) noexcept nogil:
    """Read what begins with - / & or $; the position behind it, or where to wait."""
    cdef unsigned char first = at[0]
    cdef unsigned char second = at[1] if at + 1 < end else 0
    if at + 1 == end and not final:
        return at
    if first == b"-" and second == b"-":
        state.mode = LINE_COMMENT
        return at + 2
    if first == b"/" and second == b"*":
        state.mode = BLOCK_COMMENT
        state.depth = 1
        return at + 2
    if state.at_start or (first == b"&" and second == b'"'):
        return _fail(state, end)
    if first == b"$":
        if CLASS[second] != DIGIT:
            return _fail(state, end)
        return _ended(state, at, _digits(at + 1, end), end, final)
    return at + 1


cdef const unsigned char* _normal(
    GlanceState* state, const unsigned char* at, const unsigned char* end, bint final
) noexcept nogil:
    """Go on outside strings and comments until one begins; the position behind what was read."""
    cdef const unsigned char* first
    cdef unsigned char kind
    while at < end:
        first = at
        kind = CLASS[at[0]]
        if kind == LETTER:
            at += 1
            while at < end and CONTINUES[at[0]]:
                if at[0] >= 0x80:
                    return _fail(state, end)
                at += 1
            if at == end and not final:
                return first
            if state.at_start:
                if not may_begin(first, at - first):
                    return _fail(state, end)
                state.at_start = False
            elif matters(first, at - first):
                return _fail(state, end)
        elif kind == SPACE or kind == OPENING:
            at += 1
        elif kind == SEMICOLON:
            state.at_start = True
            at += 1
        elif kind >= HYPHEN and kind <= AMPERSAND:
            at = _mark(state, at, end, final)
        elif state.at_start or kind == BEYOND_ASCII:
            return _fail(state, end)
        elif kind == PLAIN:
            at += 1
        elif kind == QUOTE:
            state.mode = STRING
            at += 1
        elif kind == DIGIT:
            at = _number(state, at, end, final)
        else:
            at = _quoted_name(state, at, end, final)
        if state.mode != NORMAL or at == first:
            return at  # something else begins, or more is needed
    return at


cdef const unsigned char* _scan(
    GlanceState* state, const unsigned char* at, const unsigned char* end, bint final
) noexcept nogil:
    """Read on; the position up to which everything is settled (``end`` if final or failed)."""
    cdef const unsigned char* before
    cdef unsigned char mode
    while at < end and not state.failed:
        before = at
        mode = state.mode
        if mode == NORMAL:
            at = _normal(state, at, end, final)
        elif mode == STRING:
            at = _string(state, at, end, final)
        elif mode == BLOCK_COMMENT:
            at = _block_comment(state, at, end, final)
        elif mode == LINE_COMMENT:
            while at < end and at[0] != b"\n" and at[0] != b"\r":
                at += 1
            if at < end:
                state.mode = NORMAL
        else:
            at = <const unsigned char*>memchr(at, b'"', end - at)
            if at == NULL:
                return end
            at += 1
            state.mode = NORMAL
        if at == before and state.mode == mode:
            break  # more is needed
    return at


cdef bint _is_dubious(
    const unsigned char* text, Py_ssize_t size, unsigned char before
) noexcept nogil:
    """Whether a text holds a zero byte, or 81 5F.

    That is a character of SHIFT_JIS_2004, and the only one of any client encoding that the server
    turns into a backslash. ``before`` is the byte before ``text``.
    """
    cdef const unsigned char* at = text
    cdef const unsigned char* end = text + size
    if memchr(text, 0, size) != NULL or (before == 0x81 and text[0] == b"_"):
        return True
    while at < end:
        at = <const unsigned char*>memchr(at, 0x81, end - at)
        if at == NULL:
            return False
        at += 1
        if at < end and at[0] == b"_":
            return True
    return False


cdef bint _settled(GlanceState* state) noexcept nogil:
    return not state.failed and (state.mode == NORMAL or state.mode == LINE_COMMENT)


cdef bint glance(const unsigned char* text, Py_ssize_t size) noexcept nogil:
    """Whether the statements in ``text`` certainly change nothing in the session."""
    cdef GlanceState state
    if size <= 0:
        return True
    if _is_dubious(text, size, 0):
        return False
    glance_begin(&state)
    _scan(&state, text, text + size, True)
    return _settled(&state)


cdef void glance_begin(GlanceState* state) noexcept nogil:
    """Get ready for the first piece of a text."""
    state.mode = NORMAL
    state.last = 0
    state.at_start = True
    state.failed = False
    state.depth = 0
    state.carried = 0


cdef bint glance_feed(
    GlanceState* state, const unsigned char* text, Py_ssize_t size
) noexcept nogil:
    """Look at the next piece; False as soon as the answer can only be False."""
    cdef unsigned char joined[2 * CARRY_BYTES]
    cdef const unsigned char* end = text + size
    cdef const unsigned char* at
    cdef Py_ssize_t carried, taken, used
    if state.failed or size <= 0:
        return not state.failed
    if _is_dubious(text, size, state.last):
        state.failed = True
        return False
    state.last = text[size - 1]
    if state.carried:
        carried = state.carried
        taken = size if size < CARRY_BYTES else CARRY_BYTES
        memcpy(joined, state.carry, carried)
        memcpy(joined + carried, text, taken)
        state.carried = 0
        used = _scan(state, joined, joined + carried + taken, False) - joined
        if used < carried:
            # Still unfinished: carry it all on, unless it is longer than anything known here.
            if taken < size or not _carry(state, joined + used, carried + taken - used):
                state.failed = True
            return not state.failed
        text += used - carried
    at = _scan(state, text, end, False)
    return not state.failed and _carry(state, at, end - at)


cdef bint _carry(GlanceState* state, const unsigned char* text, Py_ssize_t size) noexcept nogil:
    if size > CARRY_BYTES:
        state.failed = True
        return False
    memcpy(state.carry, text, size)
    state.carried = <int>size
    return True


cdef bint glance_finish(GlanceState* state) noexcept nogil:
    """The answer for the whole text; the state is then used up."""
    if not state.failed:
        _scan(state, state.carry, state.carry + state.carried, True)
    return _settled(state)


def glance_text(bytes text not None):
    """Whether ``text`` certainly changes nothing in the session that runs it."""
    return glance(text, len(text))


cdef class ChunkedGlance:
    """The same for a text that arrives in pieces."""

    def __cinit__(self):
        glance_begin(&self.state)

    def feed(self, bytes chunk not None):
        """Look at the next piece; False as soon as the answer can only be False."""
        return glance_feed(&self.state, chunk, len(chunk))

    def finish(self):
        """The answer for the whole text."""
        return glance_finish(&self.state)
