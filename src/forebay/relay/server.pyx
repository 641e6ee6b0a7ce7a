"""What a database connection sends: walks it, keeps the ledger, and passes it on.

The bodies of rows are passed on by count. Held back until whole is only what Forebay must read:
ReadyForQuery, ParameterStatus, errors, command tags, and the answers to its own commands.
"""

import re

from forebay.relay.statements.statement import PREFIX

from libc.stdint cimport uint32_t

from .frames cimport HEADER_BYTES, LARGE_MESSAGE_LIMIT, length_word, message
from .ledger cimport DESYNC, FORWARD, REPLACE, SWALLOW, SYNC, action_of, head_of, is_expected_in
from .connection cimport LEDGER_LIMIT, Borrower, Connection
from .lease cimport UNGUARDED
from .leaving cimport end_if_gone
from .lending cimport fail_copy, go_free
from .noting cimport (
    UNKNOWN_STATEMENT, is_last_word, is_read_only, note_ending, note_error, note_forgotten, note_notice,
    note_parameter, note_tag,
)
from .peer cimport GATHER_BYTES
from .repeating cimport may_repeat, withhold
from .sequences cimport NOT_DRAWN, with_hint
from .statements.entries cimport Held
from .statements.prepared cimport GUARD, Naming, Refusal
from .statements.statement cimport Known
from .states cimport PARKED, UNSETTLED
from .timing cimport note_answered, note_nothing_owed
from .turn cimport (
    answer_fakes, begin_follow_up, command_done, pass_on, ready_for_query, release_if_free,
)

cdef bytes CUT_SHORT = b"\0C57"  # a cancel or a timeout: says nothing about what it has hit
cdef object OWN_NAME = re.compile(rb'"(%b\d+)"' % PREFIX)
cdef Py_ssize_t NUMBER_END = HEADER_BYTES + 4  # in a NotificationResponse: the process that has sent it
# More than an audit yields of a session whose settings are within the limits.
cdef int COMMAND_ROWS_LIMIT = 2000
# (The body of an ErrorResponse.) Of a change-over that has failed without a word.
cdef bytes NOT_IN_PLACE = (
    b"SERROR\0VERROR\0C55000\0Mthe settings of the session could not be put in place; nothing was run\0\0"
)


cdef inline bint _is_ready_for_query(const unsigned char *frame, Py_ssize_t total) noexcept:
    return total == HEADER_BYTES + 1 and (
        frame[HEADER_BYTES] == c"I" or frame[HEADER_BYTES] == c"T" or frame[HEADER_BYTES] == c"E"
    )


cdef class Server(Connection):
    """One connection to the database."""

    cpdef start(self):
        """Begin to serve: the pool has counted it as borrowed until now."""
        self.watch()
        self.consume_held()
        if self.fd >= 0:
            self.resume_reading()
            go_free(self)

    cpdef cancel_finished(self):
        """A cancel request for this connection has been delivered and cannot hit a later statement."""
        self.cancels_in_flight -= 1
        if self.state == PARKED and not self.cancels_in_flight:
            go_free(self)

    def timeout_finished(self) -> None:
        """A cancel request that no client has asked for, one of ``timeouts_in_flight``, cannot hit a later
        request any more: what the client has sent meanwhile goes on."""
        cdef Borrower client = self.client
        self.timeouts_in_flight -= 1
        if client is not None and client.state == UNSETTLED and not self.timeouts_in_flight:
            client.settled()
            end_if_gone(client)

    def go_free(self) -> None:
        """Hand this clean connection to the next waiter, or leave it with the pool."""
        go_free(self)

    def look_again(self) -> None:
        """Its client has become suspect while it does nothing."""
        if self.client is not None and self.ledger.count == 0:
            release_if_free(self)

    @property
    def lent_at(self) -> float:
        """When its lease began; 0.0 before the first."""
        return self.lease.begun_at

    # ---- what comes ----

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
                if (kind == c"Z" and self.ledger.count == 0) or self.ledger.fakes or self.fatal_forwarded:
                    pass_on(self, data + passed, at - passed)
                    passed = at
                    self._forwarded(kind)
                continue
            if action == WITHHELD:
                withhold(self, data[passed:at] + self.instead)
                self.instead = None
                at += total
                passed = at
                continue
            pass_on(self, data + passed, at - passed)
            if action == DESYNC:
                self.shut(f"the database sent an unexpected message (type {chr(kind)!r})")
                return count
            self._treat(action, data + at, total)
            at += total
            passed = at
        if self.fd < 0:
            return count
        pass_on(self, data + passed, at - passed)
        if self.client is not None:
            note_nothing_owed(self, self.client.held_count == 0)
            self._let_client_go_on()
        return at

    cdef int _forwarded(self, int kind) except -1:
        """A message has been passed on behind which something else is due."""
        if kind == c"Z" and self.ledger.count == 0:
            return ready_for_query(self)
        if self.ledger.fakes:
            return answer_fakes(self)
        if kind == c"E" and self.fatal_forwarded:
            return self.lost("the database ended it")
        return 0

    cdef int _treat(self, int action, const unsigned char *frame, Py_ssize_t total) except -1:
        """A message is not passed on, but does what `action` says."""
        cdef int kind = frame[0]
        if action == REFUSED:
            return self._refuse_turn()
        if action == ENDED:
            return self.lost("the database ended it")
        if action == REPLACE:
            pass_on(self, self.instead, len(self.instead))
            self.instead = None
        elif action == DROP and kind == c"Z":
            return begin_follow_up(self)
        elif action == SWALLOW:
            self._swallow(frame, total)
            if kind == c"Z":
                return command_done(self)
            if self.ledger.fakes:
                return answer_fakes(self)
        return 0

    cdef bint _is_gathered(self, int kind) except -1:
        """Whether a message must be there as a whole before it is passed on."""
        return (
            kind == c"Z" or kind == c"S" or kind == c"E" or kind == c"C" or kind == c"G" or kind == c"A"
            or kind == c"N"
            or self.ledger.action() != FORWARD
            or ((kind == c"T" or kind == c"t") and self.ledger.is_expected())
        )

    cdef int _judge(
        self, int kind, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -3:
        """Take note of a message, and say what becomes of it: FORWARD, SWALLOW, DROP, REPLACE (by
        what is in `instead`), REFUSED, ENDED or DESYNC."""
        cdef int entry = head_of(self.ledger)
        cdef int action = action_of(entry)
        cdef bint is_noted
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
            # Meant for the client, whatever is being answered.
            return self._judge_notification(frame, total) if whole else FORWARD
        if kind == c"N":
            if whole:
                note_notice(self, frame, total)
            return SWALLOW if action == SWALLOW else FORWARD
        if kind == c"S":
            if not note_parameter(self, frame + HEADER_BYTES, total - HEADER_BYTES):
                return DESYNC
            if self.lease.parameters_told is not None:
                return DROP
            return SWALLOW if action == SWALLOW else FORWARD
        if kind == c"E":
            return self._judge_error(frame, total, whole)
        if kind == c"Z":
            return self._judge_ready(frame, total)
        if action == REPLACE:
            return DESYNC  # what cannot succeed
        is_noted = is_expected_in(entry)
        if is_noted and whole:
            if kind == c"t":
                self.prepared.note_types(frame[HEADER_BYTES:total])
            elif kind == c"T":
                self.prepared.note_description(frame[HEADER_BYTES:total])
            elif kind == c"n":
                self.prepared.note_description(b"")
            elif kind == c"3" and self.lease.guarded and not self.lease.replaying:
                if self.prepared.role() is GUARD:
                    self.lease.guarded = UNGUARDED  # the last message of a change-over
        action = self.ledger.reply(kind)
        if self.ledger.settled:
            self.prepared.note_outcome()
        if kind == c"C" and whole:
            if action == FORWARD:
                note_tag(self, frame + HEADER_BYTES, total - HEADER_BYTES)
            elif action == SWALLOW:
                note_forgotten(self, frame + HEADER_BYTES, total - HEADER_BYTES)
        elif kind == c"G" and action == FORWARD and self.ledger.copy_in:
            if self.client is None or self.client.terminating:
                fail_copy(self, False)
        return action

    cdef int _judge_error(
        self, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -3:
        """As ``_judge``, for an ErrorResponse."""
        cdef int action = self.ledger.action()
        cdef int kind = self.ledger.head_kind()
        cdef object failing = self.prepared.role()
        cdef bint is_noted = self.ledger.is_expected()
        cdef bint cut_short = CUT_SHORT in frame[:min(total, <Py_ssize_t> 80)]
        if whole and is_last_word(frame, total) and note_ending(self, frame, total):
            if self.client is not None and (action != SWALLOW or failing is GUARD):
                self.last_word = frame[HEADER_BYTES:total]
                return ENDED
        if action == REPLACE:
            self.instead = frame[:total]
            if (<Refusal> failing).sqlstate in self.instead:
                self.instead = (<Refusal> failing).error
            self.lease.turn_failed = True
            self.ledger.reply(c"E")
            self.prepared.note_outcome()
            return REPLACE
        if failing is GUARD:
            self.skipped = self.ledger.kinds()
            if self.lease.replay_error is None and whole and UNKNOWN_STATEMENT not in frame[:total]:
                # The change-over has succeeded, and a timeout, say, has hit the guard.
                self.lease.replay_error = frame[HEADER_BYTES:total]
            self.ledger.reply(c"E")
            self.prepared.note_outcome()
            return REFUSED
        action = self.ledger.reply(c"E")
        if action == SWALLOW and kind > SYNC:
            action = FORWARD  # asked for the client's sake: it is the client's message that fails
        self.prepared.note_outcome(is_noted, cut_short)
        if (self.client is None or action == SWALLOW) and whole and is_last_word(frame, total):
            # It may take its time to close the connection, or the network may never say so.
            self.pool.manager.ended(self, frame[HEADER_BYTES:total])
            return DESYNC
        if action == FORWARD:
            self.lease.turn_failed = True
        if action == FORWARD and whole:
            if self.client is not None and self.client.keeps_requests and is_read_only(frame, total):
                if may_repeat(self):
                    self.instead = frame[:total]
                    return WITHHELD
            note_error(self, frame, total)
            if self.client is not None and NOT_DRAWN in frame[:min(total, <Py_ssize_t> 80)]:
                self.instead = with_hint(self.client, frame[:total])
                return REPLACE
            if self.client is not None and self.client.names is not None:
                if PREFIX in frame[:total]:
                    self.instead = self._renamed(frame[:total], failing)
                    return REPLACE
        return action

    cdef int _judge_notification(self, const unsigned char *frame, Py_ssize_t total) except -3:
        """As ``_judge``, for a NotificationResponse. One that the client has sent to itself names it as
        BackendKeyData did: by this drivers and programs know their own."""
        cdef bytes known
        # The number stands behind the length as that behind the type.
        if self.client is None or total < NUMBER_END or <int> length_word(frame + HEADER_BYTES - 1) != self.pid:
            return FORWARD
        known = (<object> self.client.process_id).to_bytes(4, "big")
        self.instead = frame[:HEADER_BYTES] + known + frame[NUMBER_END:total]
        return REPLACE

    cdef bytes _renamed(self, bytes error, object failing):
        """An ErrorResponse with the client's names for prepared statements instead of Forebay's."""
        def known_to_client(found):
            name = (<Naming> failing).name if isinstance(failing, Naming) else self._called(found[1])
            return found[0] if name is None else b'"%b"' % name
        return message(b"E", OWN_NAME.sub(known_to_client, error[HEADER_BYTES:]))

    def _called(self, bytes known_name):
        """What the client calls a statement that connections call so, or None."""
        cdef Held there
        for known, there in self.prepared.statements.confirmed.items():
            if (<Known> known).name == known_name and self.client.names.get(there.called) is not None:
                return there.called
        return self.client.names.name_of(known_name)

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
        if action == FORWARD and self.lease.follow_up is not None and self.lease.turns_before == 0:
            return DROP
        if action == FORWARD:
            note_answered(self)
            if self.ledger.count and self.status == c"I" and self.client is not None:
                if self.client.suspect or self.parameters is not self.lease.parameters_before:
                    self.lease.unaudited = True  # the next request is under way already
        self.lease.turn_failed = self.lease.discarded = False
        if self.lease.turns_before:
            self.lease.turns_before -= 1
            if self.lease.turns_before == 0:
                self.lease.parameters_told = self.parameters
        return action

    cdef int _refuse_turn(self) except -1:
        """The client's settings are not in place, and nothing of what it has sent with them has run.
        The connection is not used any more."""
        cdef Borrower client = self.client
        cdef bytes error = NOT_IN_PLACE if self.lease.replay_error is None else self.lease.replay_error
        self.part()
        self.shut("its client's settings could not be put in place")
        if client is not None:
            client.turn_refused(message(b"E", error), self.skipped)
        return 0

    cdef int _let_client_go_on(self) except -1:
        """A client that waits for an answer may have it now. One that had sent far more than was
        answered is read again once it was, which may be long before a ReadyForQuery."""
        cdef Borrower client = self.client
        if client.state == UNSETTLED:
            client.settled()
        elif client.paused and self.ledger.count <= LEDGER_LIMIT and not client.terminating:
            if not self.is_blocked() and not client.is_blocked():
                client.resume_reading()
        return 0

    cdef int _swallow(self, const unsigned char *frame, Py_ssize_t total) except -1:
        """Part of the answer to a command of Forebay's own."""
        if frame[0] == c"E":
            self.commands[0].error = frame[HEADER_BYTES:total]
        elif frame[0] == c"D" and self.commands:
            if len(self.commands[0].rows) < COMMAND_ROWS_LIMIT:
                self.commands[0].rows.append(frame[HEADER_BYTES:total])
            else:
                self.commands[0].is_cut = True
        return 0
