"""Who has a database connection, and what is done before the next client gets it.

               ┌──────────────── lent ◀───────────────┐
               │ its client is gone                   │
 settle ◀──────┘                                      │
   └─▶ ROLLBACK if needed ─▶ DISCARD ALL if dirty ─▶ RESET idle_session_timeout if it is set
       ─▶ go_free ─▶ the first in the queue, or the pool
"""

from forebay.relay.command import Command

from .connection cimport Borrower, Connection, Place
from .lease cimport Lease
from .ledger cimport COPY_END, EXECUTE, SWALLOW, SYNC
from .losing cimport begin_aborted
from .replay cimport note_lease, replay
from .states cimport FREE, PARKED, moved

cdef bytes SYNC_MESSAGE = b"S\x00\x00\x00\x04"
cdef bytes COPY_FAIL = b"f\x00\x00\x00\x18client disconnected\x00"


cdef int lend(Connection server, Borrower client) except -1:
    """Give this free connection to `client`, with the client's settings."""
    server.begin_lease(client)
    if client.parameters is not None:
        note_lease(server, client)
    if client.settings is not server.settings or server.stale or server.plans_mixed:
        replay(server, client, client.parameters is None or client.in_parts or client.aborted)
    elif client.parameters is not server.parameters and client.parameters is not None:
        server.pool.changeover.announce(client, server.parameters)
    if client.aborted and not server.lease.confirming:
        begin_aborted(server)
    return client.lent(server.lease.confirming)


cdef int take_back(Connection server) except -1:
    """Part the client and the connection, which owe each other nothing, and go on without it."""
    if server.client is not None and server.client.held_count == 0:
        server.client.asked_at = 0
    server.part()
    # It may have waited for this client to take its replies: the client has them all by now, in
    # its own queue, and nobody else would let the connection go on.
    server.resume_reading()
    return settle(server)


cdef int abandon(Connection server, bint vanished) except -1:
    """The client is gone. What it left is ended or waited for before the connection serves
    another.

    `vanished`: without a word (Terminate), so that a running statement serves nobody and is
    cancelled.
    """
    cdef Borrower client = server.client
    cdef Lease lease = server.lease
    cdef bint mid_message = client.body_left > 0 and client.body_forward
    # After an error the database skips everything up to a Sync that has not been sent.
    cdef bint unsynced = lease.unsynced or server.ledger.failed
    server.dirty = server.dirty or client.pinned or client.suspect or lease.audit is not None
    lease.audit = lease.follow_up = None
    server.part()
    if server.fd < 0:
        return 0
    if mid_message or (unsynced and not server.ledger.copy_in):
        # Half a message cannot be taken back, and a Sync would commit what the client had not ended.
        server.shut("its client was closed in the middle of a request")
        return 0
    # Replies from here on are counted off and dropped, at full speed.
    server.resume_reading()
    if server.ledger.copy_in:
        fail_copy(server, unsynced)
        server.pool.manager.copy_failed(server)
    if server.ledger.count == 0:
        return settle(server)
    server.pool.manager.abandoned(server, vanished)
    return 0


cdef int _sync(Connection server) except -1:
    server.commands.append(Command())
    server.ledger.push(SYNC, SWALLOW)
    return server.write(SYNC_MESSAGE, len(SYNC_MESSAGE))


cdef int fail_copy(Connection server, bint unsynced) except -1:
    """End a COPY whose client is gone. In the extended protocol a Sync must follow (the earlier
    was ignored)."""
    cdef bint extended = server.ledger.head_kind() == EXECUTE
    server.ledger.push(COPY_END, SWALLOW)
    server.write(COPY_FAIL, len(COPY_FAIL))
    if extended or unsynced:
        _sync(server)
    return 0


cdef int settle(Connection server) except -1:
    """Nothing is owed and no client is there: clean up step by step, then go free."""
    if server.fd < 0:
        return 0
    if server.status != c"I":
        if server.lease.rolled_back:
            server.shut("the database did not leave the transaction")
        else:
            server.lease.rolled_back = True
            server.run(b"ROLLBACK", None)
    elif server.ledger.doubtful:
        server.shut("a COPY failed, and how many answers are to come is not known")
    elif server.dirty:
        server.pool.changeover.reset(server)
    elif server.settings is not server.rested and server.settings.at_rest is not None:
        server.pool.changeover.rest(server)
    else:
        server.rested = server.settings
        go_free(server)
    return 0


cdef int go_free(Connection server) except -1:
    """Hand this clean connection to the next waiter, or leave it with the pool."""
    cdef Place place
    server.state = moved(server.state, PARKED if server.cancels_in_flight else FREE)
    if server.state == PARKED or server.handing_on:
        return 0
    # Who only wanted to know its parameters is done with it at once: thousands of such waiters
    # in a row must not nest.
    server.handing_on = True
    try:
        while server.state == FREE:
            if server.lease.begun_at >= server.idle_since:
                server.idle_since = server.poller.now  # what Forebay has asked meanwhile is no use
            place = server.pool.give_back(server, server.retired, server.poller.now)
            if place is None:
                break
            lend(server, place.borrower)
            place.borrower.go_on()
    finally:
        server.handing_on = False
    return 0
