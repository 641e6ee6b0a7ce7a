"""A database connection and the client that borrows it, as they know each other.

What is done with them stands in files of their own, each with one subject:
    replay    the connection changes over to its client's settings
    lending   who has the connection, and what is done before the next client gets it
    turn      its client's turns begin and end
    server    what the database sends; client: what the client sends

The micro-pool's ``changeover`` and ``manager`` (Python) are called by all of these: see ports.py.
"""

from libc.math cimport INFINITY

from collections import deque

from forebay.relay.command import Command

from .belief cimport Message, new_message
from .frames cimport message as framed
from .lease cimport Lease
from .losing cimport loss_of
from .ledger cimport QUERY, SWALLOW, Ledger
from .micropool cimport MicroPool, Waiter
from .peer cimport Peer
from .poller cimport Poller
from .statements.names cimport Names
from .statements.portals cimport Portals
from .statements.prepared cimport Prepared, note_unnamed
from .states cimport FREE, HELD, IDLE, LENT, SETTLING, SHUT, UNSETTLED, moved

cdef bytes TERMINATE = b"X\x00\x00\x00\x04"


cdef class Place(Waiter):
    """A borrower's place in a queue."""

    def __init__(self, Borrower borrower):
        Waiter.__init__(self)
        self.borrower = borrower


cdef class Borrower(Peer):
    """A client, as its database connection knows it. It is told what happens there."""

    cdef Names own_names(self):
        """What the client has prepared, from now on."""
        if self.names is None:
            self.names = Names()
        return self.names

    cdef Portals own_portals(self):
        """What its portals are bound of, from now on."""
        if self.portals is None:
            self.portals = Portals.__new__(Portals)
        return self.portals

    cpdef say(self, bytes message):
        """Send `message` to the client, in order behind all that was sent before."""
        self.pool.tally.sent += len(message)
        self.write(message, len(message))

    cpdef object parameters_now(self):
        """What the database reports by the time it reads what the client sends now, as far as is known."""
        if self.server is None or self.lease.replaying:
            return self.parameters
        return self.server.parameters  # a function, say, may have changed how strings are read

    cdef int lent(self, bint confirming) except -1:
        """A connection was lent. `confirming`: nothing may be sent before ``confirmed``."""

    cdef int go_on(self) except -1:
        """Nothing stands in the way any more of what is held back."""

    cdef int confirmed(self, object error) except -1:
        """The settings are in place, or `error` (the body of an ErrorResponse) says why not."""

    cdef int settled(self) except -1:
        """A batch was answered: what it changed is known now."""

    cdef int turn_ended(self) except -1:
        """All replies have come; the connection may have been taken back."""

    cdef int server_lost(self, str reason, object loss) except -1:
        """The connection is gone. `loss`: what the exchange with it came to (see `loss`); None if the client has
        heard already why it ends, or has said goodbye."""

    cdef int turn_refused(self, bytes error, list kinds) except -1:
        """Its connection could not be changed over to its settings, and is gone; the database has
        skipped what was sent with the change-over: messages of these kinds (see `ledger`) are
        answered with `error`, and the client goes on."""


cdef class Connection(Peer):
    """One connection to the database, logged in."""

    def __init__(
        self, Poller poller, int fd, MicroPool pool not None, int pid, bytes cancel_key, *,
        settings, parameters, tls=None, incoming=None, outgoing=None, bytes early=b"",
    ):
        Peer.__init__(self, poller, fd, tls, incoming, outgoing)
        if early:
            self._hold(early, len(early))  # it came behind all that was asked before
        self.state = SETTLING
        self.pool = pool
        self.pid = pid
        self.cancel_key = cancel_key
        self.settings = settings
        self.parameters = parameters
        self.lease = Lease.__new__(Lease)  # nobody's
        self.ledger = Ledger()
        self.status = c"I"
        self.commands = deque()
        self.prepared = Prepared(self.ledger)
        self.opened_at = self.idle_since = poller.now
        self.age_jitter = 1.0
        self.renew_at = INFINITY
        self.search_path = ""

    @property
    def in_transaction(self) -> bool:
        return self.status != c"I"

    @property
    def is_free(self) -> bool:
        return self.state == FREE

    @property
    def is_pinned(self) -> bool:
        return self.client is not None and self.client.pinned

    # ---- whose it is ----

    cdef int begin_lease(self, Borrower client) except -1:
        """The connection is this client's from now on."""
        cdef Lease lease = Lease.__new__(Lease)
        self.state = moved(self.state, LENT)
        lease.begun_at = self.poller.now
        lease.parameters_before = self.parameters
        self.lease = client.lease = lease
        self.client = client
        client.server = self
        return 0

    cdef int part(self) except -1:
        """Connection and client have nothing to do with each other any more. (What waits to be read again
        waits on: see `Borrower.settled`.)"""
        cdef Borrower client = self.client
        if client is not None:
            if client.state != UNSETTLED:
                client.state = moved(client.state, IDLE)
            client.server = client.lease = None
            self.client = None
            self.asked_at = self.transaction_at = 0
            self.state = moved(self.state, SETTLING)
        return 0

    # ---- Forebay's own commands ----

    cpdef object run(self, bytes sql, object done):
        """Send a simple Query of Forebay's own; ``done(server, command)`` is called when it is
        answered. Returns the Command."""
        cdef bytes query = framed(b"Q", sql + b"\0")
        command = Command(done)
        if self.client is None:
            self.state = moved(self.state, SETTLING)
        self.command(command)
        self.write(query, len(query))
        return command

    cdef int command(self, object command) except -1:
        """A simple Query of Forebay's own is sent."""
        cdef Message query
        self.commands.append(command)
        if not self.prepared.unnamed.is_possible():
            self.ledger.push(QUERY, SWALLOW)
        else:
            query = new_message()
            note_unnamed(self.prepared, query, None, None)
            self.prepared.owe(QUERY, SWALLOW, query)
        return 0

    def ask(self, bytes sql, done) -> None:
        """As ``run``, for what decides whether the client's session can leave the connection: if
        the client goes before the answer comes, the connection is cleaned."""
        self.lease.audit = self.run(sql, done)

    def was_reset(self, settings) -> None:
        """Nothing of the last client's session is left; the settings are `settings`."""
        self.dirty = self.plans_mixed = self.plans_stale = False
        self.settings = settings
        self.prepared.forget_all()

    # ---- the end ----

    cpdef shut(self, str reason):
        """Close at once, with Terminate; a client that has the connection is told `reason`."""
        if self.fd >= 0:
            self.ours = True
            self.write(TERMINATE, len(TERMINATE))
            self.lost(reason)

    cpdef cut(self, str reason):
        """Close at once and hard: the server is not to serve any more. What it has not taken yet it does not get,
        nothing more is read from it, and what has not left for its client is not sent; the client is told what
        has become of its request."""
        cdef Borrower client = self.client
        if self.fd < 0:
            return
        self.ours = True
        self.close_hard = True
        if client is not None and client.is_blocked() and client.state != HELD and client.greeted:
            # Half an answer of that server's is on its way.
            self.body_left = max(self.body_left, 1)
            self.lost(reason)
            client.close()
        else:
            self.lost(reason)

    cdef int drained(self) except -1:
        if self.client is not None:
            self.client.resume_reading()
        return 0

    cdef int lost(self, object reason) except -1:
        cdef Borrower client = self.client
        cdef object loss = None
        if self.fd < 0:
            return 0
        if client is not None:
            loss = loss_of(self, client)
        if self.lease.audit is not None and client is not None:
            # What the client has set up went with the connection: another one will not do.
            client.lent(False)
        self.lease.audit = None
        self.part()
        self.state = moved(self.state, SHUT)
        self.close()
        self.prepared.unanswered.forget()
        if not self.ours and self.last_word is None and not self.fatal_forwarded:
            self.pool.manager.noticed(self, "lost")
        self.pool.manager.server_lost(self, reason)
        if client is not None:
            client.server_lost(reason, loss)
        return 0
