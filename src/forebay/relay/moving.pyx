"""How a client changes to the connections of another database server, between two transactions."""

from .connection cimport Borrower, Connection
from .lending cimport lend
from .micropool cimport MicroPool
from .states cimport IDLE, QUEUED


cdef bint move(Borrower client, MicroPool pool) except -1:
    """Let `client` get its connections from `pool` from now on, which is of the same database and user
    elsewhere. Returns False if that cannot be now: it has a connection, or has ended.

    Who waits goes on waiting there, in its place by the time that it has waited, or is lent an idle
    connection.
    """
    cdef Connection server
    cdef double since
    if client.state != IDLE and client.state != QUEUED:
        return False
    client.pool.note_clients(-1)
    pool.note_clients(1)
    if client.state == IDLE:
        client.pool = pool
        return True
    since = client.place.waits_since
    client.pool.leave(client.place)
    client.pool = pool
    server = None if pool.held_back or pool.waiting else pool.borrow(client.settings)
    if server is None:
        pool.take_place(client.place, since, client.poller.now)
        return True
    pool.note_wait(client.poller.now - since)
    lend(server, client)
    client.go_on()
    return True
