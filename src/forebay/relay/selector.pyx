"""The relay is a selector: asyncio asks it what is ready, and it serves relayed sockets before it
answers.

select(timeout):  wait ─▶ relayed sockets are served here, in compiled code
                        ▲          │ others: their keys are the answer
                        └──────────┘ until there is an answer, or asyncio's next timer is due

asyncio never waits longer than for one batch of events: its timers bound the timeout, its
descriptors stand in the same epoll set, and what relayed work asks of it (a callback, a timer, a
task) interrupts (``Poller.interrupted``).
"""

import logging
import selectors
from time import monotonic

from libc.math cimport INFINITY
from libc.stdint cimport uint32_t

from .peer cimport Peer
from .poller cimport EPOLLIN, EPOLLOUT, Poller

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    enum:
        CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec *now)

logger = logging.getLogger("forebay.relay")


cdef inline double clock() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef int serve(Peer peer, uint32_t events) except -1:
    """Let `peer` work; a mistake in that costs this peer its connection and no other."""
    try:
        peer.ready(events)
    except Exception:
        logger.exception("a relayed connection failed inside Forebay; it is closed")
        peer.lost("an internal error of Forebay")
    return 0


cdef list run(Poller poller, double timeout_s):
    """Wait and serve, as above; the keys of asyncio's ready descriptors with their events."""
    cdef list ready = []
    cdef double now = clock()
    cdef double end = now + timeout_s
    cdef int count, index
    cdef uint32_t events
    cdef object owner
    poller.now = now
    poller.interrupted = False
    while True:
        count = poller.wait(end)
        poller.now = now = clock()
        for index in range(count):
            owner = poller.owner(index)
            events = poller.events[index].events
            if isinstance(owner, Peer):
                serve(<Peer> owner, events)
            elif owner is not None:
                ready.append((owner, events))
        if ready or poller.interrupted or now >= end or count == 0:
            return ready


class Relay(selectors.BaseSelector):
    """A selector for ``asyncio.SelectorEventLoop`` that also serves the relay's sockets."""

    def __init__(self):
        self.poller = Poller()
        self.poller.now = monotonic()
        self._keys = {}

    def register(self, fileobj, events, data=None):
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if fd in self._keys:
            raise KeyError(f"descriptor {fd} is registered already")
        key = selectors.SelectorKey(fileobj, fd, events, data)
        (<Poller> self.poller).watch(fd, key, _epoll_events(events))
        self._keys[fd] = key
        return key

    def unregister(self, fileobj):
        key = self._keys.pop(self._number(fileobj))
        (<Poller> self.poller).forget(key.fd)
        return key

    def modify(self, fileobj, events, data=None):
        old = self._keys[self._number(fileobj)]
        key = selectors.SelectorKey(old.fileobj, old.fd, events, data)
        (<Poller> self.poller).own(old.fd, key)
        if events != old.events:
            (<Poller> self.poller).change(old.fd, _epoll_events(events))
        self._keys[old.fd] = key
        return key

    def select(self, timeout=None):
        cdef double timeout_s = INFINITY if timeout is None else timeout
        return [
            (key, _selector_events(events) & key.events)
            for key, events in run(self.poller, timeout_s)
        ]

    def close(self):
        self._keys.clear()
        self.poller.close()

    def get_map(self):
        return self._keys

    def get_key(self, fileobj):
        return self._keys[self._number(fileobj)]

    def _number(self, fileobj):
        if isinstance(fileobj, int):
            return fileobj
        fd = fileobj.fileno()
        if fd >= 0:
            return fd
        for key in self._keys.values():  # closed before it was unregistered
            if key.fileobj is fileobj:
                return key.fd
        raise KeyError(f"{fileobj!r} is not registered")


cdef uint32_t _epoll_events(int events) except? 0xFFFFFFFF:
    return (EPOLLIN if events & 1 else 0) | (EPOLLOUT if events & 2 else 0)


cdef int _selector_events(uint32_t events) except -1:
    """As selectors.EpollSelector: errors and hang-ups count as both readable and writable."""
    return (1 if events & ~<uint32_t> EPOLLOUT else 0) | (2 if events & ~<uint32_t> EPOLLIN else 0)
