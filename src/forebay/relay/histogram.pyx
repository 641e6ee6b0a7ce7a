"""How long something took, each time, as a histogram of fixed size.

Below 2 × FINE µs each has a bucket of its own; then there are FINE for every doubling, so that percentiles
are exact to 3 %. To note one costs a few nanoseconds: it is done several times for each request. What is
read out of it is laid out as channel/figures.py says.
"""

cdef extern from *:
    """
    #define forebay_leading_zeros(number) __builtin_clzll(number)
    """
    int clz "forebay_leading_zeros" (unsigned long long number) noexcept nogil

cdef double LIMIT_US = 2.0 ** 37  # where the last bucket ends, after more than a day


cdef class Histogram:
    """Counts of durations, in microseconds."""

    cpdef note(self, double duration_s):
        """Count one duration of so many seconds."""
        cdef double us = duration_s * 1e6 if duration_s > 0 else 0.0
        cdef uint64_t whole
        cdef int doublings
        cdef Py_ssize_t bucket
        self.count += 1
        self.sum_us += us
        if us < 2 * FINE:
            bucket = <Py_ssize_t> us
        elif us >= LIMIT_US:
            bucket = BUCKETS - 1
        else:
            whole = <uint64_t> us
            doublings = 59 - clz(whole)  # since 16 µs
            bucket = FINE * doublings + <Py_ssize_t> (whole >> doublings)
        self.buckets[bucket] += 1

    def filled(self) -> dict[int, int]:
        """How many fell into each bucket, by its number, but for those into which none did."""
        cdef Py_ssize_t bucket
        return {bucket: self.buckets[bucket] for bucket in range(BUCKETS) if self.buckets[bucket]}
