"""The turns of a client that has a connection: what belongs to one is sent behind it, it ends with
ReadyForQuery, and before the connection lets go the database is asked what its session has left.

lend ─▶ (replay of settings) ─▶ the client's messages ⇄ replies ─▶ ReadyForQuery
                                                                       │ (follow up)
              take_back ◀─ not pinned ◀─ (ask) ◀─ release_if_free ◀────┘
"""

from forebay.relay.command import Command

from .connection cimport Borrower, Connection
from .frames cimport HEADER_BYTES
from .lease cimport Lease
from .ledger cimport PARSE, QUERY
from .lending cimport settle, take_back
from .repeating cimport ask_about_refusal, refusal_confirmed
from .replay cimport replay, replayed
from .states cimport SETTLING, UNSETTLED
from .timing cimport note_answered

cdef bytes PARSE_COMPLETE = b"1\x00\x00\x00\x04"
cdef bytes CLOSE_COMPLETE = b"3\x00\x00\x00\x04"
cdef bytes DEALLOCATED = b"C\x00\x00\x00\x0fDEALLOCATE\0"
cdef bytes ABORTED_FIELDS = (
    b"SERROR\0VERROR\0C25P02\0Mcurrent transaction is aborted, commands ignored until end of"
    b" transaction block\0\0"
)
cdef bytes ABORTED = b"E" + (len(ABORTED_FIELDS) + 4).to_bytes(4, "big") + ABORTED_FIELDS


# ---- what follows a turn ----


cdef bint follow(Connection server, object messages) except -1:
    """When what the client has just sent has succeeded, send one of `messages` (Query messages
    for outside a transaction block, and for in one), and let the client hear only then that it
    is done, and what its parameters are. False: the database skips what was sent."""
    cdef Lease lease = server.lease
    if server.ledger.failed or server.ledger.copy_in:
        return _did_not_reset(server)
    lease.follow_up = messages
    lease.turns_before = server.ledger.turns() - 1
    if lease.turns_before == 0:
        lease.parameters_told = server.parameters
    return True


cdef int begin_follow_up(Connection server) except -1:
    """What the client had sent is answered: go on with what follows it."""
    cdef Lease lease = server.lease
    cdef bytes message
    if lease.withheld is not None:
        return ask_about_refusal(server)
    message = lease.follow_up[server.status != c"I"]
    lease.follow_up = None
    if lease.turn_failed and not lease.discarded:
        _did_not_reset(server)
        return _end_turn(server)
    if server.client is None or not message:
        return _end_turn(server)
    server.command(Command(ends_turn=True))
    return server.write(message, len(message))


cdef bint _did_not_reset(Connection server) except -1:
    """What the client has sent has failed, and so taken nothing back, unless DISCARD ALL came
    before it."""
    if server.client is not None and not server.lease.discarded:
        server.client.notes.restored = {}
    return False


cdef int _end_turn(Connection server) except -1:
    """The client hears of its parameters, and that it is its turn again."""
    cdef Lease lease = server.lease
    cdef bytes message = b"Z\x00\x00\x00\x05" + bytes((server.status,))
    if server.client is not None and lease.parameters_told is not None:
        message = server.parameters.changes_from(lease.parameters_told) + message
    lease.parameters_told = None
    pass_on(server, message, len(message))
    note_answered(server)
    return ready_for_query(server)


# ---- the end of a turn ----


cdef int ready_for_query(Connection server) except -1:
    """All replies have come. The connection is free if the client is between transactions and
    not pinned."""
    cdef Borrower client = server.client
    if client is None:
        return settle(server)
    server.lease.control = 0
    if server.status == c"I":
        server.lease.portals_control = 0
        if server.parameters is not server.lease.parameters_before:
            client.suspect = True  # no statement may have shown it
            server.lease.parameters_before = server.parameters
        release_if_free(server)
    return client.turn_ended()


cdef int release_if_free(Connection server) except -1:
    """Take the connection back if its client can do without, or ask what stands in the way."""
    cdef Borrower client = server.client
    if server.ledger.count or server.ledger.failed or server.status != c"I":
        return 0
    if server.lease.unsynced or client.terminating:
        return 0
    if client.body_left and client.body_forward:
        return 0
    if client.suspect:
        # What the client sends now waits for the answer: a setting that it has just reset may
        # have to become again what it asked for at its login.
        client.suspect = server.lease.unaudited = False
        client.lent(True)
        client.sessions.auditor.ask(client)
    elif not client.pinned and (client.names is None or not client.names.keeps_connection()):
        take_back(server)
    return 0


cdef int pass_on(Connection server, const unsigned char *data, Py_ssize_t count) except -1:
    """Pass replies on to the client, if it is still there; wait for it if it does not take
    them."""
    if count and server.client is not None:
        server.pool.tally.sent += count
        server.lease.forwarded = True
        server.client.write(data, count)
        if server.client is not None and server.client.is_blocked():
            server.pause_reading()
    return 0


# ---- in the database's place ----


cdef int answer_fakes(Connection server) except -1:
    """Answer in the database's place what it was not asked, as far as its turn has come."""
    cdef int kind
    while server.fd >= 0:
        kind = server.ledger.take_fake()
        if kind == 0:
            break
        server.prepared.note_outcome()
        if kind == QUERY:
            _answer_deallocate(server)
        elif server.client is not None:
            pass_on(server, PARSE_COMPLETE if kind == PARSE else CLOSE_COMPLETE, HEADER_BYTES)
    return 0


cdef int _answer_deallocate(Connection server) except -1:
    """The answer to DEALLOCATE of a statement whose name the database does not know."""
    cdef bytes answer = DEALLOCATED if server.status != c"E" else ABORTED
    if server.client is not None:
        answer += b"Z\x00\x00\x00\x05" + bytes((server.status,))
        pass_on(server, answer, len(answer))
    note_answered(server)
    if server.ledger.count == 0:
        ready_for_query(server)
    return 0


# ---- answers to Forebay's own commands ----


cdef int command_done(Connection server) except -1:
    """The first of Forebay's own commands is answered to its end."""
    cdef Borrower client
    cdef bint was_audit
    command = server.commands.popleft()
    was_audit = command is server.lease.audit
    if was_audit:
        server.lease.audit = None
    if command.ends_turn:
        if server.lease.withheld is not None:
            return refusal_confirmed(server, command)
        return _end_turn(server)
    if command.is_replay:
        replayed(server, command.error)
    elif command.done is not None:
        command.done(server, command)
    if server.ledger.fakes:
        answer_fakes(server)
    if server.ledger.count or server.fd < 0:
        return 0
    client = server.client
    if client is None:
        if server.state == SETTLING:
            settle(server)
    elif not server.lease.confirming:
        if was_audit:
            _answered(server, client)
        else:
            if client.state != UNSETTLED:  # it goes on with its message here
                release_if_free(server)
            client.turn_ended()
    return 0


cdef int _answered(Connection server, Borrower client) except -1:
    """It is known what the client's session holds: let go of it, or go on with it."""
    client.lent(False)
    release_if_free(server)
    if client.server is server and client.settings is not server.settings:
        # The client keeps the connection for what it has there: another one would not do.
        replay(server, client, True)
        return client.lent(True)
    client.turn_ended()
    return client.go_on()
