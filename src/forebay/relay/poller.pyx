"""One epoll set, and who owns each descriptor in it; and one timer, which wakes it.

An owner is a relayed ``Peer`` or the ``SelectorKey`` that asyncio registered. Events carry the
generation of their descriptor, so that an event that was already fetched when its descriptor was
closed, and the number given out again, reaches nobody.

The timer is a descriptor that stays armed over many waits, where the kernel would start and cancel one
of its own for every ``epoll_wait`` with a timeout.
"""

from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.errno cimport EINTR, errno
from libc.math cimport INFINITY
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, itimerspec
from posix.unistd cimport close

cdef extern from "<sys/timerfd.h>" nogil:
    enum:
        TFD_CLOEXEC
        TFD_NONBLOCK
        TFD_TIMER_ABSTIME
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *new, itimerspec *old)

cdef extern from "<sys/epoll.h>" nogil:
    int epoll_create1(int flags)
    int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll_fd, epoll_event *events, int count, int timeout_ms)


# Bytes that all peers together may hold back: 4096 clients that wait can have 64 KiB each.
cdef Py_ssize_t HELD_LIMIT = 256 * 1024 * 1024


cdef class Poller:
    def __cinit__(self):
        self.held_limit = HELD_LIMIT
        self.timer_fd = -1
        self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll_fd < 0:
            raise OSError(errno, "epoll_create1 failed")
        self.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self.timer_fd < 0:
            raise OSError(errno, "timerfd_create failed")
        self.wakes_at = INFINITY
        # Edge-triggered, it need not be read.
        self.watch(self.timer_fd, None, EPOLLIN | EPOLLET)

    def __dealloc__(self):
        cdef int fd
        for fd in range(self.capacity):
            Py_XDECREF(self.owners[fd])
        PyMem_Free(self.owners)
        PyMem_Free(self.generations)
        if self.timer_fd >= 0:
            close(self.timer_fd)
        if self.epoll_fd >= 0:
            close(self.epoll_fd)

    def close(self):
        """Forget every descriptor and close the epoll set."""
        cdef int fd
        for fd in range(self.capacity):
            Py_XDECREF(self.owners[fd])
            self.owners[fd] = NULL
        if self.epoll_fd >= 0:
            close(self.timer_fd)
            close(self.epoll_fd)
            self.timer_fd = self.epoll_fd = -1

    cdef int watch(self, int fd, object owner, uint32_t events) except -1:
        """Start watching `fd` for `owner`, which stays alive until ``forget``."""
        cdef epoll_event event
        if fd >= self.capacity:
            self._grow(fd + 1)
        self.generations[fd] += 1
        event.events = events
        event.data.u64 = (<uint64_t> self.generations[fd] << 32) | <uint32_t> fd
        if epoll_ctl(self.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError(errno, f"descriptor {fd} cannot be watched")
        Py_INCREF(owner)
        Py_XDECREF(self.owners[fd])
        self.owners[fd] = <PyObject *> owner
        return 0

    cdef int change(self, int fd, uint32_t events) except -1:
        cdef epoll_event event
        event.events = events
        event.data.u64 = (<uint64_t> self.generations[fd] << 32) | <uint32_t> fd
        if epoll_ctl(self.epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0:
            raise OSError(errno, f"descriptor {fd} cannot be watched")
        return 0

    cdef int own(self, int fd, object owner) except -1:
        """Give a watched `fd` another owner."""
        cdef PyObject *old = self.owners[fd]
        Py_INCREF(owner)
        self.owners[fd] = <PyObject *> owner
        Py_XDECREF(old)
        return 0

    cdef int forget(self, int fd) noexcept:
        """Stop watching `fd`; harmless when it is not watched."""
        cdef epoll_event event
        cdef PyObject *owner
        if fd < 0 or fd >= self.capacity or self.owners[fd] == NULL:
            return 0
        epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, fd, &event)
        self.generations[fd] += 1
        owner = self.owners[fd]
        self.owners[fd] = NULL
        Py_XDECREF(owner)
        return 0

    cdef int wait(self, double until) except -1:
        """Fetch up to BATCH events. Returns how many came. The GIL is released while waiting.

        `until` is in seconds of the monotonic clock: the call does not wait beyond that, and not at all if it has
        passed. It may return earlier, and an event may have no owner.
        """
        cdef int count
        cdef int timeout_ms = -1 if until > self.now else 0
        if timeout_ms and until < self.wakes_at:
            self._wake_at(until)
        with nogil:
            count = epoll_wait(self.epoll_fd, self.events, BATCH, timeout_ms)
        if count >= 0:
            return count
        if errno == EINTR:
            return 0
        raise OSError(errno, "epoll_wait failed")

    cdef int _wake_at(self, double at) except -1:
        """Arm the timer, instead of what it was armed for."""
        cdef itimerspec when
        cdef long seconds = <long> at
        cdef long nanoseconds = <long> ((at - seconds) * 1e9) + 1  # 0 and 0 would mean never
        memset(&when, 0, sizeof(when))
        when.it_value.tv_sec = seconds + nanoseconds // 1000000000
        when.it_value.tv_nsec = nanoseconds % 1000000000
        if timerfd_settime(self.timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0:
            raise OSError(errno, "the timer cannot be set")
        self.wakes_at = at
        return 0

    cdef object owner(self, int index):
        """The owner of event `index` of the last batch; None when its descriptor was closed since."""
        cdef uint64_t data = self.events[index].data.u64
        cdef uint32_t fd = <uint32_t> data
        if self.generations[fd] != <uint32_t> (data >> 32) or self.owners[fd] == NULL:
            return None
        if <int> fd == self.timer_fd:
            self.wakes_at = INFINITY  # it has fired, and wakes nobody again
        return <object> self.owners[fd]

    cdef int _grow(self, int wanted) except -1:
        cdef int capacity = max(1024, self.capacity)
        while capacity < wanted:
            capacity *= 2
        cdef void *owners = PyMem_Realloc(self.owners, capacity * sizeof(PyObject *))
        if owners == NULL:
            raise MemoryError
        self.owners = <PyObject **> owners
        cdef void *generations = PyMem_Realloc(self.generations, capacity * sizeof(uint32_t))
        if generations == NULL:
            raise MemoryError
        self.generations = <uint32_t *> generations
        memset(self.owners + self.capacity, 0, (capacity - self.capacity) * sizeof(PyObject *))
        memset(self.generations + self.capacity, 0, (capacity - self.capacity) * sizeof(uint32_t))
        self.capacity = capacity
        return 0
