from libc.stdint cimport uint64_t


cdef class Tally:
    cdef public uint64_t borrows
    cdef public uint64_t transactions
    cdef public uint64_t queries
    cdef public uint64_t queries_tls
    cdef public uint64_t refused
    cdef public uint64_t received
    cdef public uint64_t sent
    cdef public uint64_t client_parses
    cdef public uint64_t server_parses
    cdef public uint64_t binds
    cdef public uint64_t replays
    cdef public uint64_t replays_failed
    cdef public double transaction_s
    cdef public double query_s
    cdef public double wait_s

    cpdef add(self, Tally other)
