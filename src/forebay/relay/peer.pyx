"""A relayed socket: bytes in, bytes out, with back-pressure and TLS, and no buffer while idle.

Everything received goes through one scratch area that all peers share (one thread serves them one
after the other). What ``consume`` leaves over, because a message is not whole yet or because the
peer waits for a connection, is held until more comes. What a socket does not take at once is queued
here, and whoever feeds this peer stops reading until ``drained``. Both are bounded: the held part
by `hold_limit` plus one read (GATHER_BYTES, but for a long message that must be whole), the queued
part by what one read can yield. What all peers hold is bounded, too, by the poller's `held_limit`:
beyond it nobody begins to wait for a connection, nor sends more while it waits, and no long message is
held until it is whole.

TLS runs through an ``ssl.MemoryBIO`` pair, shared by all peers where that can be done (openssl.pyx);
its state machine never touches the socket. Between two calls of it nothing is left in the pair.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memcpy, memmove
from posix.unistd cimport close as close_descriptor

import os

from .openssl cimport SharedBios
from .poller cimport EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from .records cimport FAILED, NOTHING_YET, TLS_RECORD_LIMIT, decrypt, encrypt, say_goodbye

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_NOSIGNAL
        SHUT_WR
    ssize_t recv(int fd, void *buffer, size_t count, int flags)
    ssize_t send(int fd, const void *buffer, size_t count, int flags)
    int shutdown(int fd, int how)
    struct linger:
        int l_onoff
        int l_linger
    enum:
        SOL_SOCKET
        SO_LINGER
    int setsockopt(int fd, int level, int name, const void *value, unsigned int size)

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long request, ...)

cdef extern from "<linux/sockios.h>" nogil:
    enum:
        SIOCOUTQ

# Held bytes, then what one read adds: with TLS that may include a record that was already half received.
cdef unsigned char SCRATCH[GATHER_BYTES + RECEIVE_BYTES + 4 * TLS_RECORD_LIMIT]
cdef unsigned char CIPHERED[RECEIVE_BYTES]


cdef class Peer:
    """One socket of the relay. It owns its descriptor."""

    def __init__(self, Poller poller not None, int fd, tls=None, incoming=None, outgoing=None):
        self.poller = poller
        self.fd = fd
        self.hold_limit = GATHER_BYTES
        # The C object below ssl.SSLObject: one Python call less for every read and write.
        self.tls = getattr(tls, "_sslobj", tls)
        self.is_tls = tls is not None
        self.incoming, self.outgoing = incoming, outgoing
        if tls is not None:
            if poller.bios is None:
                poller.bios = SharedBios()
            self.incoming, self.outgoing = (<SharedBios> poller.bios).lend(self.tls, incoming, outgoing)

    def __dealloc__(self):
        PyMem_Free(self.held)
        PyMem_Free(self.queued)
        if self.fd >= 0:
            close_descriptor(self.fd)

    @property
    def tls_version(self) -> str:
        """As OpenSSL calls it, "TLSv1.3"; empty without TLS."""
        return "" if self.tls is None else self.tls.version() or ""

    @property
    def is_closed(self) -> bool:
        return self.fd < 0

    @property
    def queued_bytes(self) -> int:
        return self.queued_count

    @property
    def unsent_bytes(self) -> int:
        """What is queued here, and in the kernel until the other side has taken it."""
        cdef int in_kernel = 0
        if self.fd >= 0:
            ioctl(self.fd, SIOCOUTQ, &in_kernel)
        return self.queued_count + in_kernel

    @property
    def held_bytes(self) -> int:
        return self.held_count

    # ---- reading ----

    cdef int watch(self) except -1:
        self.events = 0 if self.paused else EPOLLIN
        return self.poller.watch(self.fd, self, self.events)

    cdef int _arm(self, uint32_t events) except -1:
        if events != self.events and self.fd >= 0 and not self.forgotten:
            self.events = events
            self.poller.change(self.fd, events)
        return 0

    cdef int pause_reading(self) except -1:
        self.paused = True
        return self._arm(self.events & ~<uint32_t> EPOLLIN)

    cdef int resume_reading(self) except -1:
        """Read again, unless so much is held already that it must be consumed first."""
        if self.paused and not self.finishing and self.held_count < self.hold_limit:
            self.paused = False
            self._arm(self.events | EPOLLIN)
        return 0

    cdef int ready(self, uint32_t events) except -1:
        """The kernel reported `events` for the socket."""
        if events & EPOLLOUT and self.queued_count:
            self.flush()
        if self.fd >= 0 and events & (EPOLLIN | EPOLLERR | EPOLLHUP):
            if self.paused and events & (EPOLLERR | EPOLLHUP):
                # It cannot be read later either: both directions are gone.
                self.lost("the connection was closed by the other side")
            elif not self.paused:
                self._read()
        return 0

    cdef int _read(self) except -1:
        cdef Py_ssize_t held = self.held_count
        cdef Py_ssize_t count, used
        if held > GATHER_BYTES:
            return self._read_on()
        if held:
            memcpy(SCRATCH, self.held, held)
        if self.tls is None:
            count = self._receive(SCRATCH + held)
        else:
            count = self._receive_tls(SCRATCH + held)
        if count <= 0:
            return self._nothing_came(count)
        note_held(self, 0)
        count += held
        used = self.consume(SCRATCH, count)
        if self.fd < 0:
            return 0
        if used < count:
            self._hold(SCRATCH + used, count - used)
        elif self.held != NULL and not self.held_count:
            PyMem_Free(self.held)
            self.held = NULL
        if self.tls_ended and not self.paused:
            # close_notify came behind the data, and nothing else may come.
            self.lost("the connection was closed by the other side")
        return 0

    cdef int _read_on(self) except -1:
        """As ``_read``, for the next part of a long message that is held until it is whole."""
        cdef Py_ssize_t count = self._receive(SCRATCH) if self.tls is None else self._receive_tls(SCRATCH)
        cdef void *held
        if count <= 0:
            return self._nothing_came(count)
        held = PyMem_Realloc(self.held, self.held_count + count)
        if held == NULL:
            raise MemoryError
        self.held = <unsigned char *> held
        memcpy(self.held + self.held_count, SCRATCH, count)
        note_held(self, self.held_count + count)
        if self.held_count >= self.hold_limit or too_much_is_held(self, 0):
            self.consume_held()
        if self.fd >= 0 and self.tls_ended and not self.paused:
            self.lost("the connection was closed by the other side")
        return 0

    cdef int _nothing_came(self, Py_ssize_t outcome) except -1:
        """A read has brought no bytes: the stream has ended, or it has failed."""
        if outcome == 0:
            self.lost("the connection was closed by the other side")
        elif outcome == FAILED:
            self.lost(os.strerror(errno) if self.tls is None else "the TLS connection broke")
        return 0

    cdef int _hold(self, const unsigned char *data, Py_ssize_t count) except -1:
        """Keep what was not consumed; a peer that holds too much is not read until it is."""
        cdef void *held = PyMem_Realloc(self.held, count)
        if held == NULL:
            raise MemoryError
        self.held = <unsigned char *> held
        memmove(self.held, data, count)
        note_held(self, count)
        if count >= self.hold_limit:
            self.pause_reading()
        return 0

    cdef int consume_held(self) except -1:
        """Go on with what was held back, now that nothing stands in its way."""
        cdef unsigned char *data = self.held
        cdef Py_ssize_t count = self.held_count
        cdef Py_ssize_t used
        if not count or self.fd < 0:
            return 0
        self.held = NULL
        note_held(self, 0)
        try:
            used = self.consume(data, count)
            if self.fd >= 0 and used < count:
                self._hold(data + used, count - used)
        finally:
            PyMem_Free(data)
        return 0

    cdef Py_ssize_t _receive(self, unsigned char *into) except -3:
        """Bytes received; 0 at the end of the stream, NOTHING_YET, or FAILED with errno."""
        cdef ssize_t count
        while True:
            count = recv(self.fd, into, RECEIVE_BYTES, 0)
            if count >= 0:
                return count
            if errno == EAGAIN:
                return NOTHING_YET
            if errno != EINTR:
                return FAILED

    cdef Py_ssize_t _receive_tls(self, unsigned char *into) except -3:
        """As ``_receive``, decrypted."""
        cdef Py_ssize_t count = self._receive(CIPHERED)
        if count <= 0:
            return count
        try:
            return decrypt(self.tls, self.incoming, CIPHERED, count, into, &self.tls_ended)
        finally:
            if self.outgoing.pending:  # a key update, an alert
                self._take_ciphered()
                self.flush()

    # ---- writing ----

    cdef bint is_blocked(self) noexcept:
        """The socket did not take all: whoever feeds this peer must wait for ``drained``."""
        return self.queued_count > 0

    cdef int write(self, const unsigned char *data, Py_ssize_t count) except -1:
        """Send now what the socket takes; queue the rest."""
        cdef ssize_t sent
        if self.fd < 0 or not count:
            return 0
        if self.tls is not None or self.queued_count:
            self.enqueue(data, count)
            return self.flush()
        while True:
            sent = send(self.fd, data, count, MSG_NOSIGNAL)
            if sent >= 0 or errno != EINTR:
                break
        if sent == count:
            self.taken_at = self.poller.now
            return 0
        if sent < 0:
            if errno != EAGAIN:
                # The receiving side notices and says why; what is sent meanwhile goes nowhere.
                return 0
            sent = 0
        else:
            self.taken_at = self.poller.now
        self._append(data + sent, count - sent)
        return self._arm(self.events | EPOLLOUT)

    cpdef put_off(self, bytes data):
        """Queue what leaves with the next write, or by `push`."""
        self.enqueue(data, len(data))

    cpdef push(self):
        """Send what was put off and has not left yet."""
        if self.queued_count:
            self.flush()

    cdef int enqueue(self, const unsigned char *data, Py_ssize_t count) except -1:
        """Queue for the next ``write`` or ``flush``, so that both leave together."""
        if self.fd < 0 or not count:
            return 0
        if self.tls is not None:
            return self._encrypt(data, count)
        return self._append(data, count)

    cdef int flush(self) except -1:
        """Send what is queued, as far as the socket takes it."""
        cdef bint was_waiting = self.events & EPOLLOUT
        self._send()
        if self.fd < 0:
            return 0
        if self.queued_count:
            return self._arm(self.events | EPOLLOUT)
        self._arm(self.events & ~<uint32_t> EPOLLOUT)
        if self.finishing:
            return self.close()
        if was_waiting:
            self.drained()
        return 0

    cdef int _send(self) except -1:
        cdef ssize_t sent
        while self.queued_count:
            sent = send(self.fd, self.queued + self.queued_start, self.queued_count, MSG_NOSIGNAL)
            if sent < 0:
                if errno == EINTR:
                    continue
                if errno == EAGAIN:
                    return 0
                self.queued_count = 0  # as in write()
                break
            self.taken_at = self.poller.now
            self.queued_start += sent
            self.queued_count -= sent
        PyMem_Free(self.queued)
        self.queued = NULL
        self.queued_start = self.queued_room = 0
        return 0

    cdef int _encrypt(self, const unsigned char *data, Py_ssize_t count) except -1:
        try:
            encrypt(self.tls, data, count)
        finally:
            self._take_ciphered()
        return 0

    cdef int _take_ciphered(self) except -1:
        """Queue what TLS has for the other side."""
        cdef bytes out = self.outgoing.read()
        return self._append(<const unsigned char *> PyBytes_AS_STRING(out), PyBytes_GET_SIZE(out))

    cdef int _append(self, const unsigned char *data, Py_ssize_t count) except -1:
        cdef Py_ssize_t wanted = self.queued_count + count
        cdef Py_ssize_t room
        cdef void *queued
        if self.queued_start and self.queued_start + wanted > self.queued_room:
            memmove(self.queued, self.queued + self.queued_start, self.queued_count)
            self.queued_start = 0
        if self.queued_start + wanted > self.queued_room:
            room = max(wanted, 2 * self.queued_room)
            queued = PyMem_Realloc(self.queued, room)
            if queued == NULL:
                raise MemoryError
            self.queued = <unsigned char *> queued
            self.queued_room = room
        if count:
            memcpy(self.queued + self.queued_start + self.queued_count, data, count)
        self.queued_count = wanted
        return 0

    # ---- ending ----

    cdef int finish(self) except -1:
        """Close once everything queued has left; nothing more is read."""
        if self.fd < 0 or self.finishing:
            return 0
        self.paused = True
        self.finishing = True
        if self.tls is not None:
            try:
                say_goodbye(self.tls)
            finally:
                self._take_ciphered()
        self.flush()
        return self._arm(self.events & ~<uint32_t> EPOLLIN)

    cdef int forget(self) except -1:
        """Leave the socket open and hear nothing of it any more."""
        self.poller.forget(self.fd)
        self.forgotten = True
        return 0

    cdef int close(self) except -1:
        """Close now. Unread input is discarded first, or the kernel would reset what was just sent."""
        cdef int turn
        cdef linger at_once
        if self.fd < 0:
            return 0
        if self.close_hard:
            at_once.l_onoff, at_once.l_linger = 1, 0
            setsockopt(self.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once))
        for turn in range(8):
            if recv(self.fd, CIPHERED, RECEIVE_BYTES, 0) <= 0:
                break
            if turn == 0:
                shutdown(self.fd, SHUT_WR)  # so that the other side stops sending
        self.poller.forget(self.fd)
        close_descriptor(self.fd)
        self.fd = -1
        PyMem_Free(self.held)
        PyMem_Free(self.queued)
        note_held(self, 0)
        self.held = self.queued = NULL
        self.queued_count = self.queued_start = self.queued_room = 0
        self.tls = self.incoming = self.outgoing = None
        return 0

    # ---- what the kinds of peers do ----

    cdef Py_ssize_t consume(self, const unsigned char *data, Py_ssize_t count) except -1:
        """Take as many of the `count` bytes of `data` as can be used now, and return how many these were. The rest
        is offered again when more has come."""
        raise NotImplementedError

    cdef int drained(self) except -1:
        """All that was queued has left after the socket had been blocked."""
        raise NotImplementedError

    cdef int lost(self, object reason) except -1:
        """The other side is gone, and so must this peer be."""
        raise NotImplementedError
