cimport cython


@cython.final
cdef class Application:
    cdef object __weakref__
    cdef public bint asks
