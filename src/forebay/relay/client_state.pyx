"""How an established client stands: with its connection, which it borrows for each transaction; with
what it waits for; and with its end.

What is rare or slow is asked of ``sessions`` (Python), beside what statements/use.pyx and `examiner` ask:
    pinner.has_temporary(client)   whether it may have temporary tables
    pinner.nothing_ran(client)     what it has sent last was skipped, and it holds no connection
    applications.of(client)        its Application, by its settings of now
    auditor.ask(client)            its transaction may have changed the session: find out how
    parameters_known(client)       a connection with its settings was lent: the login can be answered
    settings_refused(client, body) its settings could not be put in place (ErrorResponse body). Returns
                                   whether it asks for others by now
    evacuations.over(client)       what it needed databases for is over
    is_interrupted(body)           whether that has nothing to do with the settings
    server_lost(client, reason)    the bytes of a FATAL error for a lost database connection
    closed(client, reason)         the client is gone
"""

from .connection cimport Connection, Place
from .examiner cimport Examiner
from .ledger cimport COPY_END, FUNCTION, QUERY, SYNC
from .lending cimport abandon, lend, take_back
from .micropool cimport MicroPool
from .poller cimport Poller
from .statements.entries cimport Named
from .statements.statement cimport Statement

# A database that has gone may have left many idle connections, each of which is found dead in its turn;
# after so many it is the settings that connections end of.
cdef int LOSSES_LIMIT = 100
# A connection may refuse settings because of what others did on it; another one hardly does as well.
cdef int REFUSALS_LIMIT = 3
cdef bytes READY_IDLE = b"Z\x00\x00\x00\x05I"
cdef bytes TERMINATE = b"X\x00\x00\x00\x04"


cdef class ClientState(Examiner):
    """A client that has logged in."""

    def __init__(
        self, Poller poller, int fd, MicroPool pool not None, sessions, int process_id, *,
        settings, parameters=None, tls=None, incoming=None, outgoing=None,
    ):
        Examiner.__init__(self, poller, fd, tls, incoming, outgoing)
        self.pool = pool
        self.sessions = sessions
        self.process_id = process_id
        self.settings = self.startup = settings
        self.parameters = parameters
        self.connected_at = self.last_active = poller.now

    @property
    def is_waiting(self) -> bool:
        """It stands in the queue for a connection."""
        return self.place is not None

    @property
    def is_busy(self) -> bool:
        """It waits for what is not its own to do: a connection, or the replies to what it sent."""
        cdef Connection server = self.server
        cdef Py_ssize_t owed
        if self.is_blocked():
            return False
        if self.place is not None or self.held_back or self.unsettled or not self.greeted:
            return True
        if server is None or (server.ledger.copy_in and not self.paused):
            return False
        if self.paused:
            return True  # the database does not take what it sends
        if self.last_kind == c"H" and server.ledger.count:
            return True
        owed = server.ledger.requests
        if self.body_left and self.body_forward and (self.last_kind == c"Q" or self.last_kind == c"F"):
            owed -= 1  # half of a request
        return owed > 0

    @property
    def is_stalled(self) -> bool:
        """It has begun something and does not go on: a message, a batch, a COPY, or its result."""
        if self.is_busy:
            return False
        if self.is_blocked() or self.held_count or self.body_left or (self.lease is not None and self.lease.unsynced):
            return True
        return self.server is not None and (self.server.ledger.count > 0 or self.server.ledger.failed)

    @property
    def last_progress(self) -> float:
        """When something last came from it; or, if it is stalled, was taken by it."""
        return max(self.last_active, self.taken_at) if self.is_stalled else self.last_active

    @property
    def statements(self) -> dict | None:
        """What it has prepared with names, by name; None if that is nothing."""
        cdef Named entry
        if self.names is None:
            return None
        return {name: (<Named> entry).statement for name, entry in self.names.table.believed().items()}

    def redefine(self, bytes name, Statement statement) -> None:
        """Its settings give another meaning to what it calls `name`; None: no meaning."""
        self.names.redefine(name, statement)

    def note_dropping(self) -> None:
        """What is about to run ends all prepared statements, if it succeeds."""
        self.lease.drops_all = True

    @property
    def meanwhile(self) -> tuple | None:
        """What may have changed the meaning of names and literals since its transaction began, which its
        settings do not show yet; None: nothing."""
        return None if self.lease is None else self.lease.meanwhile

    @meanwhile.setter
    def meanwhile(self, changes: tuple | None) -> None:
        self.lease.meanwhile = changes

    cpdef start(self, bytes early):
        """Begin to serve the client; `early` came behind its login. Its greeting needs to know the
        parameters."""
        self.watch()
        if early:
            self._hold(early, len(early))
        if self.parameters is not None:
            self.sessions.parameters_known(self)
        elif self._borrow():
            self.go_on()

    cpdef welcome(self, bytes greeting):
        """Send what ends the login, and listen to the client from now on."""
        self.greeted = True
        self.say(greeting)
        if self.farewell is not None:
            self.part(self.farewell)
        self.consume_held()
        self.resume_reading()

    cpdef say(self, bytes message):
        """Send `message` to the client, in order behind all that was sent before."""
        self.write(message, len(message))

    cdef bint _borrow(self) except -1:
        """Borrow a connection, or queue for one: whether a message may be sent now."""
        cdef Connection server = None
        if self.prefers_last:
            server = self.pool.borrow_last(self.process_id, self.leases)
        if server is None:
            server = self.pool.borrow(self.settings)
        if server is None:
            self.place = Place(self)
            self.pool.wait(self.place, self.poller.now)
            return False
        lend(server, self)
        return not self.held_back

    # ---- what the connection tells its borrower ----

    cdef int lent(self, bint confirming) except -1:
        self.place = None
        self.held_back = confirming
        if not confirming:
            self.losses = self.refusals = 0
        if self.settings is not self.judged:
            self.judged = self.settings
            self.application = self.sessions.applications.of(self)
            self.is_under = self.settings.under_pg_temp
        self.under_pg_temp = not self.strict and (
            self.is_under is True
            or (self.is_under is None and self.server is not None and self.server.begins_under_pg_temp)
        )
        self.reads_all = self.under_pg_temp or (self.application.asks and not self.strict)
        return 0

    cdef int go_on(self) except -1:
        if self.held_back or self.fd < 0:
            return 0
        if not self.greeted:
            self.parameters = self.server.parameters
            take_back(self.server)
            self.sessions.parameters_known(self)
            return 0
        self.consume_held()
        self.resume_reading()
        return self._end_if_gone()

    cdef int confirmed(self, object error) except -1:
        cdef Connection server = self.server
        self.held_back = False
        if error is None:
            self.losses = self.refusals = 0
            return self.go_on()
        if self.pinned:
            # What it has set up there cannot be had elsewhere.
            server.shut("its client's settings could not be put in place")
            return 0
        take_back(server)
        self.refusals += 1
        # It may be the connection that will not do any more, because of what others did on it; or
        # what others had set has cut the change-over short.
        if (server.retired or self.sessions.is_interrupted(error)) and self.refusals < REFUSALS_LIMIT:
            return self.go_on() if self._borrow() else 0
        if self.sessions.settings_refused(self, error):
            return self.go_on() if self._borrow() else 0
        self.losses = self.refusals = 0
        return 0

    cdef int turn_refused(self, bytes error, list kinds) except -1:
        cdef int kind
        self._recover()
        if self.terminating:
            return self._end("the client requested that the connection close", False)
        for kind in kinds:
            if kind == SYNC:
                self.skipping = False
                self.say(READY_IDLE)
            elif self.skipping or kind == COPY_END:
                continue
            else:
                self.say(error)
                if kind == QUERY or kind == FUNCTION:
                    self.say(READY_IDLE)
                else:
                    self.skipping = True
        if self.farewell is not None:
            self.part(self.farewell)
        if self.fd < 0 or self.finishing:
            return 0
        self.consume_held()
        self.resume_reading()
        return self._end_if_gone()

    cdef int _recover(self) except -1:
        """Nothing of its transaction has happened, and the connection is gone."""
        self.unsettled = self.body_forward = False
        self.follow_up = None
        if self.names is not None:
            self.names.forget()
        self.suspect = False
        if self.notes is not None:
            self.sessions.pinner.nothing_ran(self)
        if self.evacuation is not None:
            self.sessions.evacuations.over(self)
        return 0

    cdef int turn_ended(self) except -1:
        self.last_active = self.poller.now
        if self.lease is not None and self.server.status == c"I":
            if self.lease.portals is not None:
                self.lease.portals.forget()
            if self.lease.meanwhile is not None and not self.suspect and self.lease.audit is None:
                self.lease.meanwhile = None  # its settings are what its session has
        if self.fd < 0:
            return 0
        if self.terminating:
            return self._terminate()
        if self.unsettled:
            return self.settled()
        if self.evacuation is not None and (self.server is None or self.server.status == c"I"):
            self.sessions.evacuations.over(self)
        if self.farewell is not None and self._may_part():
            self.fail(self.farewell, "Forebay is shutting down or the client has reached its limit")
        elif self.paused and self.server is not None and not self.server.is_blocked():
            self.resume_reading()  # it had sent far more than was answered
        return 0

    cpdef set_pinned(self, bint pinned):
        """Whether the client keeps its connection between transactions."""
        self.pinned = pinned

    cdef int settled(self) except -1:
        if self.lease is not None and self.lease.is_following():
            return 0  # Forebay's part of its turn is not over
        self.unsettled = False
        self.consume_held()
        self.resume_reading()
        return 0

    def evacuated(self) -> None:
        """Others have left the databases that its statement needs for itself, or had their time."""
        if self.unsettled and self.fd >= 0:
            self.settled()
            self._end_if_gone()

    cdef int server_lost(self, object error) except -1:
        cdef bint unsent = self.held_back or not self.greeted
        self.held_back = False
        if error is None or self.terminating:
            return self._end("its database connection ended", False)
        self.losses += 1
        if unsent and self.losses < LOSSES_LIMIT:
            # Nothing of the client's had reached the database: another connection will do.
            if self._borrow():
                self.go_on()
            return 0
        self.fail(self.sessions.server_lost(self, error), error)
        return 0

    # ---- ending ----

    cpdef refuse(self, bytes error):
        """Answer what the waiting client asked with `error` (an ErrorResponse), in its place in the
        order."""
        if self.place is None:
            return
        self.pool.leave(self.place)
        self.place = None
        if self.greeted:
            self.answer(error)
        else:
            self.fail(error, "it could not be served")

    cpdef answer(self, bytes error):
        """Answer what the client holds back for want of a connection with `error`, and go on behind
        it."""
        self.refusal = error
        self.consume_held()
        self.resume_reading()
        self._end_if_gone()
        if self.farewell is not None:
            self.part(self.farewell)

    cpdef fail(self, bytes error, str reason):
        """Send `error` (a FATAL ErrorResponse) and end the client."""
        if self.fd >= 0 and not self.finishing:
            if self.server is None or not self.server.body_left:
                self.say(error)
            self._end(reason, True)

    cpdef part(self, bytes farewell):
        """Send `farewell` (a FATAL ErrorResponse) and end the client as soon as no transaction of
        it is open."""
        self.farewell = farewell
        if self.place is None and self.greeted and not self.held_back and not self.body_left:
            if self._may_part():
                self.fail(farewell, "Forebay is shutting down or the client has reached its limit")

    cdef bint _may_part(self) except -1:
        """No transaction is open, and none of its messages is under way."""
        return self.server is None or (
            self.server.ledger.count == 0 and not self.server.ledger.failed
            and self.server.status == c"I" and not self.lease.unsynced
        )

    cdef int _terminate(self) except -1:
        """The client said goodbye. What it sent before still happens."""
        cdef Connection server = self.server
        if server is None or server.ledger.count == 0 or server.ledger.copy_in:
            return self._end("the client requested that the connection close", False)
        self.terminating = True
        self.pause_reading()
        if self.lease.unsynced:
            # No answer will come without a Sync. The database does what came before, and goes.
            self.lease.unsynced = False
            server.write(TERMINATE, len(TERMINATE))
        return 0

    cdef int _end(self, object reason, bint vanished) except -1:
        """Let go of everything; the socket closes when what was said has left."""
        cdef Connection server = self.server
        if self.finishing or self.fd < 0:
            return 0
        if self.place is not None:
            self.pool.leave(self.place)
            self.place = None
        if server is not None:
            abandon(server, vanished)
        self.finish()
        self.sessions.closed(self, reason)
        return 0

    cpdef drop(self):
        """Close at once, whatever was still to be sent."""
        self.close()

    cdef int drained(self) except -1:
        if self.server is not None:
            self.server.resume_reading()
        if not self.terminating:
            self.resume_reading()
        return 0

    cdef int lost(self, object reason) except -1:
        if self.fd < 0:
            return 0
        if self.finishing:
            return self.close()
        held_back = self.place is not None or self.held_back or self.unsettled
        if held_back and self.greeted and self._said_goodbye():
            # It asked, said goodbye and left without an answer: what it asked still happens when its turn comes.
            self.terminating = not self.unsettled
            return self.forget()
        self._end(reason, not self.terminating)
        return self.close()

    cdef int _end_if_gone(self) except -1:
        """A client that left while it waited, and of whom nothing is left to be done: what looked
        like Terminate was the end of half a message."""
        if self.forgotten and self.place is None:
            if self.server is None or self.held_count or self.body_left:
                self.lost("the connection was closed by the other side")
        return 0

    def _said_goodbye(self) -> bool:
        """Whether what is held ends with Terminate."""
        return self.held_count >= 5 and self.held[self.held_count - 5:self.held_count] == TERMINATE
