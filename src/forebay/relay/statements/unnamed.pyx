"""The unnamed prepared statement over shared connections.

Parse, Bind, Describe and Close of it pass as they are. What it was defined as is kept, and prepared
again when the client uses it over a connection that has meanwhile another, or another client's.
"""

from libc.stdint cimport uint64_t

from ..assembly cimport put
from ..belief cimport Message, new_message
from ..connection cimport Borrower
from ..frames cimport message as framed
from ..ledger cimport CLOSE, FORWARD, PARSE, SWALLOW
from ..refusal cimport error_response, refuse
from .entries cimport Held, Unnamed
from .prepared cimport Prepared, note_unnamed
from .statement cimport UNNAMED, Told, with_types
from .telling cimport ask, owe_question

cdef bytes DESCRIBE_UNNAMED = framed(b"D", b"S\0")
cdef bytes IN_BIND = b"Fpostgres.c\0L1\0Rexec_bind_message\0"


cdef int define_unnamed(Borrower client, bytes definition, bint harmless, int control) except -1:
    """Note that a Parse without a name is sent. `definition` is kept to prepare it on other connections; None if it
    is too long. `harmless`: running it certainly changes no session. `control`: see scan/control."""
    cdef Unnamed entry = Unnamed.__new__(Unnamed)
    cdef Message parse = new_message()
    entry.definition = definition
    entry.harmless = harmless
    entry.control = control
    entry.parameters = client.parameters_now()
    note_unnamed(client.server.prepared, parse, client.own_names().unnamed, entry)
    client.server.prepared.owe(PARSE, FORWARD, parse)
    return 0


cdef int close_unnamed(Borrower client) except -1:
    """A Close is sent."""
    cdef Message close = new_message()
    note_unnamed(client.server.prepared, close, client.own_names().unnamed, None)
    client.server.prepared.owe(CLOSE, FORWARD, close)
    return 0


cdef bint is_unnamed_uncertain(Borrower client) except -1:
    """Whether an earlier batch that is not answered yet decides what the unnamed statement is: the client's
    own, or the connection's, which a command of Forebay's may have ended in between."""
    cdef Prepared prepared = client.server.prepared
    cdef uint64_t batch = prepared.unanswered.batch
    if client.names is not None and client.names.unnamed.is_uncertain(batch):
        return True
    return prepared.unnamed.is_uncertain(batch)


cdef bint has_unnamed(Borrower client, Unnamed entry) noexcept:
    """Whether the connection's unnamed statement is this one."""
    cdef Held there = client.server.prepared.unnamed.now()
    return entry is not None and there is not None and there.unnamed is entry


cdef bint keeps_unnamed_shape(Borrower client, Unnamed entry) except -1:
    """Returns whether the connection's unnamed statement returns what the client was told; True if either is not
    known."""
    cdef Held there = client.server.prepared.unnamed.now()
    cdef Told told
    if entry is None or there is None or there.told is None:
        return True
    told = entry.was_told()
    return told is None or there.told.shape == told.shape


cdef bint prepare_unnamed(Borrower client, Unnamed entry) except -1:
    """Prepare the client's unnamed statement again, on this connection. Answers with an error (26000) and returns
    False if there is none, or its text was not kept."""
    cdef bytes definition = None if entry is None else entry.definition
    cdef bytes parse
    cdef Told told
    cdef Message repeated
    cdef object now = client.parameters_now()
    if definition is not None:
        told = entry.was_told()
        if told is not None and told.types is not None:
            definition = with_types(definition, told.types)
        if entry.parameters is not now:
            definition = client.sessions.texts.reread(definition, entry.parameters, now)
    if definition is None:
        error = b"unnamed prepared statement does not exist"
        refuse(client.server, error_response(b"26000", error, IN_BIND))
        return False
    parse = framed(b"P", b"\0" + definition)
    repeated = new_message()
    note_unnamed(client.server.prepared, repeated, None, entry)
    client.server.prepared.owe(PARSE, SWALLOW, repeated)
    put(client.server, parse, len(parse))
    return True


cdef int describe_unnamed(Borrower client, Unnamed entry) except -1:
    """A Describe of the unnamed statement is sent for the client."""
    owe_question(client.server, FORWARD, UNNAMED, client.server.prepared.unnamed.now(), None, entry)
    return 0


cdef int ask_of_unnamed(Borrower client, Unnamed entry) except -1:
    """Ask the connection what the unnamed statement returns, for Forebay's sake."""
    question = owe_question(client.server, SWALLOW, UNNAMED, client.server.prepared.unnamed.now(), None, None)
    return ask(client.server, question, client, DESCRIBE_UNNAMED)
