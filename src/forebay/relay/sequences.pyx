"""What a session remembers of sequences (currval, lastval) is told to nobody but who has drawn it.

Connections know whose values they remember (`Connection.drawn_by`). Where these are not the client's
alone, the session forgets them before a statement runs that asks: the database then answers what it
would answer to who has drawn nothing, 55000, and the client learns by a hint what can be done. From then
on the session remembers what the client draws, and nothing else, until others have it.
"""

from .assembly cimport put
from .connection cimport Borrower, Connection
from .frames cimport HEADER_BYTES, message
from .replay cimport forget_sequences

cdef bytes NOT_DRAWN = b"\0C55000\0"
# The routines that tell values of sequences (the field is never translated).
cdef tuple ROUTINES = (b"\0Rlastval\0", b"\0Rcurrval_oid\0")

cdef bytes MAY_BE_ELSEWHERE = (
    b"HWhat this client has drawn from sequences before, if anything, is known to another database"
    b" connection, or others have used this one since. "
)
cdef bytes KEPT_FROM_NOW_ON = (
    b"From now on clients with this database, user and application_name keep their connection once they use"
    b" a sequence: try again, or use INSERT ... RETURNING.\0"
)
cdef bytes NOT_KEPT = b"Ask in the transaction that has drawn, or use INSERT ... RETURNING.\0"


cdef bint is_told_right(Borrower client) noexcept:
    """Whether what the client's connection tells of sequences is the client's own, or nothing (where
    what it sends must fail, say)."""
    cdef Connection server = client.server
    return (
        server.drawn_by == client.process_id or server.status == c"E"
        or server.ledger.failed or server.ledger.copy_in
    )


cdef int forget_first(Borrower client) except -1:
    """Let the client's connection forget what it remembers of sequences, within the client's batch if
    one is open. The client must wait until that is answered, and see then whether it has happened."""
    cdef Connection server = client.server
    cdef bytes messages
    server.flush()  # what was put off, whose answer may be what is waited for
    if server.forgetting and server.ledger.count > 0:
        return 0  # it was told to, and may not have done it yet
    client.may_have_drawn_elsewhere = True
    messages = forget_sequences(server, client.lease.unsynced)
    return put(server, messages, len(messages))


cdef bytes with_hint(Borrower client, bytes error):
    """An ErrorResponse of a session that remembers nothing of a sequence, with what its client can do."""
    if not client.may_have_drawn_elsewhere or not any([routine in error for routine in ROUTINES]):
        return error
    hint = MAY_BE_ELSEWHERE + (NOT_KEPT if client.strict else KEPT_FROM_NOW_ON)
    return message(b"E", error[HEADER_BYTES:len(error) - 1] + hint + b"\0")
