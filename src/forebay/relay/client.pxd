from .client_state cimport ClientState


cdef class Client(ClientState):
    cdef bint _without_server(
        self, int kind, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -1
    cdef Py_ssize_t _awaited(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there
    ) noexcept
    cdef int _note_sent(self, int kind) except -1
    cdef int _end_batch(self, int reply) except -1
    cdef bint _has_unnamed(self) except -1
