from .connection cimport Borrower
from .scan.names cimport FunctionNames


cdef class Client(Borrower):
    cpdef set_pinned(self, bint pinned)
    cpdef start(self, bytes early)
    cpdef welcome(self, bytes greeting)
    cpdef refuse(self, bytes error)
    cpdef answer(self, bytes error)
    cpdef fail(self, bytes error, str reason)
    cpdef part(self, bytes farewell)
    cpdef drop(self)
    cpdef look_for(self, FunctionNames functions)
