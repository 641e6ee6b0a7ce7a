cdef class Statement:
    cdef readonly bytes definition
    cdef readonly bytes name
    cdef readonly bytes parse
    cdef readonly bytes close
    cdef readonly object meaning
    cdef readonly bint watched  # running it may change the session: see glance.pyx
    cdef public bint proven  # a database has accepted it
    cdef object __weakref__
