"""A database connection between its clients: who has it, and what is done before the next one gets it.

               ┌──────────────── lent ◀───────────────┐
               │ its client is gone                   │
 settle ◀──────┘                                      │
   └─▶ ROLLBACK if needed ─▶ DISCARD ALL if dirty ─▶ RESET idle_session_timeout if it is set
       ─▶ go_free ─▶ the first in the queue, or the pool

What happens while it is lent stands in `lent`, what the database sends in `server`.

The micro-pool's ``changeover`` and ``manager`` (Python) are called by all three:
    changeover.replay(server, client)              the messages that change it over to the client's settings,
                                                   and whether their success must be seen first
    changeover.replay_failed(server, body, confirming)  they were refused (ErrorResponse body)
    changeover.announce(client, parameters)        tell a client what is reported otherwise by now
    changeover.parameter_changed(parameters, body) the parameters after a ParameterStatus with this body
    changeover.reset(server)                       DISCARD ALL and init_query; then ``was_reset``
    changeover.rest(server)                        take off what may not stay while nobody uses it
    manager.abandoned(server, vanished)            its client is gone, replies are still owed
    manager.copy_failed(server)                    ... among them that to a COPY that was ended for it
    manager.schema_changed(pool)                   prepared statements may return something else
    manager.ended(server, body)                    its last word (ErrorResponse body): shut it
    manager.server_lost(server, reason)            it is closed
"""

from collections import deque

from forebay.relay.command import Command

from .frames cimport message
from .ledger cimport COPY_END, EXECUTE, QUERY, SWALLOW, SYNC, Ledger
from .micropool cimport MicroPool, Waiter
from .peer cimport Peer
from .poller cimport Poller
from .statements.names cimport Names
from .statements.portals cimport Portals
from .statements.prepared cimport Prepared, message as bare, note_unnamed
from .belief cimport Message

cdef bytes TERMINATE = b"X\x00\x00\x00\x04"
cdef bytes SYNC_MESSAGE = b"S\x00\x00\x00\x04"
cdef bytes COPY_FAIL = b"f\x00\x00\x00\x18client disconnected\x00"


cdef class Place(Waiter):
    """A borrower's place in a queue."""

    def __init__(self, Borrower borrower):
        Waiter.__init__(self)
        self.borrower = borrower


cdef class Borrower(Peer):
    """What a database connection knows of the client that borrowed it."""

    cdef Names own_names(self):
        """What the client has prepared, from now on."""
        if self.names is None:
            self.names = Names()
        return self.names

    cdef Portals own_portals(self):
        if self.portals is None:
            self.portals = Portals()
        return self.portals

    cpdef object parameters_now(self):
        """What the database reports by the time it reads what the client sends now, as far as is known."""
        if self.server is None or self.server.replaying:
            return self.parameters
        return self.server.parameters  # a function, say, may have changed how strings are read

    cdef int lent(self, bint confirming) except -1:
        """A connection was lent. `confirming`: nothing may be sent before ``confirmed``."""
        raise NotImplementedError

    cdef int go_on(self) except -1:
        """Nothing stands in the way any more of what is held back."""
        raise NotImplementedError

    cdef int confirmed(self, object error) except -1:
        """The settings are in place, or `error` (the body of an ErrorResponse) says why not."""
        raise NotImplementedError

    cdef int turn_ended(self) except -1:
        """All replies have come; the connection may have been taken back."""
        raise NotImplementedError

    cdef bytes renamed(self, bytes error, bytes name):
        """An ErrorResponse with the client's names for prepared statements instead of Forebay's:
        with `name`, if that is what the message that failed has named."""
        raise NotImplementedError

    cdef int settled(self) except -1:
        """A batch was answered: what it changed is known now."""
        raise NotImplementedError

    cdef int server_lost(self, object error) except -1:
        """The connection is gone. `error`: what the database said last has been passed on if None."""
        raise NotImplementedError

    cdef int turn_refused(self, bytes error, list kinds) except -1:
        """Its connection could not be changed over to its settings, and is gone; the database has
        skipped what was sent with the change-over: messages of these kinds (see `ledger`) are
        answered with `error`, and the client goes on."""
        raise NotImplementedError

    cdef int undone(self) except -1:
        """Part of its transaction was rolled back, the next has begun with its end, or something has
        changed what its statements mean that no text has shown."""
        raise NotImplementedError

    cdef int did_not_reset(self) except -1:
        """What it sent to take settings back has failed."""
        raise NotImplementedError

    cdef bint has_temporary(self) except -1:
        """Whether the tables that it creates and drops may be temporary."""
        raise NotImplementedError

    cdef int ask_session(self) except -1:
        """Ask the connection what the client's session holds (`Connection.ask`)."""
        raise NotImplementedError


cdef class Connection(Peer):
    """One connection to the database, logged in, as the pool knows it."""

    def __init__(
        self, Poller poller, int fd, MicroPool pool not None, int pid, bytes cancel_key, *,
        settings, parameters, tls=None, incoming=None, outgoing=None, bytes early=b"",
    ):
        Peer.__init__(self, poller, fd, tls, incoming, outgoing)
        if early:
            self._hold(early, len(early))  # it came behind all that was asked before
        self.pool = pool
        self.pid = pid
        self.cancel_key = cancel_key
        self.settings = settings
        self.parameters = parameters
        self.ledger = Ledger()
        self.status = c"I"
        self.commands = deque()
        self.prepared = Prepared(self.ledger)
        self.opened_at = self.idle_since = poller.now
        self.age_jitter = 1.0
        self.search_path = ""

    @property
    def in_transaction(self) -> bool:
        return self.status != c"I"

    @property
    def is_pinned(self) -> bool:
        return self.client is not None and self.client.pinned

    cpdef start(self):
        """Begin to serve: the pool has counted it as borrowed until now."""
        self.watch()
        self.consume_held()
        if self.fd >= 0:
            self.resume_reading()
            self.go_free()

    # ---- Forebay's own commands ----

    cpdef object run(self, bytes sql, object done):
        """Send a simple Query of Forebay's own; ``done(server, command)`` is called when it is
        answered. Returns the Command."""
        cdef bytes query = message(b"Q", sql + b"\0")
        command = Command(done)
        self.at_rest = False
        self._command(command)
        self.write(query, len(query))
        return command

    cdef int _command(self, object command) except -1:
        """A simple Query of Forebay's own is sent."""
        cdef Message query
        self.commands.append(command)
        if self.prepared.unnamed.now() is None:
            self.ledger.push(QUERY, SWALLOW)
        else:
            query = bare()
            note_unnamed(self.prepared, query, None, None)
            self.prepared.owe(QUERY, SWALLOW, query)
        return 0

    def ask(self, bytes sql, done) -> None:
        """As ``run``, for what decides whether the client's session can leave the connection: if
        the client goes before the answer comes, the connection is cleaned."""
        self.audit = self.run(sql, done)

    def was_reset(self, settings) -> None:
        """Nothing of the last client's session is left; the settings are `settings`."""
        self.dirty = self.plans_mixed = self.plans_stale = False
        self.settings = settings
        self.prepared.forget_all()

    # ---- who has it ----

    cdef int take_back(self) except -1:
        """Part the client and the connection, which owe each other nothing, and go on without it."""
        if self.client is not None:
            self.client.server = None
            self.client = None
        # It may have waited for this client to take its replies: the client has them all by now, in
        # its own queue, and nobody else would let the connection go on.
        self.resume_reading()
        return self.settle()

    cdef int abandon(self, bint vanished) except -1:
        """The client is gone. What it left is ended or waited for before the connection serves
        another.

        `vanished`: without a word (Terminate), so that a running statement serves nobody and is
        cancelled.
        """
        cdef Borrower client = self.client
        cdef bint mid_message = client.body_left > 0 and client.body_forward
        # After an error the database skips everything up to a Sync that has not been sent.
        cdef bint unsynced = client.unsynced or self.ledger.failed
        self.dirty = self.dirty or client.pinned or client.suspect or self.audit is not None
        self.audit = None
        self.follow_up = None
        client.server = None
        self.client = None
        if self.fd < 0:
            return 0
        if mid_message or (unsynced and not self.ledger.copy_in):
            # Half a message cannot be taken back, and a Sync would commit what the client had not ended.
            self.shut("its client was closed in the middle of a request")
            return 0
        # Replies from here on are counted off and dropped, at full speed.
        self.resume_reading()
        if self.ledger.copy_in:
            self._fail_copy(unsynced)
            self.pool.manager.copy_failed(self)
        if self.ledger.count == 0:
            return self.settle()
        self.pool.manager.abandoned(self, vanished)
        return 0

    cdef int _sync(self) except -1:
        self.commands.append(Command())
        self.ledger.push(SYNC, SWALLOW)
        return self.write(SYNC_MESSAGE, len(SYNC_MESSAGE))

    cdef int _fail_copy(self, bint unsynced) except -1:
        """End a COPY whose client is gone. In the extended protocol a Sync must follow (the earlier
        was ignored)."""
        cdef bint extended = self.ledger.head_kind() == EXECUTE
        self.ledger.push(COPY_END, SWALLOW)
        self.write(COPY_FAIL, len(COPY_FAIL))
        if extended or unsynced:
            self._sync()
        return 0

    cdef int settle(self) except -1:
        """Nothing is owed and no client is there: clean up step by step, then go free."""
        if self.fd < 0:
            return 0
        if self.status != c"I":
            if self.rolled_back:
                self.shut("the database did not leave the transaction")
            else:
                self.rolled_back = True
                self.run(b"ROLLBACK", None)
        elif self.ledger.doubtful:
            self.shut("a COPY failed, and how many answers are to come is not known")
        elif self.dirty:
            self.pool.changeover.reset(self)
        elif self.settings is not self.rested and self.settings.at_rest is not None:
            self.pool.changeover.rest(self)
        else:
            self.rested = self.settings
            self.go_free()
        return 0

    cpdef go_free(self):
        """Hand this clean connection to the next waiter, or leave it with the pool."""
        cdef Place place
        self.at_rest = True
        if self.cancels_in_flight:
            self.parked = True
        if self.parked or self.handing_on:
            return
        # Who only wanted to know its parameters is done with it at once: thousands of such waiters
        # in a row must not nest.
        self.handing_on = True
        try:
            while self.at_rest and not self.parked:
                if self.lent_at >= self.idle_since:
                    self.idle_since = self.poller.now  # what Forebay has asked meanwhile is no use
                place = self.pool.give_back(self, self.retired, self.poller.now)
                if place is None:
                    break
                self.lend(place.borrower)
                place.borrower.go_on()
        finally:
            self.handing_on = False

    cpdef cancel_finished(self):
        """A cancel request for this connection has been delivered and cannot hit a later statement."""
        self.cancels_in_flight -= 1
        if self.parked and not self.cancels_in_flight and self.fd >= 0:
            self.parked = False
            self.go_free()

    cdef int lend(self, Borrower client) except -1:
        """Give this free connection to `client`, with the client's settings."""
        raise NotImplementedError

    cdef bint follow(self, object messages) except -1:
        """Send something when the client's turn has succeeded, as if it were part of that."""
        raise NotImplementedError

    cdef bint is_following(self) except -1:
        """Whether the client's turn has a follow-up that has not ended yet."""
        return self.follow_up is not None or self.parameters_told is not None

    cdef int discard_plans(self, bint in_batch) except -1:
        """Let what the client sends next be planned by its settings of now."""
        raise NotImplementedError

    cdef bytes forget_sequences(self, bint in_batch):
        """What lets the session forget all values of sequences."""
        raise NotImplementedError

    cdef bint is_forgetting(self) noexcept:
        """Whether it was told to, and may not have done it yet."""
        return self.forgetting and self.ledger.count > 0

    cdef int answer_fakes(self) except -1:
        """Answer in the database's place what it was not asked, as far as its turn has come."""
        raise NotImplementedError

    cdef bint is_within(self) except -1:
        """Whether its client has only the first part of a message yet."""
        raise NotImplementedError

    cdef int release_if_free(self) except -1:
        """Take the connection back if its client can do without, or ask what stands in the way."""
        raise NotImplementedError

    def look_again(self) -> None:
        """Its client has become suspect while it does nothing."""
        if self.client is not None and self.ledger.count == 0:
            self.release_if_free()

    # ---- the end ----

    cpdef shut(self, str reason):
        """Close at once, with Terminate; a client that has the connection is told `reason`."""
        if self.fd >= 0:
            self.write(TERMINATE, len(TERMINATE))
            self.lost(reason)

    cdef int drained(self) except -1:
        if self.client is not None:
            self.client.resume_reading()
        return 0

    cdef int lost(self, object reason) except -1:
        cdef Borrower client = self.client
        if self.fd < 0:
            return 0
        if self.audit is not None and client is not None:
            # What the client has set up went with the connection: another one will not do.
            client.lent(False)
        self.client = None
        self.close()
        self.prepared.unanswered.forget()
        self.pool.manager.server_lost(self, reason)
        if client is not None:
            client.server = None
            client.server_lost(None if self.fatal_forwarded else reason)
        return 0
