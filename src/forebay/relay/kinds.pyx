"""What clients send: one row for each type of message, which says all that happens to it.

Source: "Message Formats" in PostgreSQL's protocol chapter; the limits are those of SocketBackend
(tcop/postgres.c).
"""

from .examine cimport bind, call_function, close, describe, execute, parse, query
from .frames cimport LARGE_MESSAGE_LIMIT, SMALL_MESSAGE_LIMIT
from .ledger cimport BIND, CLOSE, COPY_END, DESCRIBE, EXECUTE, FUNCTION, PARSE, QUERY, SYNC

cdef enum:
    LONG = LARGE_MESSAGE_LIMIT
    SHORT = SMALL_MESSAGE_LIMIT
    # What is true of a message: see `MessageKind`.
    WHOLE = 1
    BORROWS = 2
    OPENS = 4
    ENDS = 8
    LEAVES = 16


cdef int _fill() noexcept:
    #    type   limit  reply     handler        what is true
    _row(c"Q",  LONG,  QUERY,    query,         WHOLE | BORROWS | ENDS)
    _row(c"P",  LONG,  PARSE,    parse,         WHOLE | BORROWS | OPENS)
    _row(c"B",  LONG,  BIND,     bind,          WHOLE | BORROWS | OPENS)
    _row(c"D",  SHORT, DESCRIBE, describe,      WHOLE | BORROWS | OPENS)
    _row(c"E",  SHORT, EXECUTE,  execute,       WHOLE | BORROWS | OPENS)
    _row(c"C",  SHORT, CLOSE,    close,         WHOLE | BORROWS | OPENS)
    _row(c"H",  SHORT, 0,        NULL,          OPENS)  # Flush
    _row(c"S",  SHORT, SYNC,     NULL,          ENDS)
    _row(c"F",  LONG,  FUNCTION, call_function, WHOLE | BORROWS | ENDS)
    _row(c"d",  LONG,  0,        NULL,          0)  # CopyData
    _row(c"c",  SHORT, COPY_END, NULL,          0)  # CopyDone
    _row(c"f",  SHORT, COPY_END, NULL,          0)  # CopyFail
    _row(c"X",  SHORT, 0,        NULL,          LEAVES)  # Terminate
    return 0


cdef int _row(int kind, Py_ssize_t limit, int reply, Handler handler, int facts) noexcept:
    cdef MessageKind *row = &KINDS[kind]
    row.limit, row.reply, row.handler = limit, reply, handler
    row.is_whole = facts & WHOLE != 0
    row.borrows = facts & BORROWS != 0
    row.opens_batch = facts & OPENS != 0
    row.ends_batch = facts & ENDS != 0
    row.ends_client = facts & LEAVES != 0
    return 0


_fill()


cdef bint is_request(int kind) noexcept:
    """Whether a message of this type is answered with a ReadyForQuery of its own."""
    return 0 < KINDS[kind].reply <= SYNC


def rows() -> dict:
    """The table, as Python sees it: type -> (limit, reply, whether it is looked into, what is true of it)."""
    cdef int kind
    found = {}
    for kind in range(256):
        row = KINDS[kind]
        if row.limit:
            facts = {
                "is_whole": row.is_whole, "borrows": row.borrows, "opens_batch": row.opens_batch,
                "ends_batch": row.ends_batch, "ends_client": row.ends_client,
            }
            true = {name for name, is_true in facts.items() if is_true}
            found[chr(kind)] = (row.limit, row.reply, row.handler != NULL, true)
    return found
