from .connection cimport Connection
from .statement cimport Known, Statement


cdef int prepare(Connection server, Statement statement, tuple refutes=*) except -1
cdef int make_room(Connection server) except -1
cdef int evict(Connection server, Known known) except -1
cdef int put_parse(Connection server, Statement statement) except -1
