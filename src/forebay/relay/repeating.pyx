"""What is kept of requests, and the two that are sent again though they have been sent.

A BEGIN alone, of which the connection is lost before it is answered: it has done nothing but for that connection.

A write that the database has refused because it does not write any more (SQLSTATE 25006), to the server that does.

PostgreSQL checks this before a statement begins to run (standard_ExecutorStart in executor/execMain.c,
PreventCommandIfReadOnly in tcop/utility.c): nothing of it has happened. But a user may have asked for read-only
transactions, and then the error is the user's. So the answer is withheld until the same session has said which it is.

    WORKING ── 25006, the first answer to one statement alone ──▶ HELD, the answer is withheld
       ▲                                                           │ (ReadyForQuery; the session is asked)
       ├──── the user's own: the answer as it came ◀───────────────┤
       └──── another connection, the same again ◀── nobody may write there, or the connection is lost
"""

from cpython.mem cimport PyMem_Realloc
from libc.string cimport memmove

from forebay.relay.command import Command

from .borrowing cimport borrow
from .connection cimport Borrower, Connection
from .frames cimport HEADER_BYTES, length_word, message as framed
from .lease cimport Lease
from .lending cimport take_back
from .peer cimport note_held
from .scan.control cimport BEGINS, NO_CONTROL, control_of
from .states cimport WORKING
from .statements.entries cimport Named, Unnamed
from .timing cimport note_answered
from .turn cimport pass_on, ready_for_query

cdef enum:
    REQUEST_LIMIT = 16384  # the longest request that is kept, in bytes

cdef bytes PARSE_COMPLETE = b"1\x00\x00\x00\x04"
cdef bytes READY_IDLE = b"Z\x00\x00\x00\x05I"
# Stands for what follows the client's turn (see turn.follow): its ReadyForQuery waits.
cdef tuple CONFIRMATION = (b"", b"")
# What a batch may be made of: at most one Parse, one Bind, one Execute.
cdef frozenset BATCHES = frozenset((
    b"Q", b"BES", b"BDES", b"PBES", b"PBDES", b"PDBES", b"PDBDES",
))


# ---- before it is answered ----


cdef int keep_request(Borrower client, const unsigned char *data, Py_ssize_t count) except -1:
    """A client whose requests may be sent again has sent this to its connection."""
    cdef Lease lease = client.lease
    if count == 0 or lease.kept == TOO_MUCH:
        return 0
    if lease.kept == NOTHING and count <= REQUEST_LIMIT:
        lease.request = data[:count]
    elif lease.kept == PART and len(lease.request) + count <= REQUEST_LIMIT:
        lease.request += data[:count]
    else:
        lease.request = None
        lease.kept = TOO_MUCH
        return 0
    lease.kept = PART if lease.unsynced or client.body_left else WHOLE
    return 0


cdef bytes begin_alone(Connection server):
    """The BEGIN that is all that the connection has had of its client since that has it, if it is; else None. More
    than one message is more than that, even if both are sent together: what follows ran in that transaction."""
    cdef Borrower client = server.client
    cdef Lease lease = server.lease
    cdef bytes request = lease.request
    cdef const unsigned char *data
    cdef Py_ssize_t size
    if lease.kept != WHOLE or lease.forwarded or server.status != c"I" or server.ledger.failed:
        return None
    if client.state != WORKING or client.pinned or client.suspect or client.aborted or client.finishing:
        return None
    if lease.unaudited or lease.audit is not None or lease.is_following():
        return None
    data = request
    size = len(request)
    if data[0] != c"Q" or <Py_ssize_t> length_word(data) + 1 != size:
        return None
    return request if control_of(data + HEADER_BYTES, size - HEADER_BYTES - 1) == BEGINS else None


cdef bint may_repeat(Connection server) except -1:
    """The first answer to what the client has sent is that the database does not write: whether all of that may be sent
    again, if it is so for everybody."""
    cdef Borrower client = server.client
    cdef Lease lease = server.lease
    cdef bytes text
    if lease.kept != WHOLE or lease.forwarded or server.status != c"I" or client.state > WORKING:
        return False
    if client.pinned or client.suspect or client.terminating or client.aborted or client.finishing:
        return False
    if lease.replaying or lease.unaudited or lease.audit is not None or lease.is_following():
        return False
    text = _statement(client, lease.request)
    if text is None or control_of(text, len(text)) > NO_CONTROL:
        return False
    return client.sessions.may_repeat(client, text)


cdef bytes _statement(Borrower client, bytes request):
    """The text of the only statement of a request; None if it is not known, or not the only one."""
    cdef const unsigned char *data = request
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t total
    cdef Named named
    cdef Unnamed unnamed
    cdef dict first = {}
    cdef bytearray kinds = bytearray()
    while len(request) - at >= HEADER_BYTES and len(kinds) < 8:
        total = <Py_ssize_t> length_word(data + at) + 1
        kinds.append(data[at])
        first.setdefault(data[at], request[at + HEADER_BYTES:at + total])
        at += total
    if at != len(request) or bytes(kinds) not in BATCHES:
        return None
    if c"Q" in first:
        return (<bytes> first[c"Q"]).partition(b"\0")[0]
    if c"P" in first:
        return (<bytes> first[c"P"]).split(b"\0", 2)[1]
    name = (<bytes> first[c"B"]).split(b"\0", 2)[1]
    if client.names is None:
        return None
    if not name:
        unnamed = client.names.get_unnamed()
        return None if unnamed is None else unnamed.text()
    named = client.names.get(name)
    return None if named is None else named.statement.source.sql


# ---- the answer is withheld ----


cdef int withhold(Connection server, bytes answer) except -1:
    """Keep an answer that ends with the error back, until it is known whose it is. The client waits as if its
    connection were changing over to its settings: if that is lost, another one will do."""
    cdef Borrower client = server.client
    cdef Lease lease = server.lease
    cdef bytes request = lease.request
    if request[0] == c"P" and request[HEADER_BYTES]:
        # What has a name is prepared, and stays so.
        if not answer.startswith(PARSE_COMPLETE):
            return pass_on(server, answer, len(answer))
        pass_on(server, PARSE_COMPLETE, len(PARSE_COMPLETE))
        answer = answer[len(PARSE_COMPLETE):]
        request = request[<Py_ssize_t> length_word(request) + 1:]
    lease.request = request
    lease.withheld = answer
    lease.follow_up = CONFIRMATION
    lease.turns_before = 0
    client.lent(True)
    return put_back(client, request)


cdef int put_back(Borrower client, bytes request) except -1:
    """What the client has sent last is read again before what it sends next."""
    cdef Py_ssize_t count = len(request)
    cdef void *held = PyMem_Realloc(client.held, client.held_count + count)
    if held == NULL:
        raise MemoryError
    client.held = <unsigned char *> held
    memmove(client.held + count, client.held, client.held_count)
    memmove(client.held, <const unsigned char *> request, count)
    note_held(client, client.held_count + count)
    return 0


cdef int ask_about_refusal(Connection server) except -1:
    """The turn is over, and its ReadyForQuery was kept back."""
    cdef bytes query = framed(b"Q", server.pool.manager.writes_query() + b"\0")
    server.lease.follow_up = None
    server.lease.turn_failed = False
    server.lease.confirming = True
    server.command(Command(ends_turn=True))
    return server.write(query, len(query))


cdef int refusal_confirmed(Connection server, object command) except -1:
    """The session has said whether the server refuses writes to everybody."""
    cdef Borrower client = server.client
    cdef Lease lease = server.lease
    cdef bytes answer = lease.withheld
    cdef Py_ssize_t count
    lease.withheld = None
    lease.confirming = False
    if client is None:
        return ready_for_query(server)
    if not server.pool.manager.has_stopped_writing(server, command):
        count = len(lease.request)
        note_held(client, client.held_count - count)
        memmove(client.held, client.held + count, client.held_count)
        client.lent(False)
        pass_on(server, answer, len(answer))
        pass_on(server, READY_IDLE, len(READY_IDLE))
        note_answered(server)
        lease.kept = TOO_MUCH
        ready_for_query(server)
        return client.go_on()
    client.sessions.repeats(client)
    if client.portals is not None:
        client.portals.forget()
    take_back(server)
    if client.fd >= 0 and borrow(client):
        client.go_on()
    return 0
