from .connection cimport Connection

cdef inline void note_asked(Connection server) noexcept:
    """A message of the client's goes to the database. If all that was asked before is answered, a
    request begins, and a transaction if there is none."""
    if server.asked_at == 0:
        server.asked_at = server.poller.now
        if server.transaction_at == 0:
            server.transaction_at = server.poller.now


cdef inline void note_not_asked(Connection server) noexcept:
    """It does not go yet."""
    if server is not None and server.ledger.count == 0:
        server.asked_at = 0


cdef int note_answered(Connection server) except -1
cdef int note_transaction(Connection server) except -1
