from ..connection cimport Borrower


cdef int binds(Borrower client, const unsigned char *portal, bytes text, bint named, object reading) except -1
