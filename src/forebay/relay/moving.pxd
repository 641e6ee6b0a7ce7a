from .connection cimport Borrower
from .micropool cimport MicroPool


cdef bint move(Borrower client, MicroPool pool) except -1
