from .connection cimport Connection


cdef enum:
    # Beside the ledger's actions:
    DROP = 4  # a reply that nobody gets, for another comes in its place
    ENDED = 6  # the database's last word, after which it ends the connection
    WITHHELD = 7  # an error that the client does not get unless it is its own: see repeating
    REFUSED = 5  # the database has not changed over, and skips what was sent with that


cdef class Server(Connection):
    cdef bytes instead  # what the client gets instead of the message that is being judged
    cdef list skipped  # the kinds of what the database skips: see REFUSED

    cpdef start(self)
    cpdef cancel_finished(self)

    cdef int _forwarded(self, int kind) except -1
    cdef int _treat(self, int action, const unsigned char *frame, Py_ssize_t total) except -1
    cdef bint _is_gathered(self, int kind) except -1
    cdef int _judge(
        self, int kind, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -3
    cdef int _judge_error(
        self, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -3
    cdef int _judge_ready(self, const unsigned char *frame, Py_ssize_t total) except -3
    cdef int _judge_notification(self, const unsigned char *frame, Py_ssize_t total) except -3
    cdef bytes _renamed(self, bytes error, object failing)
    cdef int _refuse_turn(self) except -1
    cdef int _let_client_go_on(self) except -1
    cdef int _swallow(self, const unsigned char *frame, Py_ssize_t total) except -1
