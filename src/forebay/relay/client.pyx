"""An established client: walks what it sends.

Messages are looked at by their type and length; only the texts of Query and Parse are read, to
learn whether they change session state (see `examiner`). Whole spans go to the database in one write.

Asked of ``sessions`` (Python), beside what the classes below ask:
    pinner.pin(client, reason, text)  something that pins, and lies in no text that can be examined
    violated(client, what)         the bytes of a FATAL error for a protocol violation
"""

from .assembly cimport begin_putting, send_put
from .client_state cimport READY_IDLE, ClientState
from .connection cimport LEDGER_LIMIT
from .examiner cimport NOTED, UNCERTAIN, UNCHANGED
from .frames cimport HEADER_BYTES, is_plausible, length_word
from .lease cimport GUARD_SPENT
from .ledger cimport FORWARD, QUERY, awaited
from .peer cimport GATHER_BYTES
from .belief cimport ALL, UNKNOWN, Message, note
from .statements.prepared cimport Prepared, message, note_unnamed
from .replay cimport discard_plans
from .statements.use cimport ASKED, NAMED_LIMIT, define_proven
from .turn cimport follow, release_if_free


cdef class Client(ClientState):
    """One client, logged in."""

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
                    release_if_free(self.server)
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
            if self.lease.guarded == GUARD_SPENT:
                self.unsettled = True
                break
            if self.server.plans_stale and self.server.status != c"E" and kind != c"S":
                send_put(self.server, data + start, at - start)
                begin_putting()
                start = at
                discard_plans(self.server, self.lease.unsynced)
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
                if follow(self.server, self.follow_up):
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
            if self.names is not None:
                self.names.unasked = None
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
        if kind == c"P" and whole and define_proven(self, frame, total):
            return True
        self.in_parts = not whole
        self._borrow()
        return False

    cdef int _note_sent(self, int kind) except -1:
        """Tell the ledger which reply the message will have."""
        cdef int reply = awaited(kind)
        if kind == c"Q" or kind == c"S":
            self._end_batch(reply)
            reply = 0
        if kind == c"S":
            self.lease.unsynced = False
            if self.lease.guarded:
                self.lease.guarded = GUARD_SPENT
        elif kind == c"F":
            self.sessions.pinner.pin(self, "FUNCTION_CALL", None)
        elif kind != c"Q" and kind != c"d" and kind != c"c" and kind != c"f":
            self.lease.unsynced = True
        if reply:
            self.server.ledger.push(reply, FORWARD)
        return 0

    cdef int _end_batch(self, int reply) except -1:
        """A Sync or a simple Query is sent. A Query ends the unnamed statement: the connection's, which
        may be another client's, and this client's."""
        cdef Prepared prepared = self.server.prepared
        cdef Message ending = None
        if reply == QUERY and self._has_unnamed():
            ending = message()
            note_unnamed(prepared, ending, None if self.names is None else self.names.unnamed, None)
        if self.lease.drops_all:
            self.lease.drops_all = False
            ending = message() if ending is None else ending
            note(ending, prepared.statements, ALL, UNKNOWN)
            if self.names is not None:
                note(ending, self.names.table, ALL, UNKNOWN)
        if ending is None:
            self.server.ledger.push(reply, FORWARD)
        else:
            prepared.owe(reply, FORWARD, ending)
        if self.names is not None:
            self.names.unasked = None
        return prepared.end_batch()

    cdef bint _has_unnamed(self) except -1:
        if self.names is not None and self.names.unnamed.now() is not None:
            return True
        return self.server.prepared.unnamed.now() is not None
