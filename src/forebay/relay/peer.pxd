from libc.stdint cimport uint8_t, uint32_t

from .poller cimport Poller


cdef enum:
    RECEIVE_BYTES = 131072  # taken from a socket at once
    GATHER_BYTES = 65536  # what may be held back until a message is whole


cdef class Peer:
    cdef Poller poller
    cdef readonly int fd
    cdef uint32_t events
    cdef uint8_t paused  # nobody reads from it: the other side cannot be written, or it waits
    cdef bint forgotten  # not watched any more, though still open
    cdef uint8_t finishing  # closes when what is queued for it has left
    # Received and not consumed yet: NULL in an idle peer. How much it is changes by `note_held`.
    cdef unsigned char *held
    cdef Py_ssize_t held_count
    cdef Py_ssize_t hold_limit  # so much may be held: more than GATHER_BYTES for one long message
    # To be sent: NULL when all has left.
    cdef unsigned char *queued
    cdef Py_ssize_t queued_start
    cdef Py_ssize_t queued_count
    cdef Py_ssize_t queued_room
    cdef double taken_at  # when its socket has last taken something
    cdef readonly bint is_tls  # or was, until it was closed
    cdef bint close_hard  # the other side is to get nothing more, not even what is on its way
    cdef bint tls_ended  # the other side has said that it sends no more
    # None without TLS.
    cdef object tls
    cdef object incoming
    cdef object outgoing

    cdef int watch(self) except -1
    cdef int pause_reading(self) except -1
    cdef int resume_reading(self) except -1
    cdef int write(self, const unsigned char *data, Py_ssize_t count) except -1
    cpdef put_off(self, bytes data)
    cpdef push(self)
    cdef int enqueue(self, const unsigned char *data, Py_ssize_t count) except -1
    cdef int flush(self) except -1
    cdef int finish(self) except -1
    cdef int close(self) except -1
    cdef int forget(self) except -1
    cdef bint is_blocked(self) noexcept
    cdef int ready(self, uint32_t events) except -1
    cdef int consume_held(self) except -1

    # What a client and a database connection each do in their own way.
    cdef Py_ssize_t consume(self, const unsigned char *data, Py_ssize_t count) except -1
    cdef int drained(self) except -1
    cdef int lost(self, object reason) except -1

    cdef int _arm(self, uint32_t events) except -1
    cdef int _hold(self, const unsigned char *data, Py_ssize_t count) except -1
    cdef int _read(self) except -1
    cdef int _read_on(self) except -1
    cdef int _nothing_came(self, Py_ssize_t outcome) except -1
    cdef Py_ssize_t _receive(self, unsigned char *into) except -3
    cdef Py_ssize_t _receive_tls(self, unsigned char *into) except -3
    cdef int _send(self) except -1
    cdef int _encrypt(self, const unsigned char *data, Py_ssize_t count) except -1
    cdef int _take_ciphered(self) except -1
    cdef int _append(self, const unsigned char *data, Py_ssize_t count) except -1


cdef inline int note_held(Peer peer, Py_ssize_t count) noexcept:
    """So much is held by the peer now."""
    peer.poller.held_bytes += count - peer.held_count
    peer.held_count = count
    return 0


cdef inline bint too_much_is_held(Peer peer, Py_ssize_t more) noexcept:
    """Whether all peers together would hold more than they may with so many bytes more."""
    return peer.poller.held_bytes + more > peer.poller.held_limit
