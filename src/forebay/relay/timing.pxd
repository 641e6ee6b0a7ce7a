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


cdef inline void note_nothing_owed(Connection server, bint is_taken) noexcept:
    """All that was asked is answered, and no ReadyForQuery was due: a batch goes on when its client likes, or
    messages had no answer (of a COPY that has failed). The time until then is not the database's.

    `is_taken`: nor has a request begun to come, for all that the client has sent was taken."""
    if server.ledger.count:
        return
    if server.asked_at:
        server.pool.tally.query_s += server.poller.now - server.asked_at
        server.asked_at = 0
        if server.status == c"I" and not server.lease.unsynced and not server.ledger.failed:
            server.transaction_at = 0
    if is_taken:
        server.client.asked_at = 0


cdef int note_answered(Connection server) except -1
