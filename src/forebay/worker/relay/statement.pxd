cimport cython
from libc.stdint cimport uint64_t


@cython.final
cdef class Told:
    cdef bytes shape
    cdef bytes types


cdef class Statement:
    cdef readonly bytes definition
    cdef readonly bytes name
    cdef readonly bytes parse
    cdef readonly bytes close
    cdef readonly bytes describe
    cdef readonly object meaning
    cdef readonly bint finds  # what it returns is found out whenever it runs: FETCH, EXECUTE
    cdef readonly bint harmless  # changes no session state whenever it is executed
    # The state of the schema (see MicroPool) in which the database has accepted it, from who had nothing
    # else of its own there; 0: none.
    cdef public uint64_t proven
    cdef readonly bint leaves_types  # of some parameter, for the database to find at Parse
    cdef bint is_typed  # it has the types of parameters that a client was told
    cdef bytes proven_types  # those that it has found when it has accepted the statement; None: not known
    cdef Told told  # what was told of it last: equal ones are one object
    cdef Statement told_as  # the same with the types of parameters that clients were told last
    cdef object __weakref__

    cdef Told told_of(self, bytes shape, bytes types)


cdef Statement UNNAMED  # stands for whatever is prepared without a name
cdef bytes with_types(bytes definition, bytes types)
cdef bytes shape(bytes description)
