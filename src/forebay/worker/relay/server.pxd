from libc.stdint cimport uint32_t

from .ledger cimport Ledger
from .micropool cimport MicroPool, Waiter
from .peer cimport Peer
from .prepared cimport Prepared


cdef enum:
    LEDGER_LIMIT = 16384  # replies owed to one client before it is not read any more
    DROP = 4  # beside the ledger's actions: a reply that nobody gets, for another comes in its place


cdef class Borrower(Peer):
    # A queue link of its own class, since a Peer cannot be a Waiter as well (C structures have one base).
    cdef readonly Place place
    cdef readonly Server server
    cdef readonly MicroPool pool
    cdef public object settings
    cdef public object parameters
    cdef public dict statements  # name the client gave → Statement; None until it names one
    cdef readonly bint pinned
    cdef public bint suspect  # may have changed session state: the database is asked before it lets go
    cdef bint terminating  # said Terminate behind statements that are still being answered
    cdef bint unsynced  # sent part of an extended batch whose Sync is still to come
    cdef bint prepared_unnamed  # parsed an unnamed statement too long to be kept, and has not bound it
    cdef bint unsettled  # waits to know what an earlier batch of its own has changed
    cdef uint32_t body_left  # of the message it is sending
    cdef bint body_forward

    cdef int lent(self, bint confirming) except -1
    cdef int go_on(self) except -1
    cdef int confirmed(self, object error) except -1
    cdef int ask_session(self) except -1
    cdef int statements_dropped(self) except -1
    cdef int forget_unnamed(self) except -1
    cdef bytes renamed(self, bytes error)
    cdef int settled(self) except -1
    cdef int turn_ended(self) except -1
    cdef int server_lost(self, object error) except -1


cdef class Place(Waiter):
    cdef readonly Borrower borrower


cdef class Server(Peer):
    cdef readonly MicroPool pool
    cdef readonly Borrower client
    cdef readonly Ledger ledger
    cdef public object settings
    cdef public object parameters
    cdef object parameters_before
    cdef readonly int pid
    cdef readonly bytes cancel_key
    cdef readonly int status  # of the last ReadyForQuery: "I", "T" or "E"
    cdef readonly bint dirty  # carries session state of its last client
    cdef public bint retired  # closes as soon as it is free
    cdef bint rolled_back
    cdef bint confirming
    cdef bint at_rest  # the pool has it, or it is parked
    cdef bint handing_on  # goes from waiter to waiter: see go_free
    cdef bint parked  # free, but a cancel request that could still hit it is under way
    cdef public int cancels_in_flight
    cdef public double opened_at
    cdef public double idle_since
    cdef readonly double lent_at
    cdef public double age_jitter  # what its greatest age is multiplied with, so that not all end at once
    cdef uint32_t body_left
    cdef readonly Prepared prepared
    cdef bytes instead  # what the client gets instead of the message that is being judged
    cdef object follow_up  # sent when the client's turn has succeeded, as if it were part of that
    cdef object parameters_told  # what the client knew when that turn began; else None
    cdef bint turn_failed
    cdef bint altered  # what prepared statements return may have changed in this transaction
    cdef public bint stale  # ... or elsewhere: nothing that is prepared is to be used any more
    cdef object audit  # the Command that asks what the client's session holds, while it is unanswered
    cdef object commands  # Forebay's own, unanswered: deque of Command
    cdef bint fatal_forwarded  # the client knows already why the connection ends

    cdef int lend(self, Borrower client) except -1
    cdef int take_back(self) except -1
    cdef int abandon(self, bint vanished) except -1
    cdef int settle(self) except -1
    cdef int answer_fakes(self) except -1
    cpdef start(self)
    cpdef go_free(self)
    cpdef cancel_finished(self)
    cpdef object run(self, bytes sql, object done)
    cpdef shut(self, str reason)

    cdef int _replay(self, Borrower client) except -1
    cdef int _replayed(self, object error) except -1
    cdef int _command(self, object command) except -1
    cdef int _deallocate_all(self) except -1
    cdef bint follow(self, object messages) except -1
    cdef int _follow(self) except -1
    cdef int _sync(self) except -1
    cdef int _fail_copy(self, bint unsynced) except -1
    cdef int _pass(self, const unsigned char *data, Py_ssize_t count) except -1
    cdef int _ready_for_query(self) except -1
    cdef int release_if_free(self) except -1
    cdef int _swallow(self, const unsigned char *frame, Py_ssize_t total) except -1
    cdef int _command_done(self) except -1
    cdef int _answered(self, Borrower client) except -1
    cdef int _let_client_go_on(self) except -1
    cdef bint _note_parameter(self, const unsigned char *body, Py_ssize_t count) except -1
    cdef int _note_error(self, const unsigned char *frame, Py_ssize_t total) except -1
    cdef bint _is_gathered(self, int kind) except -1
    cdef int _judge(
        self, int kind, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -3
    cdef int _judge_error(
        self, const unsigned char *frame, Py_ssize_t total, bint whole
    ) except -3
    cdef int _judge_ready(self, const unsigned char *frame, Py_ssize_t total) except -3
    cdef int _end_turn(self) except -1
    cdef int _answer_deallocate(self) except -1
    cdef int _note_tag(self, const unsigned char *tag, Py_ssize_t count, int action) except -1
