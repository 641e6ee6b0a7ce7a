"""A micro-pool: the connections of one (database, user) and the clients that wait for one.

Connections are reused newest first, so that surplus ones grow old at the front of ``idle`` where
the janitor finds them. Waiters are served first come, first served; a connection that comes free
goes directly to the first of them and never through ``idle``, so that nobody who comes later can
overtake. A waiter leaves the queue in constant time.

What concerns other micro-pools too is counted in the `census` that all before one server share. The
manager (Python) is called only where something is to be decided or done: see ports.py.

Written in Cython's pure mode (types in micropool.pxd).
"""

from forebay.relay.census import Demand
from forebay.relay.tally import Tally

# How many idle connections are looked at for one that has the settings wanted.
_SEARCH = 16


class Waiter:
    """Who can wait in a micro-pool's queue."""

    def __init__(self):
        self.waiting_in = None
        self.waits_before = None
        self.waits_behind = None
        self.waits_since = 0.0


class MicroPool(Demand):
    """The connections and the queue of one (database, user)."""

    def __init__(self, database, user, census, manager, changeover):
        Demand.__init__(self)
        self.database = database
        self.user = user
        self.census = census
        self.manager = manager
        self.changeover = changeover  # for its connections: see `connection`
        self.idle = []  # unused connections, the longest unused first
        self.first_waiter = None
        self.last_waiter = None
        self.clients = 0  # clients logged in, with or without a connection
        self.borrowed = 0  # connections with a client, or being cleaned after one
        self.tally = Tally()
        self.schema = 1  # counts what has changed what names mean in the database
        # The next connection that comes free was opened for this pool, and serves it first: to
        # close it unused helps nobody, and the other pool's connection would meet the same end.
        self.keeps_next = False

    # ---- connections come and go ----

    def begin_opening(self):
        """One more connection is being opened."""
        self.opening += 1
        self.census.opening += 1
        self.census.resize(self, 1)

    def end_opening(self, opened):
        """The opening of a connection has ended. `opened`: it has succeeded, and the connection
        counts as borrowed until it is started."""
        self.opening -= 1
        self.census.opening -= 1
        if opened:
            self.borrowed += 1
            self.keeps_next = True
        else:
            self.census.resize(self, -1)

    def take(self, server):
        """Borrow this idle connection."""
        self.idle.remove(server)
        self.census.note_idle(self, -1)
        self.borrowed += 1

    def drop(self, server):
        """This connection, idle or borrowed, is closed."""
        if server in self.idle:
            self.take(server)
        self.borrowed -= 1
        self.census.resize(self, -1)

    def join(self, user_group, database_group):
        """Be limited by these groups from now on; None: by none."""
        self.census.regroup(self, user_group, database_group, len(self.idle), self.clients)

    # ---- clients come and go ----

    def note_clients(self, change):
        """So many clients more are logged in, or fewer if that is negative."""
        self.clients += change
        if self.user_group is not None:
            self.user_group.clients += change
        if self.database_group is not None:
            self.database_group.clients += change

    def borrow(self, settings):
        """An idle connection, if possible one that has `settings` already, or None (while there is
        none, or nobody is to get one)."""
        index = len(self.idle) - 1
        if index < 0 or self.census.on_hold:
            return None
        self.tally.borrows += 1
        self.borrowed += 1
        self.census.note_idle(self, -1)
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

    def borrow_last(self, process_id, lease):
        """Returns the connection that this client had in its last lease, if it is idle, nobody else
        has had it since, and it remembers only what this client has drawn from sequences; else
        None."""
        index = -1 if self.census.on_hold else len(self.idle) - 1
        last = max(-1, index - _SEARCH)
        while index > last:
            server = self.idle[index]
            if server.drawn_by == process_id and server.drawn_in == lease:
                self.take(server)
                self.tally.borrows += 1
                return server
            index -= 1
        return None

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
        if self.census.joined(self, now):
            self.manager.wanted(self)

    def take_place(self, waiter, since, now):
        """Queue `waiter`, who has waited elsewhere since `since`, before all who came later."""
        at = self.last_waiter
        while at is not None and at.waits_since > since:
            at = at.waits_behind
        after = self.first_waiter if at is None else at.waits_before
        waiter.waiting_in = self
        waiter.waits_since = since
        waiter.waits_behind = at
        waiter.waits_before = after
        if at is None:
            self.first_waiter = waiter
        else:
            at.waits_before = waiter
        if after is None:
            self.last_waiter = waiter
        else:
            after.waits_behind = waiter
        self.waiting += 1
        more = self.census.joined(self, now)
        if at is None:
            self.census.move_forward(self, since)
        if more:
            self.manager.wanted(self)

    def note_wait(self, wait_s):
        """Somebody who has waited for so long has a connection now."""
        self.tally.wait_s += wait_s
        self.census.waits.note(wait_s)

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
        first = self.first_waiter
        if self.census.left(self, 0.0 if first is None else first.waits_since):
            self.manager.schedule()

    def next_waiter(self):
        """The first in the queue, taken out of it; None when nobody waits."""
        waiter = self.first_waiter
        if waiter is not None:
            self.leave(waiter)
        return waiter

    def give_back(self, server, retired, now):
        """Take back a borrowed connection that is free. Returns the waiter that gets it; None if
        the connection is idle now, or was taken away.

        `retired`: it is to be closed rather than used again.
        """
        keeps = self.keeps_next and not self.census.is_over_for(self)
        self.keeps_next = False
        if retired or (not keeps and self.census.takes(self, now)):
            self.borrowed -= 1
            self.census.resize(self, -1)
            self.manager.take_away(server)
            return None
        waiter = None if self.census.on_hold else self.next_waiter()
        if waiter is None:
            self.borrowed -= 1
            self.idle.append(server)
            self.census.note_idle(self, 1)
            if self.census.waiting and self.census.neediest(None, now) is not None:
                self.manager.schedule()
        else:
            self.tally.borrows += 1
            self.note_wait(now - waiter.waits_since)
        return waiter
