cdef class Statement:
    cdef readonly bytes definition
    cdef readonly bytes name
    cdef readonly bytes parse
    cdef readonly bytes close
    cdef readonly bytes describe
    cdef readonly object meaning
    cdef readonly bint harmless  # changes no session state whenever it is executed
    cdef public bint proven  # a database has accepted it, from who had nothing else of its own there
    cdef object __weakref__


cdef bytes shape(bytes description)
