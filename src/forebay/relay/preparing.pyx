"""See that a database connection has a prepared statement, in the write that is being put together."""

from .assembly cimport put
from .connection cimport Connection
from .frames cimport HEADER_BYTES, message, write_head
from .ledger cimport CLOSE, PARSE, SWALLOW
from .prepared cimport Prepared
from .statement cimport Known, Statement

cdef enum:
    PREPARED_LIMIT = 500  # on one connection: each costs memory there


cdef int prepare(Connection server, Statement statement, tuple refutes=None) except -1:
    """See that the connection has `statement`, at the cost of its least recently used one.
    `refutes`: what cannot be if it cannot be prepared (`Prepared.owe`)."""
    cdef Prepared prepared = server.prepared
    cdef Known known = statement.known
    if server.ledger.failed:
        return 0  # it would be skipped, as what follows
    if known is prepared.latest:
        return 0
    if known not in prepared.statements:
        make_room(server)
        put_parse(server, statement)
        changes = ((prepared.statements, known, None),)
        if not prepared.owe(PARSE, SWALLOW, changes, 0, refutes):
            return 0
    return prepared.note_used(known)


cdef int make_room(Connection server) except -1:
    """See that the connection may hold one statement more."""
    if len(server.prepared.statements) >= PREPARED_LIMIT and not server.ledger.failed:
        return evict(server, server.prepared.least_used())
    return 0


cdef int evict(Connection server, Known known) except -1:
    """Close a statement on the connection."""
    cdef Prepared prepared = server.prepared
    cdef bytes close = message(b"C", b"S%b\0" % known.name)
    changes = ((prepared.statements, known, prepared.statements[known]),)
    if prepared.owe(CLOSE, SWALLOW, changes):
        del prepared.statements[known]
        if prepared.latest is known:
            prepared.latest = None
        prepared.told.pop(known, None)
    return put(server, close, len(close))


cdef int put_parse(Connection server, Statement statement) except -1:
    """Parse of `statement`, by the name that connections know."""
    cdef bytes name = statement.known.name
    cdef bytes text = statement.source.sql
    cdef Py_ssize_t length = 4 + len(name) + 1 + len(text) + len(statement.tail)
    cdef unsigned char head[HEADER_BYTES]
    write_head(head, c"P", length)
    put(server, head, HEADER_BYTES)
    put(server, name, len(name) + 1)  # with the zero byte behind
    put(server, text, len(text))
    return put(server, statement.tail, len(statement.tail))
