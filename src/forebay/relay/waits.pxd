cimport cython


cdef class WaitHistogram:
    cdef readonly list counts
    cdef readonly unsigned long long count
    cdef readonly double sum_us

    @cython.locals(wait_us=double, index=Py_ssize_t)
    cpdef note(self, double wait_s)
