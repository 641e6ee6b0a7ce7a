from .connection cimport Connection


cdef bytes RESULT_CHANGED

cdef bytes error_response(bytes sqlstate, bytes text, bytes where=*)
cdef int refuse(Connection server, bytes error) except -1
cdef int refuse_in_turn(Connection server, bytes error) except -1
