"""The frames of protocol 3: one type byte, then a length word that counts itself and the body."""

from libc.stdint cimport uint32_t


cdef enum:
    HEADER_BYTES = 5
    # As PostgreSQL's PQ_SMALL_MESSAGE_LIMIT and PQ_LARGE_MESSAGE_LIMIT (libpq/libpq.h).
    SMALL_MESSAGE_LIMIT = 10000
    LARGE_MESSAGE_LIMIT = 0x3FFFFFFE


cdef struct Frame:
    # A message of a client, as far as it has come.
    int kind  # its type
    const unsigned char *data
    Py_ssize_t total  # its bytes, HEADER_BYTES included
    Py_ssize_t there  # of these have come
    # What stands before it is to be sent as it is from here on. If the message is replaced, what replaces it
    # is put, and this leads behind what is done with, which may not have come yet.
    const unsigned char *unsent


cdef enum FATE:
    # What becomes of a client's message.
    PASSES  # it is sent, from `unsent` on, and has the reply of its kind
    NOTED  # ... and the ledger knows already of its reply
    WAITS  # nothing of it is sent yet: it is looked at again when what was sent is answered, or others have left


cdef inline int replaced(Frame *frame) noexcept:
    """All of the message is done with: what replaces it is put, and noted."""
    frame.unsent = frame.data + frame.total
    return NOTED


cdef inline uint32_t length_word(const unsigned char *frame) noexcept nogil:
    """The length word of the frame that starts at `frame`, of which HEADER_BYTES must be there."""
    return (
        (<uint32_t> frame[1] << 24) | (<uint32_t> frame[2] << 16)
        | (<uint32_t> frame[3] << 8) | <uint32_t> frame[4]
    )


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
