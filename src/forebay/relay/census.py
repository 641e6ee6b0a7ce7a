"""All micro-pools before one database server together: how many connections and waiting clients
they have, and in which of them somebody has waited longest.

It is asked whenever a client begins to wait or a connection comes free. So it keeps counts, and a
list of micro-pools in the order of their first clients, instead of looking at all of them: what it
costs does not depend on their number. (But when the first client of a micro-pool is served, the
micro-pool moves back in the list, past those whose first clients have waited longer.)

Micro-pools of one user, or of one database, may have a limit of their own: they form a `Group`. Who
can get no connection while the group is at its limit does not stand in the list of all, where it
would be looked at in vain at each turn, but in the group's, until there is room in the group.

Written in Cython's pure mode (types in census.pxd).
"""

from forebay.relay.histogram import Histogram

# Connections being opened at once: a PostgreSQL backend costs milliseconds of a core to start.
OPENING_LIMIT = 10
_UNKNOWN = -1  # instead of a limit: it is not known, or there is none


class Demand:
    """What others before the same server need to know of a micro-pool."""

    def __init__(self):
        self.size = 0  # connections, those being opened included
        self.opening = 0  # connections being opened
        self.waiting = 0  # clients in the queue
        self.waits_since = 0.0  # when the first of them came
        self.retry_at = 0.0  # the last opening failed: none before this time
        self.held_back = False  # none now: somebody needs the database alone
        # Where it stands while clients wait in it, and the micro-pools there whose first clients
        # came next before and next after its own.
        self.line = None
        self.before = None
        self.behind = None
        # What limits the connections of its user and of its database; None: nothing.
        self.user_group = None
        self.database_group = None


class Line:
    """Micro-pools in which clients wait, in the order of their first clients."""

    def __init__(self):
        self.first = None  # the micro-pool whose first client has waited longest
        self.last = None

    def put(self, pool):
        """Put `pool` where it belongs. It is looked for from the end."""
        at = self.last
        while at is not None and at.waits_since > pool.waits_since:
            at = at.before
        self.put_behind(at, pool)

    def put_behind(self, at, pool):
        """Put `pool` behind `at`, or to the front if that is None."""
        after = self.first if at is None else at.behind
        pool.line = self
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

    def take_out(self, pool):
        """Take out `pool`, which stands here."""
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
        pool.line = None
        pool.before = None
        pool.behind = None

    def move_back(self, pool, since):
        """The first client in `pool` is another one, who waits since `since`, or later than those
        behind it."""
        pool.waits_since = since
        at = pool.behind
        if at is None or at.waits_since >= since:
            return
        self.take_out(pool)
        while at.behind is not None and at.behind.waits_since < since:
            at = at.behind
        self.put_behind(at, pool)

    def take_over(self, other):
        """Put all that stand in the line `other` here."""
        at = None
        pool = other.first
        while pool is not None:
            behind = pool.behind
            other.take_out(pool)
            after = self.first if at is None else at.behind
            while after is not None and after.waits_since <= pool.waits_since:
                at = after
                after = at.behind
            self.put_behind(at, pool)
            at = pool
            pool = behind


class Group(Line):
    """The micro-pools of one user, or of one database, that share a limit of connections; and the
    line of those for which only a connection of the group's that comes free can help."""

    def __init__(self):
        Line.__init__(self)
        self.limit = _UNKNOWN  # of connections; _UNKNOWN: none
        self.size = 0  # connections, those being opened included
        self.idle = 0
        self.in_demand = 0  # micro-pools that have connections or clients that wait
        self.clients = 0  # clients logged in
        # For this micro-pool room for one connection is kept until its other group has some, too.
        self.kept = None

    @property
    def is_over(self):
        """Whether there are more connections than allowed."""
        return self.limit != _UNKNOWN and self.size > self.limit

    def is_full(self, pool):
        """Whether `pool` can have another connection only if one of the group's is closed.
        None: any micro-pool."""
        if self.limit == _UNKNOWN:
            return False
        kept = self.kept is not None and self.kept is not pool
        return self.size + kept >= self.limit

    def has_room(self, pool):
        """Whether `pool` can have another connection, if an idle one of the group's is closed."""
        return self.idle > 0 or not self.is_full(pool)


class Census(Line):
    """Counts over all micro-pools, and the line of those that may get the next connection."""

    def __init__(self):
        Line.__init__(self)
        self.limit = _UNKNOWN  # of connections: the database tells it
        self.waiting_limit = 0  # of clients that wait
        # Nobody is lent a connection, and none is opened: it is not known which server writes.
        self.on_hold = False
        self.size = 0
        self.opening = 0
        self.idle = 0
        self.waiting = 0
        self.in_demand = 0  # micro-pools that have connections or clients that wait
        # The manager may help whoever waits: there are other servers that would do.
        self.has_others = False
        self.waits = Histogram()  # of clients that did not get a connection at once
        self.queries = Histogram()  # requests, from their first byte here to the answer
        self.database = Histogram()  # ... from their first message at the database

    @property
    def is_over(self):
        """Whether there are more connections than allowed."""
        return self.limit != _UNKNOWN and self.size > self.limit

    def is_over_for(self, pool):
        """Whether there are more than allowed, of all or in a group of `pool`."""
        if self.limit != _UNKNOWN and self.size > self.limit:
            return True
        group = pool.user_group
        if group is not None and group.limit != _UNKNOWN and group.size > group.limit:
            return True
        group = pool.database_group
        return group is not None and group.limit != _UNKNOWN and group.size > group.limit

    # ---- what happens ----

    def resize(self, pool, change):
        """`pool` has `change` connections more, or fewer if that is negative."""
        was_in_demand = pool.size > 0 or pool.waiting > 0
        pool.size += change
        self.size += change
        self._demand(pool, (pool.size > 0 or pool.waiting > 0) - was_in_demand)
        if pool.user_group is not None:
            self._resize_group(pool.user_group, pool, change)
        if pool.database_group is not None:
            self._resize_group(pool.database_group, pool, change)

    def _resize_group(self, group, pool, change):
        group.size += change
        if change > 0 and group.kept is pool:
            group.kept = None  # this is what it was for
        self.release(group)

    def note_idle(self, pool, change):
        """`pool` has `change` idle connections more, or fewer if that is negative."""
        self.idle += change
        group = pool.user_group
        if group is not None:
            group.idle += change
            self.release(group)
        group = pool.database_group
        if group is not None:
            group.idle += change
            self.release(group)

    def joined(self, pool, now):
        """Note that a client has begun to wait in `pool`. Returns True if the manager may do
        something about it; False if only a connection that comes free, or is being opened, can
        help."""
        group = self._obstacle(pool, None)
        self.waiting += 1
        if pool.waiting == 1:
            pool.waits_since = now
            if group is None:
                self.put_behind(self.last, pool)
            else:
                group.put_behind(group.last, pool)
            if pool.size == 0:
                self._demand(pool, 1)
        if self.waiting > self.waiting_limit or self.has_others:
            return True
        if self.on_hold:
            return False
        if pool.size == 0 and pool.retry_at > 0:
            return True
        if pool.waiting <= pool.opening or group is not None:
            return False
        return self.limit == _UNKNOWN or self.size < self.limit or self.idle > 0

    def move_forward(self, pool, since):
        """A client that has waited since `since`, longer than the others there, is the first in
        `pool` now."""
        line = pool.line
        line.take_out(pool)
        pool.waits_since = since
        line.put(pool)

    def left(self, pool, since):
        """Note that a client waits in `pool` no more. `since`: when the client that is the first
        there now has begun to wait, in seconds; 0.0 if there is none. Returns True if room was kept
        for `pool`, which others may use now."""
        self.waiting -= 1
        line = pool.line
        if pool.waiting == 0:
            line.take_out(pool)
            if pool.size == 0:
                self._demand(pool, -1)
            group = pool.user_group
            if group is not None and group.kept is pool:
                group.kept = None
                self.release(group)
                return True
        elif since != pool.waits_since:
            line.move_back(pool, since)
        return False

    def _demand(self, pool, change):
        self.in_demand += change
        group = pool.user_group
        if group is not None:
            group.in_demand += change
        group = pool.database_group
        if group is not None:
            group.in_demand += change

    # ---- groups ----

    def regroup(self, pool, user_group, database_group, idle, clients):
        """`pool`, which has so many idle connections and clients, belongs to these groups from now
        on; None: to none."""
        self._count(pool, -1, idle, clients)
        line = pool.line
        if line is not None and line is not self:
            line.take_out(pool)
            self.put(pool)
        pool.user_group = user_group
        pool.database_group = database_group
        self._count(pool, 1, idle, clients)

    def _count(self, pool, sign, idle, clients):
        for group in (pool.user_group, pool.database_group):
            if group is not None:
                group.size += sign * pool.size
                group.idle += sign * idle
                group.clients += sign * clients
                group.in_demand += sign * (pool.size > 0 or pool.waiting > 0)
                if group.kept is pool:
                    group.kept = None
                self.release(group)

    def release(self, group):
        """If there is room in `group`, those that stand in its line may get the next connection."""
        if group.first is not None and group.has_room(None):
            self.take_over(group)

    def _obstacle(self, pool, owner):
        """The group of `pool` in which there is no room for it, even if a connection of `owner`,
        if that is not None, is closed; or None."""
        group = pool.user_group
        if group is not None and (owner is None or owner.user_group is not group):
            if not group.has_room(pool):
                return group
        group = pool.database_group
        if group is not None and (owner is None or owner.database_group is not group):
            if not group.has_room(pool):
                return group
        return None

    # ---- who is to get a connection ----

    def neediest(self, owner, now):
        """The micro-pool, other than `owner`, whose first client has waited longest, of those that
        may open connections and in which more clients wait than are being opened; or None."""
        return None if self.on_hold else self._first_able(self, owner, now)

    def _first_able(self, line, owner, now):
        """As `neediest`, of those in `line`. Whom a group hinders goes to the line of that."""
        pool = line.first
        while pool is not None:
            behind = pool.behind
            if pool is not owner and may_open(pool, now):
                group = self._obstacle(pool, owner)
                if group is None:
                    return pool
                line.take_out(pool)
                group.put(pool)
                if group.kept is pool:
                    group.kept = None  # the limit was lowered: there is nothing to keep
            pool = behind
        return None

    def claimant(self, owner, now):
        """Returns the micro-pool that should get the room of a connection which `owner` gives back;
        None if `owner` keeps it.

        The longer wait wins, as long as its micro-pool has less than an equal share: beyond that,
        moving a connection (closing one, opening another) would cost more than it brings. The share
        is one of the group's connections if it is the group that has no more.
        """
        return self._claimant(owner, now, True)

    def _claimant(self, owner, now, is_full):
        """As `claimant`. `is_full`: there is no room for those in no line of a group, either."""
        other = self._first_able(self, owner, now) if is_full else None
        limit = self.limit
        sharing = self.in_demand
        if owner.user_group is not None or owner.database_group is not None:
            for group in (owner.user_group, owner.database_group):
                if group is None or group.first is None:
                    continue
                found = self._first_able(group, owner, now)
                if found is not None and (other is None or found.waits_since < other.waits_since):
                    other = found
                    limit = group.limit
                    sharing = group.in_demand
        if other is None or owner.waiting == 0:
            return other
        if other.waits_since >= owner.waits_since:
            return None
        share = limit // sharing
        return other if other.size < max(1, share) else None

    def takes(self, owner, now):
        """Whether a connection that `owner` gives back is to be closed, because there are too many
        or another micro-pool needs the room."""
        if self.is_over_for(owner):
            return True
        if self.on_hold:
            return False
        # Idle ones are closed first; and while many are being opened, one more has to wait.
        is_full = self.limit != _UNKNOWN and self.size >= self.limit and self.idle == 0
        if owner.user_group is None and owner.database_group is None:
            if not is_full or self.first is None or self.opening >= OPENING_LIMIT:
                return False
            return self.claimant(owner, now) is not None
        if self.opening >= OPENING_LIMIT:
            return False
        return self._keeps(owner, now) or self._claimant(owner, now, is_full) is not None

    def _keeps(self, owner, now):
        """Whether room for a connection that `owner` gives back is kept for another of its user's
        micro-pools, whose database has none at this moment.

        It would hardly ever find room in both groups at once while their connections go from one
        waiting client to the next. Only users' groups keep room for who waits for that of
        databases, so that none wait for each other in a circle.
        """
        group = owner.user_group
        if group is None or group.kept is not None or owner.waiting == 0:
            return False
        pool = group.first
        while pool is not None and not may_open(pool, now):
            pool = pool.behind
        if pool is None or pool is owner or pool.waits_since >= owner.waits_since:
            return False
        other = self._obstacle(pool, owner)
        share = group.limit // group.in_demand
        if other is None or pool.size >= max(1, share):
            return False
        group.kept = pool
        group.take_out(pool)
        other.put(pool)
        return True


def may_open(pool, now):
    """Whether more clients wait in `pool` than are being opened, and connections may be opened."""
    return pool.waiting > pool.opening and pool.retry_at <= now and not pool.held_back
