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


cdef inline bytes message(bytes kind, bytes body):
    """A whole message: its frame and `body`."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body
