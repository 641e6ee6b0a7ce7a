from ..belief cimport Place
from ..connection cimport Connection
from .entries cimport Held
from .statement cimport Known, Statement


cdef Held prepare(Connection server, Statement statement, Place names=*, bytes name=*)
cdef int make_room(Connection server) except -1
cdef int evict(Connection server, Known known) except -1
cdef int put_parse(Connection server, Statement statement) except -1
