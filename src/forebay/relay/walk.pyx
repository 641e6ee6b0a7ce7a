"""Walks what an established client sends.

Messages are looked at by their type and length; what else happens to each type stands in its row (see
`kinds`). Whole spans go to the database in one write.
"""

from .assembly cimport begin_putting, put_before, put_flush, send_put
from .belief cimport ALL, Message, UNKNOWN, new_message, note
from .borrowing cimport READY_IDLE, borrow
from .connection cimport LEDGER_LIMIT, Borrower, Connection
from .examine cimport is_followed, look_on
from .frames cimport FATE, HEADER_BYTES, PASSES, WAITS, Frame, length_word
from .kinds cimport KINDS, MessageKind
from .lease cimport GUARD_SPENT, Lease
from .leaving cimport end_with, may_part, terminate
from .ledger cimport FORWARD, QUERY, SYNC
from .losing cimport READY_FAILED, is_answered_aborted
from .peer cimport GATHER_BYTES, too_much_is_held
from .repeating cimport keep_request
from .replay cimport discard_plans
from .statements.prepared cimport Prepared, note_unnamed
from .statements.use cimport NAMED_LIMIT, define_proven
from .states cimport IDLE, QUEUED, UNSETTLED, WORKING, moved
from .timing cimport note_asked, note_not_asked, note_nothing_owed
from .turn cimport follow, release_if_free


cdef Py_ssize_t walk(Borrower client, const unsigned char *data, Py_ssize_t count) except -1:
    """Take what the client has sent, as far as that can be done now. Returns how many bytes were taken."""
    cdef const unsigned char *end = data + count
    cdef Frame frame
    cdef MessageKind *row
    if client.state > WORKING or not client.greeted:
        if client.state == QUEUED and too_much_is_held(client, count):
            client.pause_reading()  # until it goes on
        return 0
    client.last_active = client.poller.now
    begin_putting()
    frame.data = frame.unsent = data
    while client.fd >= 0 and not client.finishing:
        if client.body_left:
            _go_through_body(client, &frame, end)
        if frame.data < end and client.asked_at == 0:
            client.asked_at = client.poller.now
        if end - frame.data < HEADER_BYTES:
            break
        frame.kind = frame.data[0]
        frame.total = <Py_ssize_t> length_word(frame.data) + 1
        frame.there = min(frame.total, end - frame.data)
        row = &KINDS[frame.kind]
        if frame.total < HEADER_BYTES or frame.total > row.limit or row.ends_client:
            _send(client, &frame)
            if frame.total >= HEADER_BYTES and frame.total <= row.limit:
                terminate(client)
            else:
                end_with(client, client.sessions.violated(client, frame.kind), "it broke the protocol")
            return count
        if row.is_whole and frame.there < frame.total and _is_awaited(client, &frame):
            break
        client.hold_limit = GATHER_BYTES
        if client.server is None or client.skipping:
            if _is_dropped(client, row, &frame):
                client.body_left = frame.total - frame.there
                client.body_forward = False
                frame.data = frame.unsent = frame.data + frame.there
                continue
            if client.state != WORKING:
                break
        if not _pass(client, row, &frame):
            client.state = moved(client.state, UNSETTLED)
            break
    if client.fd < 0 or client.finishing:
        return count
    _send(client, &frame)
    if client.keeps_requests and client.server is not None:
        keep_request(client, data, frame.data - data)
    if client.state == UNSETTLED:
        client.server.push()  # what was put off, to leave with the message that waits now
    if client.is_blocked() or (
        client.server is not None
        and (client.server.is_blocked() or client.server.ledger.count > LEDGER_LIMIT)
    ):
        client.pause_reading()
    _note_unasked(client, frame.data == end)
    client.pool.tally.received += frame.data - data
    return frame.data - data


cdef int _note_unasked(Borrower client, bint is_taken) noexcept:
    """What has come may have no answer: then it was no request, and what comes next begins one."""
    if client.server is not None:
        note_nothing_owed(client.server, is_taken)
    elif is_taken and client.state == IDLE:
        client.asked_at = 0
    return 0


cdef int _send(Borrower client, Frame *frame) except -1:
    """Send what stands before this message."""
    if client.server is not None:
        send_put(client.server, frame.unsent, frame.data - frame.unsent)
    frame.unsent = frame.data
    return 0


cdef int _go_through_body(Borrower client, Frame *frame, const unsigned char *end) except -1:
    """Take what has come of a message that is long, or whose beginning came before."""
    cdef Py_ssize_t step = min(<Py_ssize_t> client.body_left, end - frame.data)
    client.body_left -= step
    if client.looking is not None:
        look_on(client, frame.data, step, client.body_left == 0)
    frame.data += step
    if not client.body_forward:
        frame.unsent = frame.data
    elif client.body_left == 0 and client.server is not None and may_part(client):
        # Its replies were complete before the message was: COPY data behind an error.
        _send(client, frame)
        release_if_free(client.server)
    return 0


cdef bint _is_awaited(Borrower client, Frame *frame) noexcept:
    """Whether more must be there of a message before it is looked at. A long Parse with a name is kept, so
    it must be whole. An Execute matters only if something may follow of what it runs."""
    if frame.kind == c"E" and not is_followed(client):
        return False
    if frame.total <= GATHER_BYTES or frame.there < GATHER_BYTES:
        return True
    if frame.kind != c"P" or not frame.data[HEADER_BYTES] or frame.total > NAMED_LIMIT or client.skipping:
        return False
    if too_much_is_held(client, frame.there):
        return False
    client.hold_limit = frame.total
    return True


cdef bint _is_dropped(Borrower client, MessageKind *row, Frame *frame) except -1:
    """Treat a message while no connection is held: True if it is done with, and nothing of it goes to a
    database.

    False: it goes to the connection that was borrowed for it, or waits for one.
    """
    if frame.kind == c"S":
        client.skipping = False
        if client.names is not None:
            client.names.unasked = None
        client.say(READY_FAILED if client.aborted else READY_IDLE)
        client.asked_at = 0
        return True
    if client.skipping or not row.borrows:
        return True
    if client.aborted:
        if is_answered_aborted(client, frame.kind, frame.data + HEADER_BYTES, frame.there - HEADER_BYTES):
            return True
    elif client.refusal is not None:
        refusal, client.refusal = client.refusal, None
        client.say(refusal)
        client.pool.tally.refused += 1
        if row.opens_batch:
            client.skipping = True
        else:
            client.say(READY_IDLE)
            client.asked_at = 0
        return True
    if frame.kind == c"P" and frame.there == frame.total and define_proven(client, frame):
        return True
    client.in_parts = frame.there < frame.total
    borrow(client)
    return False


cdef bint _pass(Borrower client, MessageKind *row, Frame *frame) except -1:
    """Note that a message is sent, or what replaces it. Returns False if it has to wait, or what stands
    behind it."""
    cdef FATE fate = PASSES
    if client.lease.guarded == GUARD_SPENT:
        return False
    if client.server.timeouts_in_flight and row.borrows and client.server.ledger.count == 0:
        return False  # a request to cancel what was answered meanwhile must not hit this
    if client.lease.unsynced and row.borrows and row.ends_batch:
        if _waits_for_batch(client, frame):
            return False
    elif client.server.plans_stale and frame.kind != c"S":
        _discard_stale_plans(client, frame)
    note_asked(client.server)
    if row.handler != NULL:
        fate = <FATE> row.handler(client, frame)
        if fate == WAITS:
            note_not_asked(client.server)
            return False
    client.last_kind = frame.kind
    if row.opens_batch:
        client.lease.unsynced = True
    if fate == PASSES:
        _note_sent(client, row)
    client.body_left = frame.total - frame.there
    client.body_forward = frame.unsent < frame.data + frame.total
    frame.data += frame.there
    frame.unsent = min(frame.unsent, frame.data)
    if client.follow_up is not None and row.ends_batch:
        follow_up, client.follow_up = client.follow_up, None
        return not follow(client.server, follow_up)
    return True


cdef bint _waits_for_batch(Borrower client, Frame *frame) except -1:
    """Whether a Query or FunctionCall has to wait for answers to the batch in which it stands, with no Sync before it.

    The database runs it if nothing before it in the batch has failed, and skips it otherwise. What it does to the
    session is noted when it is sent: so it is sent when that is known.
    """
    cdef Connection server = client.server
    if server.ledger.failed or server.ledger.copy_in:
        return False  # it is skipped, or ends the COPY with an error
    if server.ledger.count:
        if client.last_kind == c"H":
            return True
        put_before(client, frame)
        client.last_kind = c"H"
        put_flush(server)
        return True
    if client.lease.executed and server.status == c"I":
        # PostgreSQL (18.6, for one) leaves the transaction half open behind the Sync that follows. The next
        # statement fails ("StartTransactionCommand: unexpected state"), and would be another client's.
        server.retired = True
    return False


cdef int _discard_stale_plans(Borrower client, Frame *frame) except -1:
    """The client has changed what plans are made by: discard those that there are, as soon as nobody sees it.

    Within a batch that is open an Execute does so. Outside a transaction block it would make a pipeline of the batch,
    in which some commands do something else, unless there was one before. A simple Query would end portals, and be
    skipped if the batch has failed.
    """
    cdef Connection server = client.server
    cdef Lease lease = client.lease
    cdef bint in_batch = lease.unsynced and (lease.executed or server.status == c"T")
    if server.status == c"E":
        return 0
    if lease.unsynced and not in_batch and (lease.bound or server.ledger.count):
        return 0
    _send(client, frame)
    begin_putting()
    return discard_plans(server, in_batch)


cdef int _note_sent(Borrower client, MessageKind *row) except -1:
    """Tell the ledger which reply the message will have."""
    if row.ends_batch:
        return _end_batch(client, row.reply)
    if row.reply:
        client.server.ledger.push(row.reply, FORWARD)
    return 0


cdef int _end_batch(Borrower client, int reply) except -1:
    """A Sync, a simple Query or a FunctionCall is sent. A Query ends the unnamed statement: the connection's, which
    may be another client's, and this client's."""
    cdef Prepared prepared = client.server.prepared
    cdef Message ending = None
    if reply != SYNC and client.server.ledger.failed:
        return 0  # the database skips it
    if reply == SYNC or not client.server.ledger.copy_in:
        client.lease.unsynced = client.lease.bound = client.lease.executed = False
    if reply == SYNC:
        if client.lease.guarded:
            client.lease.guarded = GUARD_SPENT
    elif reply == QUERY and _may_have_unnamed(client):
        ending = new_message()
        note_unnamed(prepared, ending, None if client.names is None else client.names.unnamed, None)
    if client.lease.drops_all:
        client.lease.drops_all = False
        ending = new_message() if ending is None else ending
        note(ending, prepared.statements, ALL, UNKNOWN)
        if client.names is not None:
            note(ending, client.names.table, ALL, UNKNOWN)
    if ending is None:
        client.server.ledger.push(reply, FORWARD)
    else:
        prepared.owe(reply, FORWARD, ending)
    if client.names is not None:
        client.names.unasked = None
    return prepared.end_batch()


cdef bint _may_have_unnamed(Borrower client) except -1:
    if client.names is not None and client.names.unnamed.is_possible():
        return True
    return client.server.prepared.unnamed.is_possible()
