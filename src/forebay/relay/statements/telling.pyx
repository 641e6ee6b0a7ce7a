"""What a client was told of its statements holds on whatever connection it uses them.

A client that was told what a statement returns decodes its rows by that, and one that was told the
types of parameters writes them so (and PostgreSQL keeps those that it has found at Parse, whatever
tables come to be). A connection that would prepare the statement now may understand it otherwise: a
table has changed. So it is prepared with the types that were told, and the connection is asked what it
returns before the client's message leaves.
"""

from libc.string cimport memchr

from ..assembly cimport put, put_flush
from ..connection cimport Borrower, Connection
from ..frames cimport HEADER_BYTES, Frame
from ..frames cimport message as framed
from ..ledger cimport DESCRIBE, FORWARD, SWALLOW
from .entries cimport Held, Named, Unnamed
from .portals cimport Portals
from .prepared cimport Prepared, Question
from .repair cimport prepare
from .statement cimport Statement, Told, types_behind


cdef Statement as_told(Borrower client, Statement statement, Told told):
    """Returns the statement to use in place of `statement` for a client that was told `told` of it: one with the
    types of parameters that were told."""
    cdef Prepared prepared = client.server.prepared
    cdef Held there = prepared.get(statement.known)
    cdef Statement typed = statement.told_as
    cdef bytes tail
    if told.types is None or not statement.leaves_types:
        return statement
    if there is not None and there.told is told:
        return statement
    if typed is not None and _has_told(prepared, typed, told):
        return typed
    if there is not None and there.told is not None and there.told.types == told.types:
        return statement
    tail = types_behind(told.types)
    if typed is None or typed.tail != tail:
        typed = client.sessions.texts.with_types(statement, tail)
        typed.is_typed = True
        typed.told_as = None
        typed.known.told = told
        if not statement.is_typed:
            statement.told_as = typed  # so these never refer to each other
    return typed


cdef bint _has_told(Prepared prepared, Statement statement, Told told) except -1:
    cdef Held there = prepared.get(statement.known)
    return there is not None and there.told is told


cdef bint keeps(Borrower client, Statement statement, Named entry) except -1:
    """Returns whether the connection's `statement` returns what the client was told of its own (`entry`). Returns
    False, too, if the connection has to be asked first; then the client's names are waiting for the answer."""
    cdef Connection server = client.server
    cdef Told told = entry.told
    cdef Held there = server.prepared.get(statement.known)
    cdef Question question
    if (there is not None and there.told is told) or told.shape is None or server.ledger.failed:
        return True
    if there is not None and there.told is not None and there.told.shape is not None:
        return there.told.shape == told.shape
    there = prepare(server, statement)
    question = owe_question(server, SWALLOW, statement, there, None, None)
    ask(server, question, client, framed(b"D", b"S%b\0" % statement.known.name))
    return False


cdef int ask(Connection server, Question question, Borrower client, bytes describe) except -1:
    """Send a Describe of Forebay's own, with a Flush. The client's messages wait for the answer."""
    if question is None:
        return 0  # it would be skipped
    question.is_open = True
    client.names.asked = question
    put(server, describe, len(describe))
    return put_flush(server)


cdef Question owe_question(
    Connection server, int action, Statement statement, Held there, Named named, Unnamed unnamed
):
    """Note that a Describe of `statement` is sent, which the connection has as `there`. `named` or `unnamed` is the
    client's entry that is told the answer. Returns None if the database skips the Describe."""
    cdef Question question = Question.__new__(Question)
    question.statement = statement
    question.held = there
    question.named = named
    question.unnamed = unnamed
    return question if server.prepared.owe_role(DESCRIBE, action, question) else None


cdef bint describe_portal(Borrower client, Frame *frame) except -1:
    """Note that the client describes a portal: what it is told counts for the statement that the portal was bound
    of. Returns whether the ledger has got an entry for the Describe; if not, the caller makes one."""
    cdef Portals portals = client.portals
    cdef Named named
    cdef Unnamed unnamed
    cdef Statement statement
    cdef Held there
    if portals is None or frame.total <= HEADER_BYTES + 1:
        return False
    named, unnamed, statement = portals.named, portals.unnamed, portals.statement
    if portals.is_told and frame.total == HEADER_BYTES + 2 and not frame.data[HEADER_BYTES + 1]:
        return False  # as it was told before
    if memchr(frame.data + HEADER_BYTES + 1, 0, frame.total - HEADER_BYTES - 1) == NULL:
        return False  # malformed, as the database will say
    if frame.data[HEADER_BYTES + 1]:
        found = None
        if portals.others is not None:
            found = portals.others.get(<bytes> (frame.data + HEADER_BYTES + 1))
        named, unnamed, statement = (None, None, None) if found is None else found
    if unnamed is not None:
        # Nearly all clients describe each portal, and parse the unnamed statement each time: the answer
        # is kept as it is, and looked at only if the statement is bound elsewhere.
        client.server.prepared.owe_role(DESCRIBE, FORWARD, unnamed)
        return True
    if named is None or statement.finds:
        return False
    there = client.server.prepared.get(statement.known)
    if there is not None and there.told is not None and there.told.shape is not None:
        if named.told is not None and (there.told is named.told or there.told.shape == named.told.shape):
            return False
    return owe_question(client.server, FORWARD, statement, there, named, None) is not None
