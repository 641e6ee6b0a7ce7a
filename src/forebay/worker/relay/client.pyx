"""An established client: walks what it sends, borrows a connection for each transaction, and knows
when it is pinned.

Messages are looked at by their type and length; only the texts of Query and Parse are read, to
learn whether they change session state (see `examiner`). Whole spans go to the database in one write.

What is rare or slow is asked of ``sessions`` (Python), beside what `statement_user` and `examiner` ask:
    pinner.pin(client, reason, text)  something that pins, and lies in no text that can be examined
    pinner.has_temporary(client)   whether it may have temporary tables
    auditor.ask(client)            its transaction may have changed the session: find out how
    parameters_known(client)       a connection with its settings was lent: the login can be answered
    settings_refused(client, body) its settings could not be put in place (ErrorResponse body). Returns
                                   whether it asks for others by now
    is_interrupted(body)             whether that has nothing to do with the settings
    violated(client, what)         the bytes of a FATAL error for a protocol violation
    server_lost(client, reason)    the bytes of a FATAL error for a lost database connection
    closed(client, reason)         the client is gone
"""

from .assembly cimport begin_putting, send_put
from .connection cimport GUARD_SPENT, LEDGER_LIMIT, Connection, Place
from .examiner cimport NOTED, UNCERTAIN, UNCHANGED, Examiner
from .frames cimport HEADER_BYTES, is_plausible, length_word
from .ledger cimport COPY_END, FORWARD, FUNCTION, QUERY, SYNC, awaited
from .micropool cimport MicroPool
from .peer cimport GATHER_BYTES
from .poller cimport Poller
from .statement_user cimport ASKED, NAMED_LIMIT

# A database that has gone may have left many idle connections, each of which is found dead in its turn;
# after so many it is the settings that connections end of.
cdef int LOSSES_LIMIT = 100
# A connection may refuse settings because of what others did on it; another one hardly does as well.
cdef int REFUSALS_LIMIT = 3
cdef bytes READY_IDLE = b"Z\x00\x00\x00\x05I"
cdef bytes TERMINATE = b"X\x00\x00\x00\x04"


cdef class Client(Examiner):
    """One client, logged in."""

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
        if self.is_blocked() or self.held_count or self.body_left or self.unsynced:
            return True
        return self.server is not None and (self.server.ledger.count > 0 or self.server.ledger.failed)

    @property
    def last_progress(self) -> float:
        """When something last came from it; or, if it is stalled, was taken by it."""
        return max(self.last_active, self.taken_at) if self.is_stalled else self.last_active

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

    # ---- what the client sends ----

    cdef Py_ssize_t consume(self, const unsigned char *data, Py_ssize_t count) except -1:
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t start = 0  # from here to `at`: to be forwarded
        cdef Py_ssize_t total, step, done
        cdef int kind
        cdef bint whole
        if not self.greeted or self.place is not None or self.held_back or self.unsettled:
            return 0
        self.last_active = self.poller.now
        begin_putting()
        while self.fd >= 0 and not self.finishing:
            if self.body_left:
                step = min(<Py_ssize_t> self.body_left, count - at)
                self.body_left -= step
                if self.looking != NULL:
                    self.look_on(data + at, step, self.body_left == 0)
                at += step
                if not self.body_forward:
                    start = at
                elif self.body_left == 0 and self.server is not None and self._may_part():
                    # Its replies were complete before the message was: COPY data behind an error.
                    send_put(self.server, data + start, at - start)
                    start = at
                    self.server.release_if_free()
            if count - at < HEADER_BYTES:
                break
            kind = data[at]
            total = <Py_ssize_t> length_word(data + at) + 1
            whole = count - at >= total
            if not is_plausible(kind, total):
                if self.server is not None:
                    send_put(self.server, data + start, at - start)
                self.fail(self.sessions.violated(self, kind), "it broke the protocol")
                return count
            if kind == c"X":
                if self.server is not None:
                    send_put(self.server, data + start, at - start)
                self._terminate()
                return count
            if not whole and self.is_read(kind):
                if count - at < self._awaited(kind, data + at, total, count - at):
                    break
            self.hold_limit = GATHER_BYTES
            if self.server is None or self.skipping:
                self.body_forward = False
                if self._without_server(kind, data + at, total, whole):
                    # Dropped: nothing of it goes to a database.
                    step = min(total, count - at)
                    self.body_left = total - step
                    start = at = at + step
                    continue
                if self.server is None or self.held_back:
                    break
            if self.server.guarded == GUARD_SPENT:
                self.unsettled = True
                break
            if self.server.plans_stale and self.server.status != c"E" and kind != c"S":
                send_put(self.server, data + start, at - start)
                begin_putting()
                start = at
                self.server.discard_plans(self.unsynced)
            step = min(total, count - at)
            self.last_kind = kind
            done = UNCHANGED
            if self.is_read(kind):
                done = self.translate(kind, data + start, at - start, data + at, total, step)
                if done == UNCERTAIN or done == ASKED:
                    self.unsettled = True
                    start = at if done == ASKED else start
                    break
            if done == UNCHANGED:
                self._note_sent(kind)
            elif done != NOTED:
                start = at + min(done, step)
            self.body_forward = done < total
            self.body_left = total - step
            at += step
            if self.follow_up is not None and (kind == c"Q" or kind == c"S"):
                if self.server.follow(self.follow_up):
                    self.unsettled = True
                    self.follow_up = None
                    break
                self.follow_up = None
        if self.fd < 0 or self.finishing:
            return count
        if self.server is not None:
            send_put(self.server, data + start, at - start)
            if self.server.is_blocked() or self.server.ledger.count > LEDGER_LIMIT:
                self.pause_reading()
        if self.is_blocked():
            self.pause_reading()
        return at

    cdef Py_ssize_t _awaited(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there
    ) noexcept:
        """How many bytes of a message that is read must be there before it is looked at. A long Parse
        with a name is kept, so it must be whole."""
        if total <= GATHER_BYTES or there < GATHER_BYTES:
            return min(total, GATHER_BYTES)
        if kind != c"P" or not frame[HEADER_BYTES] or total > NAMED_LIMIT or self.skipping:
            return GATHER_BYTES
        self.hold_limit = total
        return total

    cdef bint _without_server(
        self, int kind, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -1:
        """Treat a message while no connection is held: True if it is done with and dropped.

        False: it goes to the connection that was borrowed for it, or waits for one.
        """
        if kind == c"S":
            self.skipping = False
            self.unasked = None
            if whole:
                self.say(READY_IDLE)
            return True
        if self.skipping:
            return True
        if kind == c"d" or kind == c"c" or kind == c"f" or kind == c"H":
            return True  # PostgreSQL ignores them, too, outside COPY
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            self.say(refusal)
            if kind == c"Q" or kind == c"F":
                self.say(READY_IDLE)
            else:
                self.skipping = True
            return True
        if kind == c"P" and whole and self.define_proven(frame, total):
            return True
        self.in_parts = not whole
        self._borrow()
        return False

    cdef bint _borrow(self) except -1:
        """Borrow a connection, or queue for one: whether a message may be sent now."""
        cdef Connection server = self.pool.borrow(self.settings)
        if server is None:
            self.place = Place(self)
            self.pool.wait(self.place, self.poller.now)
            return False
        server.lend(self)
        return not self.held_back

    cdef int _note_sent(self, int kind) except -1:
        """Tell the ledger which reply the message will have."""
        cdef int reply = awaited(kind)
        if kind == c"Q" or kind == c"S":
            self.server.prepared.batch += 1
            self.unasked = None
        if kind == c"S":
            self.unsynced = False
            if self.server.guarded:
                self.server.guarded = GUARD_SPENT
        elif kind == c"F":
            self.sessions.pinner.pin(self, "FUNCTION_CALL", None)
        elif kind != c"Q" and kind != c"d" and kind != c"c" and kind != c"f":
            self.unsynced = True
        if reply:
            self.server.ledger.push(reply, FORWARD)
        return 0

    # ---- what the connection tells its borrower ----

    cdef int lent(self, bint confirming) except -1:
        self.place = None
        self.held_back = confirming
        if not confirming:
            self.losses = self.refusals = 0
        if self.settings is not self.judged:
            self.judged = self.settings
            self.is_under = self.settings.under_pg_temp
        self.under_pg_temp = not self.strict and (
            self.is_under is True
            or (self.is_under is None and self.server is not None and self.server.begins_under_pg_temp)
        )
        return 0

    cdef int go_on(self) except -1:
        if self.held_back or self.fd < 0:
            return 0
        if not self.greeted:
            self.parameters = self.server.parameters
            self.server.take_back()
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
        server.take_back()
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
        self.unsynced = self.unsettled = self.prepared_unnamed = self.body_forward = False
        self.portals = self.bound_portals = self.meanwhile = self.portal_told = None
        self.portals_owed = 0
        self.changed = self.follow_up = self.asked = None
        self.dropping = 0
        if self.notes is not None:
            self.notes.restored = {}
        return 0

    cdef int turn_ended(self) except -1:
        self.last_active = self.poller.now
        self.dropping = 0
        if self.portals is not None and (self.server is None or self.server.status == c"I"):
            self.portals = None
        if self.bound_portals is not None and (self.server is None or self.server.status == c"I"):
            self.bound_portals = None
        if self.meanwhile is not None and self._is_known():
            self.meanwhile = None
        if self.fd < 0:
            return 0
        if self.terminating:
            return self._terminate()
        if self.unsettled:
            return self.settled()
        if self.farewell is not None and self._may_part():
            self.fail(self.farewell, "Forebay is shutting down or the client has reached its limit")
        elif self.paused and self.server is not None and not self.server.is_blocked():
            self.resume_reading()  # it had sent far more than was answered
        return 0

    cdef bint _is_known(self) except -1:
        """Whether its settings are what its session has, now that its transaction is over."""
        if self.server is None:
            return True
        return self.server.status == c"I" and not self.suspect and self.server.audit is None

    cdef bint has_temporary(self) except -1:
        return self.sessions.pinner.has_temporary(self)

    cdef int did_not_reset(self) except -1:
        self.notes.restored = {}
        return 0

    cdef int ask_session(self) except -1:
        self.sessions.auditor.ask(self)
        return 0

    cpdef set_pinned(self, bint pinned):
        """Whether the client keeps its connection between transactions."""
        self.pinned = pinned

    cdef int settled(self) except -1:
        if self.server is not None and self.server.is_following():
            return 0  # Forebay's part of its turn is not over
        self.unsettled = False
        self.consume_held()
        self.resume_reading()
        return 0

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
            if self.server is None or not self.server.is_within():
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
            and self.server.status == c"I" and not self.unsynced
        )

    cdef int _terminate(self) except -1:
        """The client said goodbye. What it sent before still happens."""
        cdef Connection server = self.server
        if server is None or server.ledger.count == 0 or server.ledger.copy_in:
            return self._end("the client requested that the connection close", False)
        self.terminating = True
        self.pause_reading()
        if self.unsynced:
            # No answer will come without a Sync. The database does what came before, and goes.
            self.unsynced = False
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
            server.abandon(vanished)
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
