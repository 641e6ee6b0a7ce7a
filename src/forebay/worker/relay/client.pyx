"""An established client: walks what it sends, borrows a connection for each transaction, and knows
when it is pinned.

Messages are looked at by their type and length; only the texts of Query and Parse are read, to
learn whether they change session state. Whole spans go to the database in one write.

What is rare or slow is asked of ``sessions`` (Python):
    examine(client, text, named)   a statement that the glance is not sure of is about to run; returns
                                   the name in a DEALLOCATE of a statement of Forebay's, else None
    statement(client, definition)  the Statement that a Parse defines
    pin(client, reason, text)      something that pins, and lies in no text that can be examined
    ask(client)                    its transaction may have changed the session: find out how
    parameters_known(client)       a connection with its settings was lent: the login can be answered
    settings_refused(client, body) its settings could not be put in place (ErrorResponse body)
    violated(client, what)         the bytes of a FATAL error for a protocol violation
    server_lost(client, reason)    the bytes of a FATAL error for a lost database connection
    closed(client, reason)         the client is gone
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.string cimport memchr

from .frames cimport HEADER_BYTES, LARGE_MESSAGE_LIMIT, SMALL_MESSAGE_LIMIT, length_word
from .glance cimport GlanceState, glance, glance_begin, glance_feed, glance_finish
from .ledger cimport (
    BIND, CLOSE, COPY_END, DESCRIBE, EXECUTE, FAKE, FORWARD, FUNCTION, PARSE, QUERY, SYNC, Ledger,
)
from .micropool cimport MicroPool
from .names cimport FunctionNames
from .peer cimport GATHER_BYTES
from .poller cimport Poller
from .server cimport LEDGER_LIMIT, Place, Server
from .statement_user cimport StatementUser, begin_putting, put, send_put, statement_name

cdef enum:
    UNCHANGED = -1
    UNCERTAIN = -3
    STRICT_LIMIT = 16384  # the longest statement that RDS Proxy looks into, in bytes
    KEPT_BYTES = 1024  # of a statement, for the log

cdef bytes READY_IDLE = b"Z\x00\x00\x00\x05I"
cdef bytes TERMINATE = b"X\x00\x00\x00\x04"


cdef class Client(StatementUser):
    """One client, logged in."""

    def __init__(
        self, Poller poller, int fd, MicroPool pool not None, sessions, int process_id, *,
        settings, parameters=None, tls=None, incoming=None, outgoing=None,
    ):
        StatementUser.__init__(self, poller, fd, tls, incoming, outgoing)
        self.pool = pool
        self.sessions = sessions
        self.process_id = process_id
        self.settings = self.startup = settings
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
                if self.looking != NULL:
                    self._look_on(data + at, step)
                self.body_left -= step
                if self.looking != NULL and self.body_left == 0:
                    self._looked(False)  # the text did not end where its message did
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
            if not self._is_plausible(kind, total):
                if self.server is not None:
                    send_put(self.server, data + start, at - start)
                self.fail(self.sessions.violated(self, kind), "it broke the protocol")
                return count
            if kind == c"X":
                if self.server is not None:
                    send_put(self.server, data + start, at - start)
                self._terminate()
                return count
            if not whole and self._is_read(kind) and count - at < min(total, GATHER_BYTES):
                break
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
            step = min(total, count - at)
            done = UNCHANGED
            if self._is_read(kind):
                done = self._translate(kind, data + start, at - start, data + at, total, step)
                if done == UNCERTAIN:
                    self.unsettled = True
                    break
            if done == UNCHANGED:
                self._note_sent(kind)
            else:
                start = at + min(done, step)
            self.body_forward = done < total
            self.body_left = total - step
            at += step
        if self.fd < 0 or self.finishing:
            return count
        if self.server is not None:
            send_put(self.server, data + start, at - start)
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

    cdef bint _without_server(
        self, int kind, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -1:
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
        if kind == c"P" and whole and self.define_proven(frame, total, self.sessions.statement):
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

    cdef bint _is_read(self, int kind) noexcept:
        """Whether more than type and length matters: texts and names of statements."""
        return kind == c"Q" or kind == c"P" or kind == c"B" or kind == c"D" or kind == c"C"

    cdef Py_ssize_t _translate(
        self, int kind, const unsigned char *span, Py_ssize_t span_count,
        const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
    ) except -2:
        """Look into a message that is about to be sent behind `span`.

        UNCHANGED, or how many bytes of it are done with: what replaces them, and the span, are put.
        UNCERTAIN: it must wait until an earlier batch is answered.
        """
        cdef Py_ssize_t name, text
        if kind == c"Q":
            if self._examine(frame + HEADER_BYTES, there - HEADER_BYTES, there == total):
                put(self.server, span, span_count)
                return self._answer_deallocate(total)
            self.forget_unnamed()
            return UNCHANGED
        name = statement_name(kind, frame, there)
        if name == 0:
            return UNCHANGED
        if frame[name] and self.changed is not None:
            if self.is_uncertain(<bytes> &frame[name]):
                return UNCERTAIN
        if kind == c"P":
            text = <const unsigned char *> memchr(frame + name, 0, there - name) - frame + 1
            if frame[name]:
                put(self.server, span, span_count)
                self.unsynced = True
                self.define_named(frame, total, there, text, self.sessions.statement)
                return total
            self.prepared_unnamed = there < total
            if there == total:
                self.define_unnamed(frame[text:total])
                self.unnamed_harmless = self._is_certain(frame + text, total - text)
            else:
                # Not kept, so not there to be looked at when it runs.
                self._examine(frame + text, there - text, False)
                self.forget_unnamed()
            return UNCHANGED
        if frame[name]:
            put(self.server, span, span_count)
            self.unsynced = True
            return self.use_named(kind, frame, total, name)
        if kind == c"B" and b"" in self.unnamed and (self.pinned or not self.unnamed_harmless):
            self.executes(self.unnamed[b""][1].partition(b"\0")[0], False)
        if kind == c"C":
            self.close_unnamed()
        elif self.prepared_unnamed:
            self.prepared_unnamed = kind == c"D"
        elif not self.has_unnamed() and not self.server.ledger.failed:
            put(self.server, span, span_count)
            self.unsynced = True
            if not self.prepare_unnamed():
                return total
            self._note_sent(kind)
            return 0
        return UNCHANGED

    cdef bint _examine(self, const unsigned char *text, Py_ssize_t there, bint whole) except -1:
        """Look at a statement that may change session state.

        True: it is a DEALLOCATE of a name that only Forebay knows.
        """
        cdef const unsigned char *end
        if not whole:
            self.looking = <GlanceState *> PyMem_Calloc(1, sizeof(GlanceState))
            if self.looking == NULL:
                raise MemoryError
            glance_begin(self.looking)
            if self.strict:
                self.sessions.pin(self, "STATEMENT_TOO_LONG", text[:min(there, KEPT_BYTES)])
            self._look_on(text, there)
            return False
        if self._is_certain(text, there) and not self.pinned:
            return False
        end = <const unsigned char *> memchr(text, 0, there)
        if end == NULL:
            return False
        self.deallocated = self.sessions.examine(self, text[:end - text])
        return self.deallocated is not None and self.server.status != c"E"

    cdef bint _is_certain(self, const unsigned char *text, Py_ssize_t there) noexcept:
        """Whether a statement certainly changes no session, and pins nowhere."""
        cdef const unsigned char *end = <const unsigned char *> memchr(text, 0, there)
        if end == NULL:
            return True  # malformed, as the database will say
        if not glance(text, end - text) or (self.strict and end - text > STRICT_LIMIT):
            return False
        return self.functions is None or not self.functions.are_in(text, end - text)

    cdef int executes(self, bytes text, bint named) except -1:
        self.sessions.examine(self, text, named)
        return 0

    cdef Py_ssize_t _answer_deallocate(self, Py_ssize_t total) except -1:
        """The database does not know the name: Forebay answers, in the answer's place."""
        cdef object statement = self.statements[self.deallocated]
        if self.server.owe(QUERY, FAKE, ((self.statements, self.deallocated, statement),)):
            del self.statements[self.deallocated]
        self.server.answer_fakes()
        return total

    cdef int _look_on(self, const unsigned char *text, Py_ssize_t count) except -1:
        """The next part of a statement too long to be held back: it has only the glance to pass."""
        cdef const unsigned char *end = <const unsigned char *> memchr(text, 0, count)
        cdef bint harmless
        if self.functions is not None:
            if self.functions.go_on(
                &self.looking.word, text, count if end == NULL else end - text + 1
            ):
                return self._looked(False)
        if end == NULL:
            if glance_feed(self.looking, text, count):
                return 0
            harmless = False
        else:
            harmless = glance_feed(self.looking, text, end - text) and glance_finish(self.looking)
        return self._looked(harmless)

    cdef int _looked(self, bint harmless) except -1:
        PyMem_Free(self.looking)
        self.looking = NULL
        if not harmless:
            self.sessions.pin(self, "STATEMENT_TOO_LONG", None)
        return 0

    cdef int _note_sent(self, int kind) except -1:
        """Tell the ledger which reply the message will have."""
        cdef Ledger ledger = self.server.ledger
        if self.undo is not None:
            self.unsynced = True
            undo, self.undo = self.undo, None
            if not self.server.owe(PARSE if kind == c"P" else CLOSE, FORWARD, undo):
                ((mapping, name, old),) = undo  # it will be skipped
                if old is None:
                    mapping.pop(name, None)
                else:
                    mapping[name] = old
            return 0
        if kind == c"Q":
            self.server.batch += 1
            ledger.push(QUERY, FORWARD)
        elif kind == c"S":
            self.unsynced = False
            self.server.batch += 1
            ledger.push(SYNC, FORWARD)
        elif kind == c"c" or kind == c"f":
            ledger.push(COPY_END, FORWARD)
        elif kind == c"F":
            self.sessions.pin(self, "FUNCTION_CALL", None)
            ledger.push(FUNCTION, FORWARD)
        elif kind != c"d":
            self.unsynced = True
            if kind == c"P":
                ledger.push(PARSE, FORWARD)
            elif kind == c"B":
                ledger.push(BIND, FORWARD)
            elif kind == c"D":
                ledger.push(DESCRIBE, FORWARD)
            elif kind == c"E":
                ledger.push(EXECUTE, FORWARD)
            elif kind == c"C":
                ledger.push(CLOSE, FORWARD)
        return 0

    # ---- what the connection tells its borrower ----

    cdef int lent(self, bint confirming) except -1:
        self.place = None
        self.held_back = confirming
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
        if self.unsettled:
            return self.settled()
        if self.farewell is not None and self._may_part():
            self.fail(self.farewell, "Forebay is shutting down or the client has reached its limit")
        elif self.paused and self.server is not None and not self.server.is_blocked():
            self.resume_reading()  # it had sent far more than was answered
        return 0

    cdef int statements_dropped(self) except -1:
        if self.statements is not None:
            self.statements.clear()
            self.bound.clear()
            self.statement_bytes = 0
        return 0

    cdef int ask_session(self) except -1:
        self.sessions.ask(self)
        return 0

    cpdef look_for(self, FunctionNames functions):
        """Doubt what names one of these functions, from now on; None: of functions only those that
        the glance knows matter."""
        self.functions = functions
        self.unnamed_harmless = False  # to be looked at again when it runs

    cpdef set_pinned(self, bint pinned):
        """Whether the client keeps its connection between transactions."""
        self.pinned = pinned

    cdef int settled(self) except -1:
        self.unsettled = False
        self.consume_held()
        self.resume_reading()
        return 0

    cdef int server_lost(self, object error) except -1:
        cdef bint unsent = self.held_back or not self.greeted
        self.held_back = False
        if error is None or self.terminating:
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
        self._end_if_gone()
        if self.farewell is not None:
            self.part(self.farewell)

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
        cdef Server server = self.server
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
        held_back = self.place is not None or self.held_back
        if held_back and self.greeted and self._said_goodbye():
            # It asked, said goodbye and left without an answer: what it asked still happens when its turn comes.
            self.terminating = True
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
