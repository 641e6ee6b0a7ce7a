"""See that a database connection has a prepared statement, in the write that is being put together."""

from .assembly cimport put
from .connection cimport Connection
from .ledger cimport CLOSE, PARSE, SWALLOW
from .prepared cimport Prepared
from .statement cimport Statement

cdef enum:
    PREPARED_LIMIT = 500  # on one connection: each costs memory there


cdef int prepare(Connection server, Statement statement, tuple refutes=None) except -1:
    """See that the connection has `statement`, at the cost of its least recently used one.
    `refutes`: what cannot be if it cannot be prepared (`Prepared.owe`)."""
    cdef Prepared prepared = server.prepared
    if server.ledger.failed:
        return 0  # it would be skipped, as what follows
    if statement not in prepared.statements:
        make_room(server)
        put(server, statement.parse, len(statement.parse))
        changes = ((prepared.statements, statement, None),)
        if not prepared.owe(PARSE, SWALLOW, changes, 0, refutes):
            return 0
    elif statement is prepared.latest:
        return 0
    return prepared.note_used(statement)


cdef int make_room(Connection server) except -1:
    """See that the connection may hold one statement more."""
    if len(server.prepared.statements) >= PREPARED_LIMIT and not server.ledger.failed:
        return evict(server, server.prepared.least_used())
    return 0


cdef int evict(Connection server, Statement statement) except -1:
    """Close `statement` on the connection."""
    cdef Prepared prepared = server.prepared
    changes = ((prepared.statements, statement, prepared.statements[statement]),)
    if prepared.owe(CLOSE, SWALLOW, changes):
        del prepared.statements[statement]
        prepared.told.pop(statement, None)
    return put(server, statement.close, len(statement.close))
