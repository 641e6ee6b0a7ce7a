"""All micro-pools before one database server together: how many connections and waiting clients
they have, and in which of them somebody has waited longest.

It is asked whenever a client begins to wait or a connection comes free. So it keeps counts, and a
list of micro-pools in the order of their first clients, instead of looking at all of them: what it
costs does not depend on their number. (But when the first client of a micro-pool is served, the
micro-pool moves back in the list, past those whose first clients have waited longer.)

Written in Cython's pure mode (types in census.pxd).
"""

from forebay.relay.histogram import Histogram

# Connections being opened at once: a PostgreSQL backend costs milliseconds of a core to start.
OPENING_LIMIT = 10
UNKNOWN = -1


class Demand:
    """What others before the same server need to know of a micro-pool."""

    def __init__(self):
        self.size = 0  # connections, those being opened included
        self.opening = 0  # connections being opened
        self.waiting = 0  # clients in the queue
        self.waits_since = 0.0  # when the first of them came
        self.retry_at = 0.0  # the last opening failed: none before this time
        self.held_back = False  # none now: somebody needs the database alone
        # The micro-pools whose first clients came next before and next after its own.
        self.before = None
        self.behind = None


class Census:
    """Counts over all micro-pools, and the list of those in which clients wait."""

    def __init__(self):
        self.limit = UNKNOWN  # of connections: the database tells it
        self.waiting_limit = 0  # of clients that wait
        self.size = 0
        self.opening = 0
        self.idle = 0
        self.waiting = 0
        self.in_demand = 0  # micro-pools that have connections or clients that wait
        self.first = None  # the micro-pool whose first client has waited longest
        self.last = None
        self.waits = Histogram()  # of clients that did not get a connection at once
        self.queries = Histogram()  # requests, from their first byte here to the answer
        self.database = Histogram()  # ... from their first message at the database

    @property
    def is_over(self):
        """Whether there are more connections than allowed."""
        return self.limit != UNKNOWN and self.size > self.limit

    # ---- what happens ----

    def resize(self, pool, change):
        """`pool` has `change` connections more, or fewer if that is negative."""
        was_in_demand = pool.size > 0 or pool.waiting > 0
        pool.size += change
        self.size += change
        self.in_demand += (pool.size > 0 or pool.waiting > 0) - was_in_demand

    def joined(self, pool, now):
        """Note that a client has begun to wait in `pool`. Returns True if the manager may do
        something about it; False if only a connection that comes free, or is being opened, can
        help."""
        self.waiting += 1
        if pool.waiting == 1:
            pool.waits_since = now
            self._put_behind(self.last, pool)
            if pool.size == 0:
                self.in_demand += 1
        if self.waiting > self.waiting_limit:
            return True
        if pool.size == 0 and pool.retry_at > 0:
            return True
        if pool.waiting <= pool.opening:
            return False
        return self.limit == UNKNOWN or self.size < self.limit or self.idle > 0

    def left(self, pool, since):
        """Note that a client waits in `pool` no more. `since`: when the client that is the first
        there now has begun to wait, in seconds; 0.0 if there is none."""
        self.waiting -= 1
        if pool.waiting == 0:
            self._take_out(pool)
            if pool.size == 0:
                self.in_demand -= 1
        elif since != pool.waits_since:
            pool.waits_since = since
            at = pool.behind
            if at is None or at.waits_since >= since:
                return
            self._take_out(pool)
            while at.behind is not None and at.behind.waits_since < since:
                at = at.behind
            self._put_behind(at, pool)

    def _put_behind(self, at, pool):
        """Put `pool` into the list behind `at`, or as the first if that is None."""
        after = self.first if at is None else at.behind
        pool.before = at
        pool.behind = after
        if at is None:
            self.first = pool
        else:
            at.behind = pool
        if after is None:
            self.last = pool
        else:
            after.before = pool

    def _take_out(self, pool):
        before = pool.before
        behind = pool.behind
        if before is None:
            self.first = behind
        else:
            before.behind = behind
        if behind is None:
            self.last = before
        else:
            behind.before = before
        pool.before = None
        pool.behind = None

    # ---- who is to get a connection ----

    def neediest(self, owner, now):
        """The micro-pool, other than `owner`, whose first client has waited longest, of those that
        may open connections and in which more clients wait than are being opened; or None."""
        pool = self.first
        while pool is not None:
            if pool is not owner and pool.waiting > pool.opening:
                if pool.retry_at <= now and not pool.held_back:
                    return pool
            pool = pool.behind
        return None

    def claimant(self, owner, now):
        """Returns the micro-pool that should get the room of a connection which `owner` gives back;
        None if `owner` keeps it.

        The longer wait wins, as long as its micro-pool has less than an equal share: beyond that,
        moving a connection (closing one, opening another) would cost more than it brings.
        """
        other = self.neediest(owner, now)
        if other is None or owner.waiting == 0:
            return other
        if other.waits_since >= owner.waits_since:
            return None
        share = self.limit // self.in_demand
        return other if other.size < max(1, share) else None

    def takes(self, owner, now):
        """Whether a connection that `owner` gives back is to be closed, because there are too many
        or another micro-pool needs the room."""
        if self.limit == UNKNOWN or self.size < self.limit:
            return False
        if self.size > self.limit:
            return True
        # Idle ones are closed first; and while many are being opened, one more has to wait.
        if self.idle > 0 or self.opening >= OPENING_LIMIT or self.first is None:
            return False
        return self.claimant(owner, now) is not None
