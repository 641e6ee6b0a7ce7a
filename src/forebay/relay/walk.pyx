"""Walks what an established client sends.

Messages are looked at by their type and length; only the texts of Query and Parse are read, to
learn whether they change session state (see `examine`). Whole spans go to the database in one write.
"""

from .assembly cimport begin_putting, send_put
from .borrowing cimport READY_IDLE, borrow
from .connection cimport LEDGER_LIMIT, Borrower
from .examine cimport NOTED, UNCERTAIN, UNCHANGED, is_read, look_on, translate
from .frames cimport HEADER_BYTES, is_plausible, length_word
from .lease cimport GUARD_SPENT
from .leaving cimport end_with, may_part, terminate
from .ledger cimport FORWARD, QUERY, awaited
from .peer cimport GATHER_BYTES
from .belief cimport ALL, Message, UNKNOWN, new_message, note
from .statements.prepared cimport Prepared, note_unnamed
from .replay cimport discard_plans
from .statements.use cimport ASKED, NAMED_LIMIT, define_proven
from .turn cimport follow, release_if_free


cdef Py_ssize_t walk(Borrower client, const unsigned char *data, Py_ssize_t count) except -1:
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t start = 0  # from here to `at`: to be forwarded
    cdef Py_ssize_t total, step, done
    cdef int kind
    cdef bint whole
    if not client.greeted or client.place is not None or client.held_back or client.unsettled:
        return 0
    client.last_active = client.poller.now
    begin_putting()
    while client.fd >= 0 and not client.finishing:
        if client.body_left:
            step = min(<Py_ssize_t> client.body_left, count - at)
            client.body_left -= step
            if client.looking is not None:
                look_on(client, data + at, step, client.body_left == 0)
            at += step
            if not client.body_forward:
                start = at
            elif client.body_left == 0 and client.server is not None and may_part(client):
                # Its replies were complete before the message was: COPY data behind an error.
                send_put(client.server, data + start, at - start)
                start = at
                release_if_free(client.server)
        if count - at < HEADER_BYTES:
            break
        kind = data[at]
        total = <Py_ssize_t> length_word(data + at) + 1
        whole = count - at >= total
        if not is_plausible(kind, total):
            if client.server is not None:
                send_put(client.server, data + start, at - start)
            end_with(client, client.sessions.violated(client, kind), "it broke the protocol")
            return count
        if kind == c"X":
            if client.server is not None:
                send_put(client.server, data + start, at - start)
            terminate(client)
            return count
        if not whole and is_read(client, kind):
            if count - at < _awaited(client, kind, data + at, total, count - at):
                break
        client.hold_limit = GATHER_BYTES
        if client.server is None or client.skipping:
            client.body_forward = False
            if _without_server(client, kind, data + at, total, whole):
                # Dropped: nothing of it goes to a database.
                step = min(total, count - at)
                client.body_left = total - step
                start = at = at + step
                continue
            if client.server is None or client.held_back:
                break
        if client.lease.guarded == GUARD_SPENT:
            client.unsettled = True
            break
        if client.server.plans_stale and client.server.status != c"E" and kind != c"S":
            send_put(client.server, data + start, at - start)
            begin_putting()
            start = at
            discard_plans(client.server, client.lease.unsynced)
        step = min(total, count - at)
        client.last_kind = kind
        done = UNCHANGED
        if is_read(client, kind):
            done = translate(client, kind, data + start, at - start, data + at, total, step)
            if done == UNCERTAIN or done == ASKED:
                client.unsettled = True
                start = at if done == ASKED else start
                break
        if done == UNCHANGED:
            _note_sent(client, kind)
        elif done != NOTED:
            start = at + min(done, step)
        client.body_forward = done < total
        client.body_left = total - step
        at += step
        if client.follow_up is not None and (kind == c"Q" or kind == c"S"):
            if follow(client.server, client.follow_up):
                client.unsettled = True
                client.follow_up = None
                break
            client.follow_up = None
    if client.fd < 0 or client.finishing:
        return count
    if client.server is not None:
        send_put(client.server, data + start, at - start)
        if client.server.is_blocked() or client.server.ledger.count > LEDGER_LIMIT:
            client.pause_reading()
    if client.is_blocked():
        client.pause_reading()
    return at


cdef Py_ssize_t _awaited(
    Borrower client, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there
) noexcept:
    """How many bytes of a message that is read must be there before it is looked at. A long Parse
    with a name is kept, so it must be whole."""
    if total <= GATHER_BYTES or there < GATHER_BYTES:
        return min(total, GATHER_BYTES)
    if kind != c"P" or not frame[HEADER_BYTES] or total > NAMED_LIMIT or client.skipping:
        return GATHER_BYTES
    client.hold_limit = total
    return total


cdef bint _without_server(
    Borrower client, int kind, const unsigned char *frame, Py_ssize_t total, bint whole
) except -1:
    """Treat a message while no connection is held: True if it is done with and dropped.

    False: it goes to the connection that was borrowed for it, or waits for one.
    """
    if kind == c"S":
        client.skipping = False
        if client.names is not None:
            client.names.unasked = None
        if whole:
            client.say(READY_IDLE)
        return True
    if client.skipping:
        return True
    if kind == c"d" or kind == c"c" or kind == c"f" or kind == c"H":
        return True  # PostgreSQL ignores them, too, outside COPY
    if client.refusal is not None:
        refusal, client.refusal = client.refusal, None
        client.say(refusal)
        if kind == c"Q" or kind == c"F":
            client.say(READY_IDLE)
        else:
            client.skipping = True
        return True
    if kind == c"P" and whole and define_proven(client, frame, total):
        return True
    client.in_parts = not whole
    borrow(client)
    return False


cdef int _note_sent(Borrower client, int kind) except -1:
    """Tell the ledger which reply the message will have."""
    cdef int reply = awaited(kind)
    if kind == c"Q" or kind == c"S":
        _end_batch(client, reply)
        reply = 0
    if kind == c"S":
        client.lease.unsynced = False
        if client.lease.guarded:
            client.lease.guarded = GUARD_SPENT
    elif kind == c"F":
        client.sessions.pinner.pin(client, "FUNCTION_CALL", None)
    elif kind != c"Q" and kind != c"d" and kind != c"c" and kind != c"f":
        client.lease.unsynced = True
    if reply:
        client.server.ledger.push(reply, FORWARD)
    return 0


cdef int _end_batch(Borrower client, int reply) except -1:
    """A Sync or a simple Query is sent. A Query ends the unnamed statement: the connection's, which
    may be another client's, and this client's."""
    cdef Prepared prepared = client.server.prepared
    cdef Message ending = None
    if reply == QUERY and _has_unnamed(client):
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


cdef bint _has_unnamed(Borrower client) except -1:
    if client.names is not None and client.names.unnamed.now() is not None:
        return True
    return client.server.prepared.unnamed.now() is not None
