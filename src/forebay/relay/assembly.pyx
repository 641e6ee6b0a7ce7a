"""What goes to a database connection in one write, although parts of it were rewritten.

One batch at a time is put together here: it is sent before anything else can run.
"""

from libc.string cimport memcpy

from .connection cimport Borrower, Connection
from .frames cimport Frame
from .peer cimport GATHER_BYTES, RECEIVE_BYTES

cdef bytes FLUSH = b"H\x00\x00\x00\x04"

cdef unsigned char ASSEMBLY[GATHER_BYTES + RECEIVE_BYTES]
cdef Py_ssize_t assembled = 0


cdef int begin_putting() noexcept:
    global assembled
    assembled = 0
    return 0


cdef int put(Connection server, const unsigned char *data, Py_ssize_t count) except -1:
    """Append a copy of `data` to the batch."""
    global assembled
    if assembled + count > GATHER_BYTES + RECEIVE_BYTES:
        server.write(ASSEMBLY, assembled)
        assembled = 0
        if count > GATHER_BYTES:
            return server.write(data, count)
    memcpy(ASSEMBLY + assembled, data, count)
    assembled += count
    return 0


cdef int send_put(Connection server, const unsigned char *data, Py_ssize_t count) except -1:
    """Send the batch and `data` behind it, which is sent from where it lies if it is all."""
    global assembled
    if assembled == 0:
        return server.write(data, count)
    if count:
        put(server, data, count)
    count = assembled
    assembled = 0
    return server.write(ASSEMBLY, count)


cdef int put_flush(Connection server) except -1:
    """Append a Flush: the database answers what it has got, though no Sync ends the batch yet."""
    return put(server, FLUSH, len(FLUSH))


cdef int put_before(Borrower client, Frame *frame) except -1:
    """Append what stands before a client's message and is to be sent as it is: what replaces the message
    follows."""
    put(client.server, frame.unsent, frame.data - frame.unsent)
    frame.unsent = frame.data
    return 0
