"""How long requests and transactions take: noted when they begin to be sent, and when they are answered.

The clock is the relay's, which stands still while the events of one turn of the loop are served: no request
costs a call to find out what time it is.

Of requests that are sent before the one before was answered (a pipeline), each begins when the one before
has been answered: so their times add up to the time that passed.
"""

from .connection cimport Borrower, Connection


cdef int note_answered(Connection server) except -1:
    """The client's request is answered to its end, and with it a transaction if none is open."""
    cdef Borrower client = server.client
    cdef double now = server.poller.now
    cdef double goes_on_at = now if server.ledger.count and client is not None else 0.0
    server.pool.tally.queries += 1
    if server.asked_at:
        server.pool.tally.query_s += now - server.asked_at
        server.pool.census.database.note(now - server.asked_at)
    server.asked_at = goes_on_at
    if client is not None:
        if server.status == c"I":
            server.pool.tally.transactions += 1
            if server.transaction_at:
                server.pool.tally.transaction_s += now - server.transaction_at
            server.transaction_at = goes_on_at
        server.pool.tally.queries_tls += client.is_tls
        if client.asked_at:
            server.pool.census.queries.note(now - client.asked_at)
        client.asked_at = goes_on_at
    return 0
