"""A database connection: walks what the database sends, keeps the ledger, and knows when it is
free.

lend ──▶ (replay of settings) ──▶ client's messages ⇄ replies ──▶ ReadyForQuery "idle", ledger empty
                                                                          │
             go_free ◀── DISCARD ALL if dirty ◀── ROLLBACK if needed ◀── settle

The bodies of rows are passed on by count. Held back until whole are only ReadyForQuery,
ParameterStatus, and the answers to Forebay's own commands.
"""

from collections import deque

from libc.stdint cimport uint32_t

from .frames cimport HEADER_BYTES, LARGE_MESSAGE_LIMIT, length_word
from .ledger cimport (
    CLOSE, COPY_END, DESCRIBE, DESYNC, EXECUTE, FORWARD, PARSE, QUERY, REPLACE, SWALLOW, SYNC, Ledger,
)
from .micropool cimport MicroPool
from .peer cimport GATHER_BYTES, Peer
from .poller cimport Poller
from .prepared cimport Prepared
from .statement cimport shape

cdef bytes TERMINATE = b"X\x00\x00\x00\x04"
cdef bytes PARSE_COMPLETE = b"1\x00\x00\x00\x04"
cdef bytes CLOSE_COMPLETE = b"3\x00\x00\x00\x04"
cdef bytes DISCARD_ALL = b"DISCARD ALL\0"
cdef bytes DEALLOCATE_ALL = b"DEALLOCATE ALL\0"
cdef bytes DEALLOCATE_ALL_MESSAGE = b"Q\0\0\0\x13" + DEALLOCATE_ALL
# Commands that may change what a prepared statement returns.
cdef tuple ALTERING = (
    b"ALTER TABLE\0", b"ALTER TYPE\0", b"ALTER VIEW\0", b"ALTER MATERIALIZED VIEW\0", b"CREATE VIEW\0",
)
# The routine that finds a prepared statement's result changed (the field is never translated).
cdef bytes RESULT_CHANGED = b"\0RRevalidateCachedQuery\0"
cdef bytes DEALLOCATED = b"C\x00\x00\x00\x0fDEALLOCATE\0"
cdef bytes ABORTED_FIELDS = (
    b"SERROR\0VERROR\0C25P02\0Mcurrent transaction is aborted, commands ignored until end of"
    b" transaction block\0\0"
)
cdef bytes ABORTED = b"E" + (len(ABORTED_FIELDS) + 4).to_bytes(4, "big") + ABORTED_FIELDS
cdef bytes PREFIX = b"_forebay_"  # of the names of prepared statements
cdef bytes SYNC_MESSAGE = b"S\x00\x00\x00\x04"
cdef bytes COPY_FAIL = b"f\x00\x00\x00\x18client disconnected\x00"
cdef bytes HOW_TEXT_IS_READ = b"standard_conforming_strings\0"
cdef int COMMAND_ROWS_LIMIT = 2000  # an audit yields all that a session has set


class Command:
    """One simple Query of Forebay's own, and what came back.

    At its ReadyForQuery ``done(server, command)`` is called, unless it is None. ``rows`` holds the
    bodies of DataRow messages, ``error`` the body of the last ErrorResponse, or None.

    `is_replay`: it puts the client's settings in place. `ends_turn`: see ``Server.follow``.
    """

    __slots__ = ("done", "ends_turn", "error", "is_replay", "rows")

    def __init__(self, done=None, is_replay=False, ends_turn=False):
        self.done = done
        self.is_replay = is_replay
        self.ends_turn = ends_turn
        self.error = None
        self.rows = []


cdef class Place(Waiter):
    """A borrower's place in a queue."""

    def __init__(self, Borrower borrower):
        Waiter.__init__(self)
        self.borrower = borrower


cdef class Borrower(Peer):
    """What a database connection knows of the client that borrowed it."""

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

    cdef int forget_unnamed(self) except -1:
        """The client has no unnamed statement any more."""
        raise NotImplementedError

    cdef bytes renamed(self, bytes error):
        """An ErrorResponse with the client's names for prepared statements instead of Forebay's."""
        raise NotImplementedError

    cdef int settled(self) except -1:
        """A batch was answered: what it changed is known now."""
        raise NotImplementedError

    cdef int server_lost(self, object error) except -1:
        """The connection is gone. `error`: what the database said last has been passed on if None."""
        raise NotImplementedError

    cdef int statements_dropped(self) except -1:
        """DISCARD ALL or DEALLOCATE ALL has ended all prepared statements of the client."""
        raise NotImplementedError

    cdef int ask_session(self) except -1:
        """Ask the connection what the client's session holds (`Server.ask`)."""
        raise NotImplementedError


cdef inline bint _is_ready_for_query(const unsigned char *frame, Py_ssize_t total) noexcept:
    return total == HEADER_BYTES + 1 and (
        frame[HEADER_BYTES] == c"I" or frame[HEADER_BYTES] == c"T" or frame[HEADER_BYTES] == c"E"
    )


cdef class Server(Peer):
    """One connection to the database, logged in."""

    def __init__(
        self, Poller poller, int fd, MicroPool pool not None, int pid, bytes cancel_key, *,
        settings, parameters, tls=None, incoming=None, outgoing=None,
    ):
        Peer.__init__(self, poller, fd, tls, incoming, outgoing)
        self.pool = pool
        self.pid = pid
        self.cancel_key = cancel_key
        self.settings = settings
        self.parameters = parameters
        self.parameters_before = parameters
        self.ledger = Ledger()
        self.status = c"I"
        self.commands = deque()
        self.prepared = Prepared(self.ledger)
        self.opened_at = self.idle_since = poller.now
        self.age_jitter = 1.0

    @property
    def in_transaction(self) -> bool:
        return self.status != c"I"

    @property
    def is_pinned(self) -> bool:
        return self.client is not None and self.client.pinned

    cpdef start(self):
        """Begin to serve: the pool has counted it as borrowed until now."""
        self.watch()
        self.go_free()

    # ---- what is owed ----

    cdef int answer_fakes(self) except -1:
        """Answer in the database's place what it was not asked, as far as its turn has come."""
        cdef int kind
        while self.fd >= 0:
            kind = self.ledger.take_fake()
            if kind == 0:
                break
            self.prepared.note_outcome()
            if kind == QUERY:
                self._answer_deallocate()
            elif self.client is not None:
                self.client.write(PARSE_COMPLETE if kind == PARSE else CLOSE_COMPLETE, HEADER_BYTES)
        return 0

    cdef int _answer_deallocate(self) except -1:
        """The answer to DEALLOCATE of a statement whose name the database does not know."""
        cdef bytes answer = DEALLOCATED if self.status != c"E" else ABORTED
        if self.client is not None:
            answer += b"Z\x00\x00\x00\x05" + bytes((self.status,))
            self.client.write(answer, len(answer))
        if self.ledger.count == 0:
            self._ready_for_query()
        return 0

    # ---- lending and taking back ----

    cdef int lend(self, Borrower client) except -1:
        """Give this free connection to `client`, with the client's settings."""
        self.at_rest = False
        self.client = client
        client.server = self
        self.lent_at = self.poller.now
        self.rolled_back = False
        self.turn_failed = False
        self.parameters_told = None
        self.parameters_before = self.parameters
        if self.stale:
            self._deallocate_all()
        if client.settings is not self.settings:
            self._replay(client)
        elif client.parameters is not self.parameters and client.parameters is not None:
            self.pool.manager.announce(client, self.parameters)
        return client.lent(self.confirming)

    cdef int _replay(self, Borrower client) except -1:
        """Put the client's settings in place, in the same write as its first message where that is
        safe."""
        cdef bytes message
        message, self.confirming = self.pool.manager.replay(self.settings, client.settings)
        # Before the client knows its parameters there is no message of its own to send along.
        self.confirming = self.confirming or client.parameters is None
        self.settings = client.settings
        self._command(Command(None, is_replay=True))
        self.enqueue(message, len(message))
        if self.confirming:
            self.flush()
        return 0

    cdef int _command(self, object command) except -1:
        """A simple Query of Forebay's own is sent."""
        self.prepared.unnamed_serial = 0
        self.commands.append(command)
        self.ledger.push(QUERY, SWALLOW)
        return 0

    cdef int _deallocate_all(self) except -1:
        """What was prepared may return something else by now: prepare it anew when it is used."""
        self.stale = False
        if self.prepared.statements:
            self._command(Command())
            self.prepared.forget_all()
            self.enqueue(DEALLOCATE_ALL_MESSAGE, len(DEALLOCATE_ALL_MESSAGE))
        return 0

    cdef bint follow(self, object messages) except -1:
        """When what the client has just sent has succeeded, send one of `messages` (Query messages
        for outside a transaction block, and for in one), and let the client hear only then that it
        is done, and what its parameters are. False: the database skips what was sent."""
        if self.ledger.failed or self.ledger.copy_in:
            return False
        self.follow_up = messages
        self.parameters_told = self.parameters
        return True

    cdef int _follow(self) except -1:
        """What the client had sent is answered: go on with what follows it."""
        cdef bytes message = self.follow_up[self.status != c"I"]
        self.follow_up = None
        if self.turn_failed or self.client is None or not message:
            return self._end_turn()
        self._command(Command(None, ends_turn=True))
        return self.write(message, len(message))

    cdef int _end_turn(self) except -1:
        """The client hears of its parameters, and that it is its turn again."""
        cdef bytes message = b"Z\x00\x00\x00\x05" + bytes((self.status,))
        if self.client is not None and self.parameters_told is not None:
            message = self.parameters.changes_from(self.parameters_told) + message
        self.parameters_told = None
        self._pass(message, len(message))
        return self._ready_for_query()

    cdef int _replayed(self, object error) except -1:
        cdef Borrower client = self.client
        cdef bint confirming = self.confirming
        self.confirming = False
        self.parameters_before = self.parameters
        if error is not None:
            self.dirty = True
            self.pool.manager.replay_failed(self, error)
        if client is None:
            return 0
        if client.parameters is not None and client.parameters is not self.parameters:
            self.pool.manager.announce(client, self.parameters)
        if self.parameters_told is not None:
            self.parameters_told = self.parameters
        if confirming:
            client.confirmed(error)
        return 0

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
            self.pool.manager.reset(self)
        else:
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
                self.idle_since = self.poller.now
                place = self.pool.give_back(self, self.retired, self.idle_since)
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

    cpdef object run(self, bytes sql, object done):
        """Send a simple Query of Forebay's own; ``done(server, command)`` is called when it is
        answered. Returns the Command."""
        cdef bytes message = b"Q" + (len(sql) + 5).to_bytes(4, "big") + sql + b"\0"
        command = Command(done)
        self.at_rest = False
        self._command(command)
        self.write(message, len(message))
        return command

    def ask(self, bytes sql, done) -> None:
        """As ``run``, for what decides whether the client's session can leave the connection: if
        the client goes before the answer comes, the connection is cleaned."""
        self.audit = self.run(sql, done)

    def was_reset(self, settings) -> None:
        """Nothing of the last client's session is left; the settings are `settings`."""
        self.dirty = False
        self.settings = settings
        self.prepared.forget_all()

    cpdef shut(self, str reason):
        """Close at once, with Terminate; a client that has the connection is told `reason`."""
        if self.fd >= 0:
            self.write(TERMINATE, len(TERMINATE))
            self.lost(reason)

    # ---- what the database sends ----

    cdef Py_ssize_t consume(self, const unsigned char *data, Py_ssize_t count) except -1:
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t passed = 0  # up to here everything has been passed on or dropped
        cdef Py_ssize_t total, step
        cdef int kind, action
        cdef bint whole
        while self.fd >= 0:
            if self.body_left:
                step = min(<Py_ssize_t> self.body_left, count - at)
                self.body_left -= step
                at += step
            if count - at < HEADER_BYTES:
                break
            kind = data[at]
            total = <Py_ssize_t> length_word(data + at) + 1
            whole = count - at >= total
            if not whole and total <= GATHER_BYTES and self._is_gathered(kind):
                break
            action = self._judge(kind, data + at, total, whole)
            if action == FORWARD:
                if not whole:
                    self.body_left = <uint32_t> (total - (count - at))
                    at = count
                    break
                at += total
                if kind == c"Z" and self.ledger.count == 0:
                    self._pass(data + passed, at - passed)
                    passed = at
                    self._ready_for_query()
                elif self.ledger.fakes:
                    self._pass(data + passed, at - passed)
                    passed = at
                    self.answer_fakes()
                continue
            self._pass(data + passed, at - passed)
            if action == DESYNC:
                self.shut(f"the database sent an unexpected message (type {chr(kind)!r})")
                return count
            at += total
            passed = at
            if action == REPLACE:
                self._pass(self.instead, len(self.instead))
                self.instead = None
            elif action == DROP and kind == c"Z":
                self._follow()
            elif action == SWALLOW:
                self._swallow(data + at - total, total)
                if kind == c"Z":
                    self._command_done()
                elif self.ledger.fakes:
                    self.answer_fakes()
        if self.fd < 0:
            return count
        self._pass(data + passed, at - passed)
        if self.client is not None:
            self._let_client_go_on()
        return at

    cdef bint _is_gathered(self, int kind) except -1:
        """Whether a message must be there as a whole before it is passed on."""
        return (
            kind == c"Z" or kind == c"S" or kind == c"E" or kind == c"C" or kind == c"G"
            or self.ledger.action() != FORWARD
            or (kind == c"T" and self.ledger.is_expected())
        )

    cdef int _judge(
        self, int kind, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -3:
        """Take note of a message, and say what becomes of it: FORWARD, SWALLOW, DROP, REPLACE (by
        what is in `instead`) or DESYNC."""
        cdef int action = self.ledger.action()
        if total < HEADER_BYTES or total > LARGE_MESSAGE_LIMIT:
            return DESYNC
        if not whole and (action != FORWARD or kind == c"Z" or kind == c"S"):
            return DESYNC
        if kind == c"D" or kind == c"d":
            # The bulk of all traffic: rows and COPY data change nothing in the ledger.
            if self.ledger.count == 0 or action == REPLACE:
                return DESYNC
            return FORWARD if action == FORWARD else self.ledger.reply(kind)
        if kind == c"A":
            return FORWARD  # meant for the client, whatever is being answered
        if kind == c"N":
            return SWALLOW if action == SWALLOW else FORWARD
        if kind == c"S":
            if not self._note_parameter(frame + HEADER_BYTES, total - HEADER_BYTES):
                return DESYNC
            if self.parameters_told is not None:
                return DROP
            return SWALLOW if action == SWALLOW else FORWARD
        if kind == c"E":
            return self._judge_error(frame, total, whole)
        if kind == c"Z":
            return self._judge_ready(frame, total)
        if action == REPLACE:
            return DESYNC  # what cannot succeed
        if self.ledger.is_expected() and whole:
            if kind == c"T":
                self.prepared.note_description(shape(frame[HEADER_BYTES:total]))
            elif kind == c"n":
                self.prepared.note_description(b"")
        action = self.ledger.reply(kind)
        if self.ledger.settled:
            self.prepared.note_outcome()
        if kind == c"C" and whole:
            self._note_tag(frame + HEADER_BYTES, total - HEADER_BYTES, action)
        elif kind == c"G" and action == FORWARD and self.ledger.copy_in:
            if self.client is None or self.client.terminating:
                self._fail_copy(False)
        return action

    cdef int _judge_error(
        self, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -3:
        """As ``_judge``, for an ErrorResponse."""
        cdef int action = self.ledger.action()
        cdef int kind = self.ledger.head_kind()
        cdef bint is_unnamed = self.prepared.is_unnamed()
        if action == REPLACE:
            self.instead = self.prepared.replaced(frame[:total])
            self.ledger.reply(c"E")
            self.prepared.note_outcome()
            return REPLACE
        action = self.ledger.reply(c"E")
        if action == SWALLOW and (kind == PARSE or kind == CLOSE or kind == DESCRIBE):
            action = FORWARD  # asked for the client's sake: it is the client's message that fails
        self.prepared.note_outcome()
        if is_unnamed and self.client is not None:
            self.client.forget_unnamed()
        if action == FORWARD:
            self.turn_failed = True
        if action == FORWARD and whole:
            self._note_error(frame, total)
            if self.client is not None and self.client.statements is not None:
                if PREFIX in frame[:total]:
                    self.instead = self.client.renamed(frame[:total])
                    return REPLACE
        return action

    cdef int _judge_ready(self, const unsigned char *frame, Py_ssize_t total) except -3:
        """As ``_judge``, for a ReadyForQuery."""
        cdef int action
        if not _is_ready_for_query(frame, total):
            return DESYNC
        action = self.ledger.reply(c"Z")
        if action == DESYNC:
            return DESYNC
        self.status = frame[HEADER_BYTES]
        if self.ledger.settled:
            self.prepared.note_outcome()
        if self.altered and self.status == c"I":
            self.altered = False
            self.pool.manager.schema_changed(self.pool)
        if action == FORWARD:
            if self.follow_up is not None and self.ledger.count == 0:
                return DROP
            self.turn_failed = False
        return action

    cdef int _let_client_go_on(self) except -1:
        """A client that waits for an answer may have it now. One that had sent far more than was
        answered is read again once it was, which may be long before a ReadyForQuery."""
        cdef Borrower client = self.client
        if client.unsettled:
            client.settled()
        elif client.paused and self.ledger.count <= LEDGER_LIMIT and not client.terminating:
            if not self.is_blocked() and not client.is_blocked():
                client.resume_reading()
        return 0

    cdef int _pass(self, const unsigned char *data, Py_ssize_t count) except -1:
        """Pass replies on to the client, if it is still there; wait for it if it does not take
        them."""
        if count and self.client is not None:
            self.client.write(data, count)
            if self.client is not None and self.client.is_blocked():
                self.pause_reading()
        return 0

    cdef int _ready_for_query(self) except -1:
        """All replies have come. The connection is free if the client is between transactions and
        not pinned."""
        cdef Borrower client = self.client
        if client is None:
            return self.settle()
        if self.status == c"I":
            self.pool.transactions += 1
            if self.parameters is not self.parameters_before:
                client.suspect = True  # no statement may have shown it
                self.parameters_before = self.parameters
            self.release_if_free()
        return client.turn_ended()

    cdef int release_if_free(self) except -1:
        """Take the connection back if its client can do without, or ask what stands in the way."""
        cdef Borrower client = self.client
        if self.ledger.count or self.ledger.failed or self.status != c"I":
            return 0
        if client.unsynced or client.terminating:
            return 0
        if client.body_left and client.body_forward:
            return 0
        if client.suspect:
            # What the client sends now waits for the answer: a setting that it has just reset may
            # have to become again what it asked for at its login.
            client.suspect = False
            client.lent(True)
            client.ask_session()
        elif not client.pinned and not client.prepared_unnamed:
            self.take_back()
        return 0

    cdef int _swallow(self, const unsigned char *frame, Py_ssize_t total) except -1:
        """Part of the answer to a command of Forebay's own."""
        if frame[0] == c"E":
            self.commands[0].error = frame[HEADER_BYTES:total]
        elif frame[0] == c"D" and len(self.commands[0].rows) < COMMAND_ROWS_LIMIT:
            self.commands[0].rows.append(frame[HEADER_BYTES:total])
        return 0

    cdef int _command_done(self) except -1:
        cdef Borrower client
        cdef bint was_audit
        command = self.commands.popleft()
        was_audit = command is self.audit
        if was_audit:
            self.audit = None
        if command.ends_turn:
            return self._end_turn()
        if command.is_replay:
            self._replayed(command.error)
        elif command.done is not None:
            command.done(self, command)
        if self.ledger.fakes:
            self.answer_fakes()
        if self.ledger.count or self.fd < 0:
            return 0
        client = self.client
        if client is None:
            if not self.at_rest:
                self.settle()
        elif not self.confirming:
            if was_audit:
                self._answered(client)
            else:
                self.release_if_free()
                client.turn_ended()
        return 0

    cdef int _answered(self, Borrower client) except -1:
        """It is known what the client's session holds: let go of it, or go on with it."""
        client.lent(False)
        self.release_if_free()
        if client.server is self and client.settings is not self.settings:
            self._replay(client)
            if self.confirming:
                return client.lent(True)
            self.flush()
        client.turn_ended()
        return client.go_on()

    cdef bint _note_parameter(self, const unsigned char *body, Py_ssize_t count) except -1:
        """False: it cannot be read."""
        try:
            self.parameters = self.pool.manager.parameter_changed(self.parameters, body[:count])
        except ValueError:
            return False
        if self.client is not None and body[:count].startswith(HOW_TEXT_IS_READ):
            # What was sent meanwhile may have been read otherwise than the database does, even if
            # the change is local.
            self.client.suspect = True
        return True

    cdef int _note_tag(self, const unsigned char *tag, Py_ssize_t count, int action) except -1:
        """Some commands end all prepared statements, those that Forebay made too; others may change
        what they return."""
        if count > 1 and (tag[0] == c"A" or (tag[0] == c"C" and tag[1] == c"R")):
            self.altered = self.altered or tag[:count] in ALTERING
        if count != len(DISCARD_ALL) and count != len(DEALLOCATE_ALL):
            return 0
        if tag[:count] == DISCARD_ALL or tag[:count] == DEALLOCATE_ALL:
            if action == FORWARD:
                self.prepared.forget_all()
                if self.client is not None:
                    self.client.statements_dropped()
        return 0

    cdef int _note_error(self, const unsigned char *frame, Py_ssize_t total) except -1:
        """After a FATAL error the connection ends, and the client knows why."""
        cdef bytes start = frame[HEADER_BYTES:min(total, <Py_ssize_t> 80)]
        if b"\0VFATAL\0" in start or b"\0VPANIC\0" in start:
            self.fatal_forwarded = self.client is not None
        if RESULT_CHANGED in frame[:total]:
            self.pool.manager.schema_changed(self.pool)
        return 0

    # ---- what a peer must do ----

    cdef int drained(self) except -1:
        if self.client is not None:
            self.client.resume_reading()
        return 0

    cdef int lost(self, object reason) except -1:
        cdef Borrower client = self.client
        if self.fd < 0:
            return 0
        self.client = None
        self.close()
        self.pool.manager.server_lost(self, reason)
        if client is not None:
            client.server = None
            client.server_lost(None if self.fatal_forwarded else reason)
        return 0
