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
cdef bytes FAILING = b"D\x00\x00\x00\x10S_forebay_0\x00"


cdef int refuse(Connection server, bytes error) except -1:
    """Let a message fail with `error` (an ErrorResponse): what fails is put in its place."""
    server.prepared.owe_error(error, b"26000")
    return put(server, FAILING, len(FAILING))


cdef bytes error_response(bytes sqlstate, bytes text):
    """An ErrorResponse of severity ERROR."""
    return message(b"E", b"SERROR\0VERROR\0C%b\0M%b\0\0" % (sqlstate, text))
