"""A micro-pool: the connections of one (database, user) and the clients that wait for one.

Connections are reused newest first, so that surplus ones grow old at the front of ``idle`` where
the janitor finds them. Waiters are served first come, first served; a connection that comes free
goes directly to the first of them and never through ``idle``, so that nobody who comes later can
overtake. A waiter leaves the queue in constant time.

What needs more than this pool (opening, making room, another pool's older claim) is the manager's:
    manager.wanted(pool)            somebody waits who found nothing idle
    manager.may_keep(pool, server)  under contention, or when it is retired: False when it was taken
    manager.waited(pool, wait_s)    the first in the queue was served

Written in Cython's pure mode (types in micropool.pxd).
"""

# How many idle connections are looked at for one that has the settings wanted.
_SEARCH = 16


class Waiter:
    """Who can wait in a micro-pool's queue."""

    def __init__(self):
        self.waiting_in = None
        self.waits_before = None
        self.waits_behind = None
        self.waits_since = 0.0


class MicroPool:
    """The connections and the queue of one (database, user)."""

    def __init__(self, database, user, manager, changeover):
        self.database = database
        self.user = user
        self.manager = manager
        self.changeover = changeover  # for its connections: see `connection`
        self.idle = []  # unused connections, the longest unused first
        self.first_waiter = None
        self.last_waiter = None
        self.waiting = 0
        self.clients = 0  # clients logged in, with or without a connection
        self.opening = 0  # connections being opened
        self.borrowed = 0  # connections with a client, or being cleaned after one
        self.borrows = 0
        self.transactions = 0
        self.schema = 1  # counts what has changed what names mean in the database
        self.contended = False  # another pool waits for room: the manager wants to be asked

    @property
    def size(self):
        """Connections that count against the budget."""
        return len(self.idle) + self.borrowed + self.opening

    def borrow(self, settings):
        """An idle connection, if possible one that has `settings` already, or None."""
        index = len(self.idle) - 1
        if index < 0:
            return None
        self.borrows += 1
        self.borrowed += 1
        server = self.idle[index]
        if server.settings is settings:
            return self.idle.pop()
        last = max(-1, index - _SEARCH)
        while index > last:
            server = self.idle[index]
            if server.settings is settings:
                del self.idle[index]
                return server
            index -= 1
        return self.idle.pop()

    def wait(self, waiter, now):
        """Queue `waiter` behind all others."""
        tail = self.last_waiter
        waiter.waiting_in = self
        waiter.waits_since = now
        waiter.waits_behind = tail
        if tail is None:
            self.first_waiter = waiter
        else:
            tail.waits_before = waiter
        self.last_waiter = waiter
        self.waiting += 1
        self.manager.wanted(self)

    def leave(self, waiter):
        """Take `waiter` out of the queue, wherever it stands; harmless when it does not wait."""
        if waiter.waiting_in is not self:
            return
        behind = waiter.waits_behind
        before = waiter.waits_before
        if behind is None:
            self.first_waiter = before
        else:
            behind.waits_before = before
        if before is None:
            self.last_waiter = behind
        else:
            before.waits_behind = behind
        waiter.waits_behind = None
        waiter.waits_before = None
        waiter.waiting_in = None
        self.waiting -= 1

    def next_waiter(self):
        """The first in the queue, taken out of it; None when nobody waits."""
        waiter = self.first_waiter
        if waiter is not None:
            self.leave(waiter)
        return waiter

    def give_back(self, server, retired, now):
        """A borrowed connection is free: who gets it now. None: it is idle, or was taken away.

        `retired`: it is to be closed rather than used again.
        """
        self.borrowed -= 1
        if retired or self.contended:
            if not self.manager.may_keep(self, server):
                return None
        waiter = self.next_waiter()
        if waiter is None:
            self.idle.append(server)
        else:
            self.borrowed += 1
            self.borrows += 1
            self.manager.waited(self, now - waiter.waits_since)
        return waiter
