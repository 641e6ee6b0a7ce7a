from .connection cimport Borrower
from .frames cimport Frame

# Looks into a message that is about to be sent, and returns its FATE.
ctypedef int (*Handler)(Borrower client, Frame *frame) except -1


cdef struct MessageKind:
    Py_ssize_t limit  # its greatest length, HEADER_BYTES included; 0: no client sends it
    int reply  # which reply the ledger expects; 0: none of its own
    Handler handler  # NULL: type and length are all that matters
    bint is_whole  # it is held until it is there as a whole, if it is not longer than GATHER_BYTES
    bint borrows  # it needs a connection; without one the others are ignored, as by PostgreSQL outside of COPY
    bint opens_batch  # it is part of an extended batch, whose Sync is still to come
    bint ends_batch
    bint ends_client


cdef MessageKind KINDS[256]

cdef bint is_request(int kind) noexcept
