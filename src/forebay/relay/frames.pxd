"""The frames of protocol 3: one type byte, then a length word that counts itself and the body."""

from libc.stdint cimport uint32_t


cdef enum:
    HEADER_BYTES = 5
    # As PostgreSQL's PQ_SMALL_MESSAGE_LIMIT and PQ_LARGE_MESSAGE_LIMIT (libpq/libpq.h).
    SMALL_MESSAGE_LIMIT = 10000
    LARGE_MESSAGE_LIMIT = 0x3FFFFFFE


cdef inline uint32_t length_word(const unsigned char *frame) noexcept nogil:
    """The length word of the frame that starts at `frame`, of which HEADER_BYTES must be there."""
    return (
        (<uint32_t> frame[1] << 24) | (<uint32_t> frame[2] << 16)
        | (<uint32_t> frame[3] << 8) | <uint32_t> frame[4]
    )


cdef inline bint is_plausible(int kind, Py_ssize_t total) noexcept nogil:
    """Whether PostgreSQL would read on: a type that clients send, and a length that fits it
    (tcop/postgres.c, SocketBackend)."""
    if total < HEADER_BYTES:
        return False
    if kind == c"Q" or kind == c"P" or kind == c"B" or kind == c"d" or kind == c"F":
        return total <= LARGE_MESSAGE_LIMIT
    if kind == c"E" or kind == c"D" or kind == c"C" or kind == c"f" or kind == c"c":
        return total <= SMALL_MESSAGE_LIMIT
    if kind == c"S" or kind == c"H" or kind == c"X":
        return total <= SMALL_MESSAGE_LIMIT
    return False


cdef inline void write_head(unsigned char *frame, int kind, Py_ssize_t length) noexcept nogil:
    """The type and the length word of a frame, in HEADER_BYTES."""
    frame[0] = kind
    frame[1] = (length >> 24) & 0xFF
    frame[2] = (length >> 16) & 0xFF
    frame[3] = (length >> 8) & 0xFF
    frame[4] = length & 0xFF


cdef inline bytes message(bytes kind, bytes body):
    """A whole message: its frame and `body`."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body
