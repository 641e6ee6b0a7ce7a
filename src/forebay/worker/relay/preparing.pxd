from .connection cimport Connection
from .statement cimport Statement


cdef int prepare(Connection server, Statement statement, tuple refutes=*) except -1
cdef int make_room(Connection server) except -1
cdef int evict(Connection server, Statement statement) except -1
