"""How long something took, each time, as a histogram of fixed size.

Below 2 × FINE µs each has a bucket of its own; then there are FINE for every doubling, so that percentiles
are exact to 3 %. To note one costs a few nanoseconds: it is done several times for each request. What is
read out of it is laid out as channel/figures.py says.
"""

from libc.math cimport frexp

cdef double LIMIT_US = 2.0 ** 37  # where the last bucket ends, after more than a day


cdef class Histogram:
    """Counts of durations, in microseconds."""

    cpdef note(self, double duration_s):
        """Count one duration of so many seconds."""
        cdef double us = duration_s * 1e6 if duration_s > 0 else 0.0
        cdef double mantissa
        cdef int exponent, doublings
        cdef Py_ssize_t bucket
        self.count += 1
        self.sum_us += us
        if us < 2 * FINE:
            bucket = <Py_ssize_t> us
        elif us >= LIMIT_US:
            bucket = BUCKETS - 1
        else:
            mantissa = frexp(us, &exponent)  # 0.5 to 1; us = mantissa × 2^exponent
            doublings = exponent - 5  # since 16 µs
            bucket = FINE * doublings + <Py_ssize_t> (mantissa * 2 * FINE)
        self.buckets[bucket] += 1

    def filled(self) -> dict[int, int]:
        """How many fell into each bucket, by its number, but for those into which none did."""
        cdef Py_ssize_t bucket
        return {bucket: self.buckets[bucket] for bucket in range(BUCKETS) if self.buckets[bucket]}
