"""How an established client stands with its connection, which it borrows for each transaction, and with
what it waits for: what it is told (see `Borrower`) and what follows."""

from .connection cimport Borrower, Connection, Place
from .leaving cimport end, end_if_gone, end_with, may_part, part_with, terminate
from .ledger cimport SYNC
from .lending cimport lend, take_back
from .losing cimport answer_unanswered, begin_aborted
from .peer cimport too_much_is_held
from .states cimport HELD, IDLE, QUEUED, UNSETTLED, WORKING, moved

# A connection may refuse settings because of what others did on it; another one hardly does as well.
cdef int REFUSALS_LIMIT = 3
cdef bytes READY_IDLE = b"Z\x00\x00\x00\x05I"


cdef bint borrow(Borrower client) except -1:
    """Borrow a connection, or queue for one: whether a message may be sent now."""
    cdef Connection server = None
    if client.prefers_last:
        server = client.pool.borrow_last(client.process_id, client.leases)
    if server is None:
        server = client.pool.borrow(client.settings)
    if server is None:
        client.state = moved(client.state, QUEUED)
        client.place = Place(client)
        client.pool.wait(client.place, client.poller.now)
        if client.greeted and too_much_is_held(client, 0):
            client.pool.manager.held_too_much(client)
        return False
    lend(server, client)
    return client.state == WORKING


cdef int note_lent(Borrower client, bint confirming) except -1:
    client.place = None
    client.state = moved(client.state, HELD if confirming else WORKING)
    if not confirming:
        client.losses = client.refusals = 0
    if client.settings is not client.judged:
        client.judged = client.settings
        client.application = client.sessions.applications.of(client)
        client.is_under = client.settings.under_pg_temp
    client.under_pg_temp = not client.strict and (
        client.is_under is True
        or (client.is_under is None and client.server is not None and client.server.begins_under_pg_temp)
    )
    client.reads_all = client.under_pg_temp or (client.application.asks and not client.strict)
    return 0


cdef int note_go_on(Borrower client) except -1:
    if client.state == HELD or client.fd < 0:
        return 0
    if not client.greeted:
        client.parameters = client.server.parameters
        take_back(client.server)
        client.sessions.parameters_known(client)
        return 0
    client.consume_held()
    client.resume_reading()
    return end_if_gone(client)


cdef int note_confirmed(Borrower client, object error) except -1:
    cdef Connection server = client.server
    if error is None and client.aborted and server.status == c"I":
        return begin_aborted(server)
    client.state = moved(client.state, WORKING)
    if error is None:
        client.losses = client.refusals = 0
        return client.go_on()
    if client.pinned:
        # What it has set up there cannot be had elsewhere.
        server.shut("its client's settings could not be put in place")
        return 0
    take_back(server)
    client.refusals += 1
    # It may be the connection that will not do any more, because of what others did on it; or
    # what others had set has cut the change-over short.
    if (server.retired or client.sessions.is_interrupted(error)) and client.refusals < REFUSALS_LIMIT:
        return client.go_on() if borrow(client) else 0
    if client.sessions.settings_refused(client, error):
        return client.go_on() if borrow(client) else 0
    client.losses = client.refusals = 0
    return 0


cdef int note_turn_refused(Borrower client, bytes error, list kinds) except -1:
    forget_transaction(client)
    if client.terminating:
        return end(client, "the client requested that the connection close", False)
    client.pool.tally.refused += answer_unanswered(client, error, kinds, READY_IDLE, kinds[:1] == [SYNC])
    client.asked_at = 0
    if client.farewell is not None:
        part_with(client, client.farewell)
    if client.fd < 0 or client.finishing:
        return 0
    client.consume_held()
    client.resume_reading()
    return end_if_gone(client)


cdef int forget_transaction(Borrower client) except -1:
    """The client goes on without what it has sent last, and without the connection, which is gone."""
    if client.state == UNSETTLED:
        client.state = moved(UNSETTLED, IDLE)
    client.body_forward = False
    client.follow_up = None
    if client.portals is not None:
        client.portals.forget()
    if client.names is not None:
        client.names.forget()
    client.suspect = False
    if client.notes is not None:
        client.sessions.pinner.nothing_ran(client)
    if client.evacuation is not None:
        client.sessions.evacuations.over(client)
    return 0


cdef int note_turn_ended(Borrower client) except -1:
    client.last_active = client.poller.now
    if client.server is None or client.server.status == c"I":
        client.aborted = False
        if client.portals is not None:
            client.portals.forget()
        if client.lease is not None and client.lease.meanwhile is not None:
            if not client.suspect and client.lease.audit is None:
                client.lease.meanwhile = None  # its settings are what its session has
    if client.fd < 0:
        return 0
    if client.terminating:
        return terminate(client)
    if client.state == UNSETTLED:
        return client.settled()
    if client.evacuation is not None and (client.server is None or client.server.status == c"I"):
        client.sessions.evacuations.over(client)
    if client.farewell is not None and may_part(client):
        end_with(client, client.farewell, "Forebay is shutting down or the client has reached its limit")
    elif client.paused and client.server is not None and not client.server.is_blocked():
        client.resume_reading()  # it had sent far more than was answered
    return 0


cdef int note_settled(Borrower client) except -1:
    if client.lease is not None and client.lease.is_following():
        return 0  # Forebay's part of its turn is not over
    client.state = moved(client.state, IDLE if client.server is None else WORKING)
    client.consume_held()
    client.resume_reading()
    return 0
