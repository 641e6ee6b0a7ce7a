"""One epoll set, and who owns each descriptor in it.

An owner is a relayed ``Peer`` or the ``SelectorKey`` that asyncio registered. Events carry the
generation of their descriptor, so that an event that was already fetched when its descriptor was
closed, and the number given out again, reaches nobody.
"""

from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.errno cimport EINTR, errno
from libc.string cimport memset
from posix.unistd cimport close

cdef extern from "<sys/epoll.h>" nogil:
    int epoll_create1(int flags)
    int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll_fd, epoll_event *events, int count, int timeout_ms)


cdef class Poller:
    def __cinit__(self):
        self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll_fd < 0:
            raise OSError(errno, "epoll_create1 failed")

    def __dealloc__(self):
        cdef int fd
        for fd in range(self.capacity):
            Py_XDECREF(self.owners[fd])
        PyMem_Free(self.owners)
        PyMem_Free(self.generations)
        if self.epoll_fd >= 0:
            close(self.epoll_fd)

    def close(self):
        """Forget every descriptor and close the epoll set."""
        cdef int fd
        for fd in range(self.capacity):
            Py_XDECREF(self.owners[fd])
            self.owners[fd] = NULL
        if self.epoll_fd >= 0:
            close(self.epoll_fd)
            self.epoll_fd = -1

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

    cdef int wait(self, int timeout_ms) except -1:
        """Fetch up to BATCH events; how many came. The GIL is released while waiting."""
        cdef int count
        with nogil:
            count = epoll_wait(self.epoll_fd, self.events, BATCH, timeout_ms)
        if count >= 0:
            return count
        if errno == EINTR:
            return 0
        raise OSError(errno, "epoll_wait failed")

    cdef object owner(self, int index):
        """The owner of event `index` of the last batch; None when its descriptor was closed since."""
        cdef uint64_t data = self.events[index].data.u64
        cdef uint32_t fd = <uint32_t> data
        if self.generations[fd] != <uint32_t> (data >> 32) or self.owners[fd] == NULL:
            return None
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
