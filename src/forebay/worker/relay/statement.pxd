from libc.stdint cimport uint64_t


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
    cdef object __weakref__


cdef bytes shape(bytes description)
