from libc.stdint cimport uint32_t, uint64_t

from .application cimport Application
from .lease cimport Lease
from .ledger cimport Ledger
from .micropool cimport MicroPool, Waiter
from .peer cimport Peer
from .scan.glance cimport ChunkedGlance
from .scan.names cimport FunctionNames
from .statements.names cimport Names
from .statements.portals cimport Portals
from .statements.prepared cimport Prepared


cdef enum:
    LEDGER_LIMIT = 16384  # replies owed to one client before it is not read any more


cdef enum:
    # Whose values of sequences a session remembers, if not those of one client alone.
    NOBODY = 0
    SEVERAL = -1


cdef class Borrower(Peer):
    cdef readonly int state  # see states.pyx
    # A queue link of its own class, since a Peer cannot be a Waiter as well (C structures have one base).
    cdef readonly Place place
    cdef readonly Connection server
    cdef readonly Lease lease  # of the connection; None without one
    cdef readonly MicroPool pool
    cdef readonly object sessions  # answers what is rare or slow: see ports.py
    cdef readonly int process_id  # what BackendKeyData tells the client: names it in a cancel request
    cdef public object user  # what it has logged in as; None: as its micro-pool's user
    cdef public object settings
    cdef public object parameters
    cdef public object notes  # what else is known of its session; None until it was suspect
    cdef readonly Names names  # what it has prepared; None until it prepares something
    cdef Portals portals  # of its transaction; None until it binds one
    cdef readonly bint pinned
    cdef public bint under_pg_temp  # its search_path names pg_temp: what it creates may be temporary
    cdef public bint strict  # what is to pin is what pins on RDS Proxy
    cdef public bint keeps_requests  # they may be sent again: see repeating
    cdef public bint reads_all  # every statement of it is read, whatever its text
    cdef readonly Application application  # None before it has had a connection
    cdef uint64_t leases  # how often it has had a connection, but for its greeting
    cdef public bint prefers_last  # it has drawn from a sequence, which the connection that it had last knows
    cdef bint may_have_drawn_elsewhere  # what the session remembers of sequences may not be all that it drew
    cdef public bint suspect  # may have changed session state: the database is asked before it lets go
    cdef bint terminating  # said Terminate behind statements that are still being answered
    cdef bint in_parts  # the message for which it borrows has not come as a whole
    cdef uint32_t body_left  # of the message it is sending
    cdef bint body_forward

    cdef public object follow_up  # behind the turn that it is sending: see turn.follow
    cdef FunctionNames functions  # that the operator lists; None: none
    cdef ChunkedGlance looking  # at a statement that is too long to be held back; mostly None
    cdef object deallocated  # the name in a DEALLOCATE that Forebay answers
    cdef public int protocol_minor
    cdef readonly bint greeted
    cdef readonly object startup  # the settings it logged in with
    cdef public object evacuation  # of databases that its statement needs for itself; mostly None
    cdef public double connected_at
    cdef public double last_active
    cdef readonly double asked_at  # when the request that is not answered yet began to come; 0.0: there is none
    cdef public Py_ssize_t unsent_seen  # what had not been taken when somebody looked last
    cdef int last_kind  # of the messages that have gone to a connection
    cdef object judged  # the settings that it had when `is_under` was found
    cdef object is_under  # pg_temp, by its own search_path; None: it has none of its own
    cdef int losses  # connections in a row that ended before they were
    cdef int refusals  # ... or would not take its settings
    cdef bint skipping  # an error was sent in the extended protocol: everything up to Sync is discarded
    cdef object refusal  # the error that answers the next message that would need a connection
    cdef readonly bint aborted  # its transaction was lost, and it has not ended it yet
    cdef object farewell  # the FATAL error that ends the client when its transaction is over

    cdef Names own_names(self)
    cdef Portals own_portals(self)
    cpdef say(self, bytes message)
    cpdef object parameters_now(self)

    # What it is told.
    cdef int lent(self, bint confirming) except -1
    cdef int go_on(self) except -1
    cdef int confirmed(self, object error) except -1
    cdef int settled(self) except -1
    cdef int turn_ended(self) except -1
    cdef int server_lost(self, str reason, object loss) except -1
    cdef int turn_refused(self, bytes error, list kinds) except -1


cdef class Place(Waiter):
    cdef readonly Borrower borrower


cdef class Connection(Peer):
    cdef readonly int state  # see states.pyx
    cdef readonly MicroPool pool
    cdef readonly Borrower client
    cdef readonly Lease lease  # the last one, once its client has gone
    cdef readonly Ledger ledger
    cdef readonly Prepared prepared
    cdef public object settings
    cdef object rested  # settings that may stay while nobody uses it: all of the last ones that did
    cdef public object parameters
    cdef readonly int pid
    cdef readonly bytes cancel_key
    cdef public object place  # where it leads to: address family and address
    cdef readonly int status  # of the last ReadyForQuery: "I", "T" or "E"
    # When its client's request that is not answered yet, and the transaction, began to be sent; 0.0: there is none.
    cdef readonly double asked_at
    cdef readonly double transaction_at
    cdef bint altered  # what prepared statements mean may have changed in this transaction
    cdef public bint stale  # ... or before: nothing that is prepared is to be used any more
    cdef readonly bint dirty  # carries session state of its last client
    cdef public bint retired  # closes as soon as it is free
    cdef bint handing_on  # goes from waiter to waiter: see lending.go_free
    cdef public int cancels_in_flight
    cdef public int timeouts_in_flight  # those of them that are no client's: its next request waits
    cdef public bint begins_hasty  # with a statement_timeout that may hit a change-over
    cdef public object search_path  # what it began with, init_query included
    cdef public bint begins_under_pg_temp  # ... in which pg_temp stands, or in what RESET makes of it
    cdef public double opened_at
    cdef public double idle_since
    cdef public double age_jitter  # what its greatest age is multiplied with, so that not all end at once
    cdef public object made_by  # the login, None if unknown
    cdef public double renew_at  # retires at this time: that login is outdated
    cdef object commands  # Forebay's own, unanswered: deque of Command
    # Plans may have been made under other settings than it has now, which may decide what they find.
    cdef public bint plans_mixed
    cdef public bint plans_stale  # ... and its client has not had them discarded yet
    # Whose values of sequences (currval, lastval) its session remembers: those of the client with this
    # number alone, drawn up to its lease of this number; or NOBODY's, or of SEVERAL.
    cdef readonly int drawn_by
    cdef readonly uint64_t drawn_in
    cdef readonly bint forgetting  # was told to forget them
    cdef int forgotten_not  # how often in a row that has failed
    cdef bint fatal_forwarded  # the client knows already why the connection ends
    cdef bytes last_word  # the FATAL error (its body) that ends the connection, and no client got
    cdef bint ours  # Forebay ends the connection
    cdef uint32_t body_left  # of the message it is receiving

    cpdef object run(self, bytes sql, object done)
    cpdef shut(self, str reason)
    cpdef cut(self, str reason)
    cdef int command(self, object command) except -1
    cdef int begin_lease(self, Borrower client) except -1
    cdef int part(self) except -1
