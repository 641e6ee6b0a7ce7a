"""See that a database connection has a prepared statement, in the write that is being put together."""

from ..assembly cimport put
from ..belief cimport KEEP, Message, Place, new_message, note
from ..connection cimport Connection
from ..frames cimport HEADER_BYTES, write_head
from ..frames cimport message as framed
from ..ledger cimport CLOSE, PARSE, SWALLOW
from .entries cimport Held, held
from .prepared cimport Prepared
from .statement cimport Known, Statement

cdef enum:
    PREPARED_LIMIT = 500  # on one connection: each costs memory there


cdef Held prepare(Connection server, Statement statement, Place names=None, bytes name=None):
    """See that the connection has `statement`: a Parse is sent if it has not, and the least recently used statement
    is closed if there are too many. Returns the connection's entry; None if the database is skipping messages after
    an error.

    If the database refuses the Parse, `name` is dropped from `names`.
    """
    cdef Prepared prepared = server.prepared
    cdef Known known = statement.known
    cdef Held there
    cdef Message parse
    if server.ledger.failed:
        return None
    there = prepared.get(known)
    if there is None:
        make_room(server)
        put_parse(server, statement)
        there = held()
        parse = new_message()
        note(parse, prepared.statements, known, there)
        if name is not None:
            note(parse, names, name, KEEP, None, True)
        prepared.owe(PARSE, SWALLOW, parse)
    prepared.note_used(known, there)
    return there


cdef int make_room(Connection server) except -1:
    """See that the connection may hold one statement more."""
    if server.prepared.is_full(PREPARED_LIMIT) and not server.ledger.failed:
        return evict(server, server.prepared.least_used())
    return 0


cdef int evict(Connection server, Known known) except -1:
    """Close a statement on the connection."""
    cdef Prepared prepared = server.prepared
    cdef Message closing = new_message()
    cdef bytes close = framed(b"C", b"S%b\0" % known.name)
    note(closing, prepared.statements, known, None)
    prepared.owe(CLOSE, SWALLOW, closing)
    if prepared.latest is known:
        prepared.latest = prepared.latest_held = None
    return put(server, close, len(close))


cdef int put_parse(Connection server, Statement statement) except -1:
    """Parse of `statement`, by the name that connections know."""
    cdef bytes name = statement.known.name
    cdef bytes text = statement.source.sql
    cdef Py_ssize_t length = 4 + len(name) + 1 + len(text) + len(statement.tail)
    cdef unsigned char head[HEADER_BYTES]
    server.pool.tally.server_parses += 1
    write_head(head, c"P", length)
    put(server, head, HEADER_BYTES)
    put(server, name, len(name) + 1)  # with the zero byte behind
    put(server, text, len(text))
    return put(server, statement.tail, len(statement.tail))
