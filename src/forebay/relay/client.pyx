"""An established client: what the relay and Python ask of it. What it does stands in files of their own:
    walk       what it sends; examine: read before it is sent; statements/: what it prepares
    borrowing  how it stands with its connection
    leaving    its end; moving: to another server

What is rare or slow is asked of ``sessions`` (Python): see ports.py.
"""

from .borrowing cimport (
    borrow, note_confirmed, note_go_on, note_lent, note_settled, note_turn_ended,
    note_turn_refused,
)
from .connection cimport Borrower, Connection
from .kinds cimport is_request
from .leaving cimport end_if_gone, end_lost, end_with, leave_queue, part_with
from .losing cimport note_loss
from .micropool cimport MicroPool
from .moving cimport move
from .poller cimport Poller
from .scan.names cimport FunctionNames
from .statements.entries cimport Named
from .statements.statement cimport Statement
from .states cimport HELD, IDLE, QUEUED, UNSETTLED
from .walk cimport walk


cdef class Client(Borrower):
    """A client that has logged in."""

    def __init__(
        self, Poller poller, int fd, MicroPool pool not None, sessions, int process_id, *,
        settings, parameters=None, tls=None, incoming=None, outgoing=None,
    ):
        Borrower.__init__(self, poller, fd, tls, incoming, outgoing)
        self.state = IDLE
        self.pool = pool
        self.sessions = sessions
        self.process_id = process_id
        self.settings = self.startup = settings
        self.parameters = parameters
        self.connected_at = self.last_active = poller.now

    @property
    def is_waiting(self) -> bool:
        """It stands in the queue for a connection."""
        return self.state == QUEUED

    @property
    def is_busy(self) -> bool:
        """It waits for what is not its own to do: a connection, or the replies to what it sent."""
        cdef Connection server = self.server
        cdef Py_ssize_t owed
        if self.is_blocked():
            return False
        if self.state == QUEUED or self.state == HELD or self.state == UNSETTLED or not self.greeted:
            return True
        if server is None or (server.ledger.copy_in and not self.paused):
            return False
        if self.paused:
            return True  # the database does not take what it sends
        if self.last_kind == c"H" and server.ledger.count:
            return True
        owed = server.ledger.requests
        if self.body_left and self.body_forward and is_request(self.last_kind):
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
        elif borrow(self):
            self.go_on()

    cpdef welcome(self, bytes greeting):
        """Send what ends the login, and listen to the client from now on."""
        self.greeted = True
        self.say(greeting)
        if self.farewell is not None:
            part_with(self, self.farewell)
        self.consume_held()
        self.resume_reading()

    def evacuated(self) -> None:
        """Others have left the databases that its statement needs for itself, or had their time."""
        if self.state == UNSETTLED and self.fd >= 0:
            self.settled()
            end_if_gone(self)

    cpdef set_pinned(self, bint pinned):
        """Whether the client keeps its connection between transactions."""
        self.pinned = pinned

    cpdef refuse(self, bytes error):
        """Answer what the waiting client asked with `error` (an ErrorResponse), in its place in the
        order."""
        if self.state != QUEUED:
            return
        leave_queue(self)
        if self.greeted:
            self.answer(error)
        else:
            end_with(self, error, "it could not be served")

    cpdef answer(self, bytes error):
        """Answer what the client holds back for want of a connection with `error`, and go on behind
        it."""
        self.refusal = error
        self.consume_held()
        self.resume_reading()
        end_if_gone(self)
        if self.farewell is not None:
            part_with(self, self.farewell)

    def move(self, MicroPool pool not None) -> bool:
        """Let it get its connections from `pool` from now on; see `moving`."""
        return move(self, pool)

    cpdef drop(self):
        """Close at once a client that has ended, whatever was still to be sent to it."""
        self.close()

    cdef int drained(self) except -1:
        if self.server is not None:
            self.server.resume_reading()
        if not self.terminating:
            self.resume_reading()
        return 0

    cpdef look_for(self, FunctionNames functions):
        """Doubt what names one of these functions, from now on; None: of functions only those that
        the glance knows matter."""
        self.functions = functions
        if self.names is not None:
            self.names.look_again()

    cpdef fail(self, bytes error, str reason):
        """Send `error` (a FATAL ErrorResponse) and end the client."""
        end_with(self, error, reason)

    cpdef part(self, bytes farewell):
        """Send `farewell` (a FATAL ErrorResponse) and end the client as soon as no transaction of
        it is open."""
        part_with(self, farewell)

    # ---- what the relay and its connection tell it ----

    cdef Py_ssize_t consume(self, const unsigned char *data, Py_ssize_t count) except -1:
        return walk(self, data, count)

    cdef int lost(self, object reason) except -1:
        return end_lost(self, reason)

    cdef int lent(self, bint confirming) except -1:
        return note_lent(self, confirming)

    cdef int go_on(self) except -1:
        return note_go_on(self)

    cdef int confirmed(self, object error) except -1:
        return note_confirmed(self, error)

    cdef int settled(self) except -1:
        return note_settled(self)

    cdef int turn_ended(self) except -1:
        return note_turn_ended(self)

    cdef int server_lost(self, str reason, object loss) except -1:
        return note_loss(self, reason, loss)

    cdef int turn_refused(self, bytes error, list kinds) except -1:
        return note_turn_refused(self, error, kinds)
