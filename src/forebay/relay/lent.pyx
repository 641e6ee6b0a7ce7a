"""A database connection while it is lent: the client's settings are put in place, its turns end, and
before it lets go the database is asked what its session has left.

lend ─▶ (replay of settings) ─▶ the client's messages ⇄ replies ─▶ ReadyForQuery
                                                                       │ (follow up)
              take_back ◀─ not pinned ◀─ (ask) ◀─ release_if_free ◀────┘
"""

from forebay.relay.command import Command
from forebay.relay.statements.statement import PREFIX

from .connection cimport GUARDED, NOBODY, SEVERAL, Borrower, Connection
from .frames cimport HEADER_BYTES
from .frames cimport message as framed
from .ledger cimport BIND, CLOSE, DESCRIBE, EXECUTE, PARSE, QUERY, SWALLOW

cdef bytes PARSE_COMPLETE = b"1\x00\x00\x00\x04"
cdef bytes CLOSE_COMPLETE = b"3\x00\x00\x00\x04"
# For what Forebay runs within a client's batch: a statement and a portal of this name.
cdef bytes OWN_NAME = PREFIX + b"own\0"
cdef bytes DISCARD_PLANS = framed(b"Q", b"DISCARD PLANS\0")
cdef bytes DISCARD_PLANS_IN_BATCH = _in_batch(b"DISCARD PLANS\0")
cdef bytes DISCARD_SEQUENCES = framed(b"Q", b"DISCARD SEQUENCES\0")
cdef bytes DISCARD_SEQUENCES_IN_BATCH = _in_batch(b"DISCARD SEQUENCES\0") + framed(b"H", b"")
# After so many failures in a row to forget sequences a connection is of no use to who asks for them.
cdef int FORGETTING_LIMIT = 5
cdef bytes DEALLOCATED = b"C\x00\x00\x00\x0fDEALLOCATE\0"
cdef bytes ABORTED_FIELDS = (
    b"SERROR\0VERROR\0C25P02\0Mcurrent transaction is aborted, commands ignored until end of"
    b" transaction block\0\0"
)
cdef bytes ABORTED = b"E" + (len(ABORTED_FIELDS) + 4).to_bytes(4, "big") + ABORTED_FIELDS


cdef bytes _in_batch(bytes command):
    """The messages that run a command while the client's batch is open. Its unnamed statement and
    portal stay."""
    return (
        framed(b"P", OWN_NAME + command + b"\0\0")
        + framed(b"B", OWN_NAME + OWN_NAME + bytes(6))
        + framed(b"E", OWN_NAME + bytes(4))
        + framed(b"C", b"P" + OWN_NAME)
        + framed(b"C", b"S" + OWN_NAME)
    )


def _discarded(LentConnection server, command):
    if command.error is not None:
        server.plans_stale = True  # so it is tried again


def _forgotten(LentConnection server, command):
    server.forgetting = False
    if command.error is None:
        return
    server.forgotten_not += 1
    if server.forgotten_not >= FORGETTING_LIMIT:
        server.shut("the values of sequences that others have used could not be discarded")


cdef class LentConnection(Connection):
    """A connection that serves a client."""

    cdef int lend(self, Borrower client) except -1:
        """Give this free connection to `client`, with the client's settings."""
        self.at_rest = False
        self.client = client
        client.server = self
        self.lent_at = self.poller.now
        self.rolled_back = False
        self.turn_failed = self.discarded = False
        self.sequences_discarded = 0
        self.parameters_told = None
        self.turns_before = 0
        self.parameters_before = self.parameters
        if client.parameters is not None:
            self._note_lease(client)
        if client.settings is not self.settings or self.stale or self.plans_mixed:
            self._replay(client, client.parameters is None or client.in_parts)
        elif client.parameters is not self.parameters and client.parameters is not None:
            self.pool.changeover.announce(client, self.parameters)
        return client.lent(self.confirming)

    cdef int _note_lease(self, Borrower client) except -1:
        """Know whose values of sequences the session remembers while this client has it.

        Only what is the client's alone may be told to it (currval, lastval). A client that begins, so
        that nobody has seen yet what it does, and one whose application is known to ask, get a
        connection that remembers nothing; for others it is not worth a command each time.
        """
        cdef bint is_last = self.drawn_by == client.process_id and self.drawn_in == client.leases
        if not is_last and client.leases:
            client.may_have_drawn_elsewhere = True
        if not is_last and self.drawn_by != NOBODY:
            self.drawn_by = SEVERAL
            if client.leases == 0 or client.application.asks:
                messages = self.forget_sequences(False)
                self.enqueue(messages, len(messages))
        else:
            self.drawn_by = client.process_id
        client.leases += 1
        self.drawn_in = client.leases
        return 0

    cdef bytes forget_sequences(self, bint in_batch):
        """What lets the session forget all values of sequences; it must be sent now. `in_batch`: the
        Sync of the client's batch is still to come. Once that has happened (`drawn_by`), the session
        knows what its client draws, and nothing else."""
        self.forgetting = True
        if not in_batch:
            self._command(Command(_forgotten))
            return DISCARD_SEQUENCES
        self._owe_batch()
        return DISCARD_SEQUENCES_IN_BATCH

    cdef int _owe_batch(self) except -1:
        """A command is sent `_in_batch`."""
        for kind in (PARSE, BIND, EXECUTE, CLOSE, CLOSE):
            self.ledger.push(kind, SWALLOW)
        return 0

    cdef int _replay(self, Borrower client, bint confirming) except -1:
        """Change over to the client's settings, in the same write as its first message unless that
        must wait for the success (`confirming`: in any case).

        What leaves together has a guard between: a Describe of a prepared statement that only a
        change-over which has succeeded has made (see session/replays.py). If it has failed, the
        guard fails as well, and the database itself skips all that the client has sent with it, up
        to the first Sync. Nothing is sent behind that Sync before the guard is answered. (There is
        no guard where the client's message comes in parts: a statement_timeout would run from the
        guard on, and fire in the middle of that message.)
        """
        cdef bytes plain, guarded
        plain, guarded, must_confirm = self.pool.changeover.replay(self, client)
        self.confirming = confirming or must_confirm
        self.settings = client.settings
        self.replaying = True
        self.replay_error = None
        self.plans_mixed = self.plans_stale = False
        if self.stale:
            self.stale = False
            self.prepared.forget_all()
        if self.confirming:
            self._command(Command(is_replay=True))
            self.enqueue(plain, len(plain))
            return self.flush()
        self.prepared.owe_guard(CLOSE)
        self._command(Command(is_replay=True))
        self.prepared.owe_guard(DESCRIBE)
        self.prepared.owe_guard(CLOSE)
        self.guarded = GUARDED
        return self.enqueue(guarded, len(guarded))

    cdef int _replayed(self, object error) except -1:
        cdef Borrower client = self.client
        cdef bint confirming = self.confirming
        self.confirming = self.replaying = False
        self.parameters_before = self.parameters
        if error is not None:
            self.dirty = True
            self.replay_error = error
            self.pool.changeover.replay_failed(self, error, confirming)
        if client is None:
            return 0
        if client.parameters is not None and client.parameters is not self.parameters:
            self.pool.changeover.announce(client, self.parameters)
        if self.parameters_told is not None:
            self.parameters_told = self.parameters
        if confirming:
            client.confirmed(error)
        return 0

    cdef int discard_plans(self, bint in_batch) except -1:
        """Let what the client sends next be planned by its settings of now, whatever was planned
        before. `in_batch`: the Sync of its batch is still to come."""
        if self.ledger.failed or self.ledger.copy_in:
            return 0
        self.plans_stale = False
        if not in_batch:
            self._command(Command(_discarded))
            return self.enqueue(DISCARD_PLANS, len(DISCARD_PLANS))
        self._owe_batch()
        return self.enqueue(DISCARD_PLANS_IN_BATCH, len(DISCARD_PLANS_IN_BATCH))

    # ---- a client's turn ----

    cdef bint follow(self, object messages) except -1:
        """When what the client has just sent has succeeded, send one of `messages` (Query messages
        for outside a transaction block, and for in one), and let the client hear only then that it
        is done, and what its parameters are. False: the database skips what was sent."""
        if self.ledger.failed or self.ledger.copy_in:
            return self._did_not_reset()
        self.follow_up = messages
        self.turns_before = self.ledger.turns() - 1
        if self.turns_before == 0:
            self.parameters_told = self.parameters
        return True

    cdef int _follow(self) except -1:
        """What the client had sent is answered: go on with what follows it."""
        cdef bytes message = self.follow_up[self.status != c"I"]
        self.follow_up = None
        if self.turn_failed and not self.discarded:
            self._did_not_reset()
            return self._end_turn()
        if self.client is None or not message:
            return self._end_turn()
        self._command(Command(ends_turn=True))
        return self.write(message, len(message))

    cdef bint _did_not_reset(self) except -1:
        """What the client has sent has failed, and so taken nothing back, unless DISCARD ALL came
        before it."""
        if self.client is not None and not self.discarded:
            self.client.did_not_reset()
        return False

    cdef int _end_turn(self) except -1:
        """The client hears of its parameters, and that it is its turn again."""
        cdef bytes message = b"Z\x00\x00\x00\x05" + bytes((self.status,))
        if self.client is not None and self.parameters_told is not None:
            message = self.parameters.changes_from(self.parameters_told) + message
        self.parameters_told = None
        self._pass(message, len(message))
        return self._ready_for_query()

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
        elif not client.pinned and (client.names is None or not client.names.keeps_connection()):
            self.take_back()
        return 0

    cdef int _pass(self, const unsigned char *data, Py_ssize_t count) except -1:
        """Pass replies on to the client, if it is still there; wait for it if it does not take
        them."""
        if count and self.client is not None:
            self.client.write(data, count)
            if self.client is not None and self.client.is_blocked():
                self.pause_reading()
        return 0

    # ---- in the database's place ----

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

    # ---- answers to Forebay's own commands ----

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
                if command.done is not _forgotten or not client.unsettled:
                    self.release_if_free()
                client.turn_ended()
        return 0

    cdef int _answered(self, Borrower client) except -1:
        """It is known what the client's session holds: let go of it, or go on with it."""
        client.lent(False)
        self.release_if_free()
        if client.server is self and client.settings is not self.settings:
            # The client keeps the connection for what it has there: another one would not do.
            self._replay(client, True)
            return client.lent(True)
        client.turn_ended()
        return client.go_on()
