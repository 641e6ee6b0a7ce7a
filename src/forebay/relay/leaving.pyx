"""How an established client ends: it says goodbye, vanishes, or is told to go."""

from .connection cimport Borrower, Connection
from .lending cimport abandon
from .states cimport GONE, HELD, IDLE, QUEUED, UNSETTLED, moved

cdef bytes TERMINATE = b"X\x00\x00\x00\x04"


cdef int end_with(Borrower client, bytes error, str reason) except -1:
    """Send `error` (a FATAL ErrorResponse) and end the client."""
    if client.fd >= 0 and not client.finishing:
        if client.server is None or not client.server.body_left:
            client.say(error)
        end(client, reason, True)
    return 0


cdef int part_with(Borrower client, bytes farewell) except -1:
    """Send `farewell` (a FATAL ErrorResponse) and end the client as soon as no transaction of
    it is open."""
    client.farewell = farewell
    if client.state != QUEUED and client.state != HELD and client.greeted and not client.body_left:
        if may_part(client):
            end_with(client, farewell, "Forebay is shutting down or the client has reached its limit")
    return 0


cdef bint may_part(Borrower client) except -1:
    """No transaction is open, and none of its messages is under way."""
    return client.server is None or (
        client.server.ledger.count == 0 and not client.server.ledger.failed
        and client.server.status == c"I" and not client.lease.unsynced
    )


cdef int terminate(Borrower client) except -1:
    """The client said goodbye. What it sent before still happens."""
    cdef Connection server = client.server
    if server is None or server.ledger.count == 0 or server.ledger.copy_in:
        return end(client, "the client requested that the connection close", False)
    client.terminating = True
    client.pause_reading()
    if client.lease.unsynced:
        # No answer will come without a Sync. The database does what came before, and goes.
        client.lease.unsynced = False
        server.write(TERMINATE, len(TERMINATE))
    return 0


cdef int leave_queue(Borrower client) except -1:
    client.pool.leave(client.place)
    client.place = None
    client.state = moved(client.state, IDLE)
    return 0


cdef int end(Borrower client, object reason, bint vanished) except -1:
    """Let go of everything; the socket closes when what was said has left."""
    cdef Connection server = client.server
    if client.finishing or client.fd < 0:
        return 0
    if client.state == QUEUED:
        leave_queue(client)
    if server is not None:
        abandon(server, vanished)
    if client.names is not None:
        client.names.end()
    client.state = moved(client.state, GONE)
    client.finish()
    client.sessions.closed(client, reason)
    return 0


cdef int end_lost(Borrower client, object reason) except -1:
    if client.fd < 0:
        return 0
    if client.finishing:
        return client.close()
    waits = client.state == QUEUED or client.state == HELD or client.state == UNSETTLED
    if waits and client.greeted and _said_goodbye(client):
        # It asked, said goodbye and left without an answer: what it asked still happens when its turn comes.
        return client.forget()
    end(client, reason, not client.terminating)
    return client.close()


cdef int end_if_gone(Borrower client) except -1:
    """A client that left while it waited, and of whom nothing is left to be done: what looked
    like Terminate was the end of half a message."""
    if client.forgotten and client.state != QUEUED:
        if client.server is None or client.held_count or client.body_left:
            client.lost("the connection was closed by the other side")
    return 0


cdef bint _said_goodbye(Borrower client) except -1:
    """Whether what is held ends with Terminate."""
    return client.held_count >= 5 and client.held[client.held_count - 5:client.held_count] == TERMINATE
