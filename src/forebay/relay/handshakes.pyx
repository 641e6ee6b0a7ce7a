"""TLS handshake steps in threads that know nothing of Python.

A step of a server's handshake is a signature and a key agreement: a fifth of a millisecond of
arithmetic. In a Python thread it would cost as much again: for the hand-over of the GIL, once before
and once behind it, the thread that serves everybody else has to stop each time. These threads take
an SSL pointer, compute, and say by an eventfd, which stands in the selector, that results are there.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from posix.unistd cimport close, read, write

import atexit

from .openssl cimport HANDSHAKE_DONE, HANDSHAKE_FAILED, SSL, do_handshake, is_available, ssl_of

cdef extern from "<sys/eventfd.h>" nogil:
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK
    int eventfd(unsigned int count, int flags)

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_create(pthread_t *thread, void *attributes, void *(*start)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_signal(pthread_cond_t *condition)
    int pthread_cond_broadcast(pthread_cond_t *condition)

cdef extern from *:
    """
    static pthread_mutex_t MUTEX = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t WORK = PTHREAD_COND_INITIALIZER;
    static pthread_cond_t REST = PTHREAD_COND_INITIALIZER;
    """
    pthread_mutex_t MUTEX
    pthread_cond_t WORK  # there is a step to take
    pthread_cond_t REST  # a step has been taken

cdef enum:
    THREADS_MOST = 16


cdef struct Box


cdef struct Step:
    SSL *ssl
    int outcome
    const char *reason
    PyObject *sslobj  # referenced here
    PyObject *waiter  # referenced here
    Box *box
    Step *next


cdef struct Box:
    # Where the results go of those who share an eventfd.
    int event_fd
    int under_way  # it is not freed before there are none
    Step *done


# Under MUTEX: the steps to take, in order, and whether to take them.
cdef Step *first = NULL
cdef Step *last = NULL
cdef bint stopping = False

cdef pthread_t threads[THREADS_MOST]
cdef int thread_count = 0


cdef void *_work(void *_argument) noexcept nogil:
    global first, last
    cdef Step *step
    cdef Box *box
    cdef bint was_empty
    cdef uint64_t one = 1
    pthread_mutex_lock(&MUTEX)
    while True:
        while first == NULL and not stopping:
            pthread_cond_wait(&WORK, &MUTEX)
        if stopping:
            break
        step = first
        first = step.next
        if first == NULL:
            last = NULL
        pthread_mutex_unlock(&MUTEX)
        step.outcome = do_handshake(step.ssl, &step.reason)
        box = step.box
        pthread_mutex_lock(&MUTEX)
        step.next = box.done
        box.done = step
        was_empty = step.next == NULL
        pthread_mutex_unlock(&MUTEX)
        # From here on the step may be gone, but not the box: this one is still under way. Not under
        # the lock, which whoever is woken by it needs at once.
        if was_empty:
            write(box.event_fd, &one, sizeof(one))
        pthread_mutex_lock(&MUTEX)
        box.under_way -= 1
        pthread_cond_broadcast(&REST)
    pthread_mutex_unlock(&MUTEX)
    return NULL


def _stop():
    """End the threads before OpenSSL is taken down under them."""
    global stopping, thread_count
    cdef int index
    with nogil:
        pthread_mutex_lock(&MUTEX)
        stopping = True
        pthread_cond_broadcast(&WORK)
        pthread_mutex_unlock(&MUTEX)
        for index in range(thread_count):
            pthread_join(threads[index], NULL)
    thread_count = 0


cdef int _start(int count) except -1:
    global thread_count
    while thread_count < min(count, <int> THREADS_MOST):
        if pthread_create(&threads[thread_count], NULL, _work, NULL) != 0:
            if thread_count:
                return 0  # fewer will do
            raise RuntimeError("no thread can be started")
        if thread_count == 0:
            atexit.register(_stop)
        thread_count += 1
    return 0


cdef class Handshakes:
    """Steps asked for by one event loop. The threads are shared by all."""

    cdef Box *box

    def __cinit__(self, int thread_count):
        if not is_available:
            raise RuntimeError("OpenSSL cannot be reached")
        self.box = <Box *> calloc(1, sizeof(Box))
        if self.box == NULL:
            raise MemoryError
        self.box.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.box.event_fd < 0:
            raise OSError("no eventfd can be had")
        _start(thread_count)

    def __dealloc__(self):
        if self.box == NULL:
            return
        with nogil:
            pthread_mutex_lock(&MUTEX)
            while self.box.under_way and not stopping:
                pthread_cond_wait(&REST, &MUTEX)
            pthread_mutex_unlock(&MUTEX)
        if self.box.under_way:
            return  # the process ends with steps that nobody will take; they are left alone
        self._take()
        if self.box.event_fd >= 0:
            close(self.box.event_fd)
        free(self.box)

    def fileno(self):
        """Readable when there are results to collect."""
        return self.box.event_fd

    def take_step(self, sslobj, waiter):
        """Take the next step of the handshake of `sslobj`; nobody may touch it, nor its BIOs, until
        `collect` gives it back."""
        global first, last
        cdef Step *step
        cdef SSL *connection = ssl_of(sslobj)
        step = <Step *> calloc(1, sizeof(Step))
        if step == NULL:
            raise MemoryError
        step.ssl = connection
        step.box = self.box
        Py_INCREF(sslobj)
        step.sslobj = <PyObject *> sslobj
        Py_INCREF(waiter)
        step.waiter = <PyObject *> waiter
        pthread_mutex_lock(&MUTEX)
        if last == NULL:
            first = step
        else:
            last.next = step
        last = step
        self.box.under_way += 1
        pthread_cond_signal(&WORK)
        pthread_mutex_unlock(&MUTEX)

    def collect(self):
        """The results since the last call, as (waiter, whether the handshake is done, why it failed).

        The last is None unless it did."""
        cdef uint64_t count
        read(self.box.event_fd, &count, sizeof(count))
        return self._take()

    cdef list _take(self):
        cdef Step *step
        cdef Step *next
        cdef list results = []
        pthread_mutex_lock(&MUTEX)
        step = self.box.done
        self.box.done = NULL
        pthread_mutex_unlock(&MUTEX)
        while step != NULL:
            next = step.next
            reason = None
            if step.outcome == HANDSHAKE_FAILED:
                reason = "connection closed" if step.reason == NULL else step.reason.decode("ascii", "replace")
            waiter = <object> step.waiter
            sslobj = <object> step.sslobj
            results.append((waiter, step.outcome == HANDSHAKE_DONE, reason))
            Py_DECREF(waiter)
            Py_DECREF(sslobj)
            free(step)
            step = next
        results.reverse()
        return results
