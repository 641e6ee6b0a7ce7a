"""An established client: walks what it sends, borrows a connection for each transaction, and knows
when it is pinned.

Messages are looked at by their type and length; only the texts of Query and Parse are read, to
learn whether they change session state. Whole spans go to the database in one write.

What is rare or slow is asked of ``sessions`` (Python):
    examine(client, text)          why a statement that the glance is not sure of pins, or None
    pinned(client, reason, text)   the client is pinned now
    parameters_known(client)       a connection with its settings was lent: the login can be answered
    settings_refused(client, body) its settings could not be put in place (ErrorResponse body)
    violated(client, what)         the bytes of a FATAL error for a protocol violation
    server_lost(client, reason)    the bytes of a FATAL error for a lost database connection
    closed(client, reason)         the client is gone
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memchr

from .frames cimport HEADER_BYTES, LARGE_MESSAGE_LIMIT, SMALL_MESSAGE_LIMIT, length_word
from .glance cimport GlanceState, glance, glance_begin, glance_feed, glance_finish
from .ledger cimport BIND, CLOSE, COPY_END, DESCRIBE, EXECUTE, FORWARD, FUNCTION, PARSE, QUERY, SYNC
from .micropool cimport MicroPool
from .peer cimport GATHER_BYTES
from .poller cimport Poller
from .server cimport Borrower, Place, Server

cdef enum:
    LEDGER_LIMIT = 16384  # replies owed to one client before it is not read any more

cdef bytes READY_IDLE = b"Z\x00\x00\x00\x05I"
cdef bytes TERMINATE = b"X\x00\x00\x00\x04"


cdef class Client(Borrower):
    """One client, logged in."""

    def __init__(
        self, Poller poller, int fd, MicroPool pool not None, sessions, int process_id, *,
        settings, parameters=None, tls=None, incoming=None, outgoing=None,
    ):
        Borrower.__init__(self, poller, fd, tls, incoming, outgoing)
        self.pool = pool
        self.sessions = sessions
        self.process_id = process_id
        self.settings = settings
        self.parameters = parameters
        self.connected_at = self.last_active = poller.now

    def __dealloc__(self):
        PyMem_Free(self.looking)

    @property
    def is_waiting(self) -> bool:
        """It stands in the queue for a connection."""
        return self.place is not None

    @property
    def is_busy(self) -> bool:
        """It waits for something: a connection, or the replies to what it sent."""
        return self.place is not None or (self.server is not None and self.server.ledger.count > 0)

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
        self.consume_held()
        self.resume_reading()

    cpdef say(self, bytes message):
        """Send `message` to the client, in order behind all that was sent before."""
        self.write(message, len(message))

    # ---- what the client sends ----

    cdef Py_ssize_t consume(self, const unsigned char *data, Py_ssize_t count) except -1:
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t start = 0  # from here to `at`: to be forwarded
        cdef Py_ssize_t total, step
        cdef int kind
        cdef bint whole
        if not self.greeted or self.place is not None or self.held_back:
            return 0
        self.last_active = self.poller.now
        while self.fd >= 0 and not self.finishing:
            if self.body_left:
                step = min(<Py_ssize_t> self.body_left, count - at)
                if self.looking != NULL:
                    self._look_on(data + at, step)
                self.body_left -= step
                at += step
                if not self.body_forward:
                    start = at
                elif self.body_left == 0 and self.server is not None and self._between_transactions():
                    # Its replies were complete before the message was: COPY data behind an error.
                    self.server.write(data + start, at - start)
                    start = at
                    self.server.take_back()
            if count - at < HEADER_BYTES:
                break
            kind = data[at]
            total = <Py_ssize_t> length_word(data + at) + 1
            whole = count - at >= total
            if not self._is_plausible(kind, total):
                if self.server is not None:
                    self.server.write(data + start, at - start)
                self.fail(self.sessions.violated(self, kind), "it broke the protocol")
                return count
            if kind == c"X":
                if self.server is not None:
                    self.server.write(data + start, at - start)
                self._terminate()
                return count
            if not whole and (kind == c"Q" or kind == c"P") and total <= GATHER_BYTES:
                break
            if self.server is None or self.skipping:
                self.body_forward = False
                if self._without_server(kind, whole, total):
                    # Dropped: nothing of it goes to a database.
                    step = min(total, count - at)
                    self.body_left = total - step
                    start = at = at + step
                    continue
                if self.server is None or self.held_back:
                    break
            self.body_forward = True
            step = min(total, count - at)
            if kind == c"Q" or kind == c"P":
                self._examine(kind, data + at + HEADER_BYTES, step - HEADER_BYTES, whole)
            self._note_sent(kind, data + at + HEADER_BYTES, step - HEADER_BYTES)
            self.body_left = total - step
            at += step
        if self.fd < 0 or self.finishing:
            return count
        if at > start and self.server is not None:
            self.server.write(data + start, at - start)
            if self.server.is_blocked() or self.server.ledger.count > LEDGER_LIMIT:
                self.pause_reading()
        if self.is_blocked():
            self.pause_reading()
        return at

    cdef bint _is_plausible(self, int kind, Py_ssize_t total) noexcept:
        """Whether PostgreSQL would read on: a known type, and a length that fits it
        (tcop/postgres.c, SocketBackend)."""
        if total < HEADER_BYTES:
            return False
        if kind == c"Q" or kind == c"P" or kind == c"B" or kind == c"d" or kind == c"F":
            return total <= LARGE_MESSAGE_LIMIT
        if kind == c"E" or kind == c"D" or kind == c"C" or kind == c"f" or kind == c"c":
            return total <= SMALL_MESSAGE_LIMIT
        if kind == c"S" or kind == c"H" or kind == c"X":
            return total <= SMALL_MESSAGE_LIMIT
        return False

    cdef bint _without_server(self, int kind, bint whole, Py_ssize_t total) except -1:
        """Treat a message while no connection is held: True if it is done with and dropped.

        False: it goes to the connection that was borrowed for it, or waits for one.
        """
        if kind == c"S":
            self.skipping = False
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
        self._borrow()
        return False

    cdef bint _borrow(self) except -1:
        """Borrow a connection, or queue for one: whether a message may be sent now."""
        cdef Server server = self.pool.borrow(self.settings)
        if server is None:
            self.place = Place(self)
            self.pool.wait(self.place, self.poller.now)
            return False
        server.lend(self)
        return not self.held_back

    cdef int _examine(
        self, int kind, const unsigned char *body, Py_ssize_t there, bint whole
    ) except -1:
        """Pin the client if the statement that starts at `body` may change session state."""
        cdef const unsigned char *text = body
        cdef const unsigned char *end
        cdef object reason
        if self.pinned:
            return 0
        if kind == c"P":
            text = <const unsigned char *> memchr(body, 0, there)
            if text == NULL:
                return 0  # malformed: the database says so
            text += 1
            if body[0]:
                return self.pin("PREPARED_STATEMENT", body[:text - body - 1])
            self.prepared_unnamed = True
        there -= text - body
        if not whole:
            self.looking = <GlanceState *> PyMem_Malloc(sizeof(GlanceState))
            if self.looking == NULL:
                raise MemoryError
            glance_begin(self.looking)
            return self._look_on(text, there)
        end = <const unsigned char *> memchr(text, 0, there)
        if end == NULL or glance(text, end - text):
            return 0
        reason = self.sessions.examine(self, text[:end - text])
        if reason is not None:
            self.pin(reason, text[:end - text])
        return 0

    cdef int _look_on(self, const unsigned char *text, Py_ssize_t count) except -1:
        """The next part of a statement too long to be held back: it has only the glance to pass."""
        cdef const unsigned char *end = <const unsigned char *> memchr(text, 0, count)
        cdef bint harmless
        if end == NULL:
            if glance_feed(self.looking, text, count):
                return 0
            harmless = False
        else:
            harmless = glance_feed(self.looking, text, end - text) and glance_finish(self.looking)
        PyMem_Free(self.looking)
        self.looking = NULL
        if not harmless:
            self.pin("STATEMENT_TOO_LONG", None)
        return 0

    cdef int _note_sent(self, int kind, const unsigned char *body, Py_ssize_t there) except -1:
        """Tell the ledger which reply the message will have."""
        if kind == c"Q":
            self.server.ledger.push(QUERY, FORWARD)
            self.prepared_unnamed = False
            return 0
        if kind == c"S":
            self.unsynced = False
            return self.server.ledger.push(SYNC, FORWARD)
        if kind == c"d":
            return 0
        if kind == c"c" or kind == c"f":
            return self.server.ledger.push(COPY_END, FORWARD)
        if kind == c"F":
            if not self.pinned:
                self.pin("FUNCTION_CALL", None)
            return self.server.ledger.push(FUNCTION, FORWARD)
        self.unsynced = True
        if kind == c"P":
            self.server.ledger.push(PARSE, FORWARD)
        elif kind == c"B":
            self.prepared_unnamed = False
            self.server.ledger.push(BIND, FORWARD)
        elif kind == c"D":
            self.server.ledger.push(DESCRIBE, FORWARD)
        elif kind == c"E":
            self.server.ledger.push(EXECUTE, FORWARD)
        elif kind == c"C":
            self.server.ledger.push(CLOSE, FORWARD)
        return 0

    # ---- what the connection tells its borrower ----

    cdef int lent(self, bint confirming) except -1:
        self.place = None
        self.held_back = confirming
        return 0

    cdef int go_on(self) except -1:
        if self.held_back:
            return 0
        if not self.greeted:
            self.parameters = self.server.parameters
            self.server.take_back()
            self.sessions.parameters_known(self)
            return 0
        self.consume_held()
        self.resume_reading()
        return 0

    cdef int confirmed(self, object error) except -1:
        self.held_back = False
        if error is None:
            return self.go_on()
        self.server.take_back()
        self.sessions.settings_refused(self, error)
        return 0

    cdef int turn_ended(self) except -1:
        self.last_active = self.poller.now
        if self.fd < 0:
            return 0
        if self.terminating:
            return self._terminate()
        if self.farewell is not None and (self.server is None or self._between_transactions()):
            self.fail(self.farewell, "Forebay is shutting down or the client has reached its limit")
        elif self.paused and self.server is not None and not self.server.is_blocked():
            self.resume_reading()  # it had sent far more than was answered
        return 0

    cdef bint _between_transactions(self) except -1:
        """Everything it asked was answered and no transaction is open."""
        return (
            self.server.ledger.count == 0 and self.server.status == c"I"
            and not self.unsynced and not self.pinned
        )

    cdef int pin(self, str reason, object statement) except -1:
        self.pinned = True
        self.sessions.pinned(self, reason, statement)
        return 0

    cdef int server_lost(self, object error) except -1:
        cdef bint unsent = self.held_back or not self.greeted
        self.held_back = False
        if error is None:
            return self._end("its database connection ended", False)
        if unsent:
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

    cpdef fail(self, bytes error, str reason):
        """Send `error` (a FATAL ErrorResponse) and end the client."""
        if self.fd >= 0 and not self.finishing:
            self.say(error)
            self._end(reason, True)

    cpdef part(self, bytes farewell):
        """Send `farewell` (a FATAL ErrorResponse) and end the client as soon as no transaction of
        it is open."""
        self.farewell = farewell
        if self.place is None and self.greeted and not self.held_back and not self.body_left:
            if self.server is None or (self.server.ledger.count == 0 and self.server.status == c"I"):
                self.fail(farewell, "Forebay is shutting down or the client has reached its limit")

    cdef int _terminate(self) except -1:
        """The client said goodbye. What it sent before still happens."""
        if self.server is not None and self.server.ledger.count:
            self.terminating = True
            self.pause_reading()
            return 0
        return self._end("the client requested that the connection close", False)

    cdef int _end(self, object reason, bint vanished) except -1:
        """Let go of everything; the socket closes when what was said has left."""
        cdef Server server = self.server
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
        if self.place is not None and self.greeted and self._said_goodbye():
            # It asked, said goodbye and left without an answer: what it asked still happens when its turn comes.
            self.terminating = True
            return self.forget()
        self._end(reason, not self.terminating)
        return self.close()

    def _said_goodbye(self) -> bool:
        """Whether what is held ends with Terminate."""
        return self.held_count >= 5 and self.held[self.held_count - 5:self.held_count] == TERMINATE
