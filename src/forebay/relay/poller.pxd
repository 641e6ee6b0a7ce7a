from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "<sys/epoll.h>" nogil:
    enum:
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL
        EPOLL_CTL_MOD
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
        EPOLLRDHUP
        EPOLLET

    ctypedef union epoll_data_t:
        int fd
        uint64_t u64

    struct epoll_event:
        uint32_t events
        epoll_data_t data


cdef enum:
    BATCH = 256  # events taken from the kernel at once; also the most relayed work between two looks at the clock


cdef class Poller:
    cdef int epoll_fd
    cdef int timer_fd
    cdef double wakes_at  # monotonic seconds
    cdef PyObject **owners
    cdef uint32_t *generations
    cdef int capacity
    cdef epoll_event events[BATCH]
    cdef public double now  # monotonic seconds, read once a batch
    # Set by anything that asyncio must hear about soon: a callback or timer was added from relayed work.
    cdef public bint interrupted
    cdef object bios  # which its TLS peers share; None until there is one
    cdef public Py_ssize_t held_bytes  # what its peers have received, and could not use yet
    cdef public Py_ssize_t held_limit

    cdef int watch(self, int fd, object owner, uint32_t events) except -1
    cdef int change(self, int fd, uint32_t events) except -1
    cdef int own(self, int fd, object owner) except -1
    cdef int forget(self, int fd) noexcept
    cdef int wait(self, double until) except -1
    cdef int _wake_at(self, double at) except -1
    cdef object owner(self, int index)
    cdef int _grow(self, int wanted) except -1
