"""Errors of Forebay's own in the middle of a batch, where the database would have sent its own.

They must come in the order of the other replies, and have PostgreSQL's consequences: the rest of
the batch is skipped, the transaction is aborted. So something that fails is sent to the database,
and its error replaced by the one that the client is to get.
"""

from .assembly cimport put
from .connection cimport Connection
from .frames cimport message

# Describes a statement that no connection has: it fails as Bind of one would, in an aborted
# transaction too.
cdef bytes FAILING = message(b"D", b"S_forebay_0\0")
# A statement with a column that there is not: in an aborted transaction it fails for that instead.
cdef bytes FAILING_IN_TURN = message(b"P", b"_forebay_0\0SELECT _forebay_0\0\0\0")


cdef int refuse(Connection server, bytes error) except -1:
    """Let a message fail with `error` (an ErrorResponse): what fails is put in its place."""
    server.prepared.owe_error(error, b"26000")
    return put(server, FAILING, len(FAILING))


cdef int refuse_in_turn(Connection server, bytes error) except -1:
    """As ``refuse``, but that in an aborted transaction the client hears only of that."""
    server.prepared.owe_error(error, b"42703")
    return put(server, FAILING_IN_TURN, len(FAILING_IN_TURN))


cdef bytes error_response(bytes sqlstate, bytes text, bytes where=b""):
    """An ErrorResponse of severity ERROR. `where`: fields F, L and R, which name a place in
    PostgreSQL's source; drivers decide by R what they may try again."""
    return message(b"E", b"SERROR\0VERROR\0C%b\0M%b\0%b\0" % (sqlstate, text, where))


# asyncpg, SQLAlchemy and postgres.js prepare again when they read this routine.
cdef bytes RESULT_CHANGED = error_response(
    b"0A000", b"cached plan must not change result type", b"Fplancache.c\0L1\0RRevalidateCachedQuery\0"
)
