from .connection cimport Borrower


cdef int end_with(Borrower client, bytes error, str reason) except -1
cdef int part_with(Borrower client, bytes farewell) except -1
cdef bint may_part(Borrower client) except -1
cdef int terminate(Borrower client) except -1
cdef int end(Borrower client, object reason, bint vanished) except -1
cdef int end_lost(Borrower client, object reason) except -1
cdef int end_if_gone(Borrower client) except -1
cdef int leave_queue(Borrower client) except -1
