from libc.stdint cimport uint64_t

cdef enum:
    FINE = 16  # buckets for every doubling
    BUCKETS = FINE * 34


cdef class Histogram:
    cdef uint64_t buckets[BUCKETS]
    cdef readonly uint64_t count
    cdef readonly double sum_us

    cpdef note(self, double duration_s)
