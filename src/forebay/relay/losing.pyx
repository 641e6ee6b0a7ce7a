"""A client's connection is lost: what the client is told, and how it goes on.

What is to become of it is decided in Python (`sessions.server_lost`), by a Loss. If it stays it has an answer to each
of its messages, in their order. Behind a transaction that was lost it has an aborted one: of its next connection,
which is put into one before anything of the client's is sent (`begin_aborted`), so PostgreSQL itself says what runs
in it: nothing, until the client ends it.
"""

import re

from forebay.relay.command import Command
from forebay.relay.loss import CUT_OFF, STAYS, STAYS_ABORTED, WAITS, Loss

from .borrowing cimport borrow, forget_transaction
from .connection cimport Borrower, Connection
from .frames cimport message as framed
from .leaving cimport end, end_if_gone, end_with, part_with
from .ledger cimport COPY_END, SYNC
from .repeating cimport begin_alone, put_back
from .scan.control cimport ENDS, HIDES, SEVERAL, control_of
from .states cimport HELD

# A database that has gone may have left many idle connections, each of which is found dead in its turn;
# after so many it is the settings that connections end of.
cdef int LOSSES_LIMIT = 100
cdef int ROLLBACK_LIMIT = 200  # bytes
cdef object ROLLBACK = re.compile(rb"\s*(?:rollback|abort)(?:\s+(?:work|transaction))?\s*;?\s*\0", re.IGNORECASE)
cdef bytes ROLLED_BACK = framed(b"C", b"ROLLBACK\0") + b"Z\x00\x00\x00\x05I"
cdef bytes READY_IDLE = b"Z\x00\x00\x00\x05I"
cdef bytes READY_FAILED = b"Z\x00\x00\x00\x05E"
# The second statement fails, whatever the settings are, and its error says why.
cdef bytes BEGIN_ABORTED = framed(b"Q", b"BEGIN; ROLLBACK TO SAVEPOINT _forebay_transaction_lost\0")


cdef object loss_of(Connection server, Borrower client):
    """What is known of a client's exchange with the connection that it still has. None: the client has heard why
    the connection ends, or said goodbye."""
    cdef object loss
    if client.terminating or server.fatal_forwarded:
        return None
    loss = Loss()
    loss.word = server.last_word
    if client.state == HELD or not client.greeted:
        loss.waits = loss.is_held = True
        loss.unknown_session = server.lease.audit is not None
        loss.is_hopeless = client.losses + 1 >= LOSSES_LIMIT
        return loss
    loss.kinds = server.ledger.kinds()
    loss.unsynced = server.lease.unsynced or server.ledger.failed
    loss.failed = server.lease.turn_failed or server.ledger.failed
    loss.status = server.status
    loss.control = server.lease.control | server.lease.portals_control
    if server.ledger.ignored_syncs:
        loss.control |= HIDES  # of a COPY: where the client believes its batch to end is not known
    loss.sent = bool(loss.kinds) or loss.unsynced
    loss.waits = client.held_count > 0
    loss.half_forwarded = server.body_left > 0
    loss.unknown_session = server.lease.unaudited or server.lease.is_following()
    if not server.lease.replaying:
        loss.parameters_told = server.parameters
    loss.begin = None if loss.waits else begin_alone(server)
    if loss.begin is not None:
        loss.waits = True
        loss.is_hopeless = client.losses + 1 >= LOSSES_LIMIT
    return loss


cdef int note_loss(Borrower client, str reason, object loss) except -1:
    """The connection is gone, and the client has none."""
    cdef bytes error
    if loss is None:
        return end(client, "its database connection ended", False)
    client.losses += 1
    outcome, error = client.sessions.server_lost(client, reason, loss)
    if outcome == WAITS:
        if loss.begin is not None:
            put_back(client, loss.begin)
        return _wait(client, loss.is_held)
    if outcome == STAYS or outcome == STAYS_ABORTED:
        return _stay(client, error, loss, outcome == STAYS_ABORTED)
    if outcome == CUT_OFF:
        return end(client, reason, True)
    return end_with(client, error, reason)


cdef int _wait(Borrower client, bint was_held) except -1:
    """Nothing of the client's had reached the database: another connection will do. `was_held`: it has borrowed, and
    waits for that; else it may need none."""
    if not was_held:
        forget_transaction(client)
        return _go_on(client)
    if borrow(client):
        client.go_on()
    return 0


cdef int _stay(Borrower client, bytes error, object loss, bint aborted) except -1:
    """Answer with `error` what is unanswered, and go on behind it. `aborted`: the client is in a transaction, and
    is to end it."""
    cdef list kinds = loss.kinds
    forget_transaction(client)
    client.aborted = aborted
    if loss.parameters_told is not None and client.parameters is not loss.parameters_told:
        client.say(client.parameters.changes_from(loss.parameters_told))  # as after a rollback
    if kinds or loss.unsynced:
        answer_unanswered(client, error, kinds, READY_FAILED if aborted else READY_IDLE, loss.failed)
        if loss.unsynced and not client.skipping:
            # The rest of its batch is still to come.
            if not (loss.failed and (not kinds or kinds[len(kinds) - 1] > SYNC)):
                client.say(error)
            client.skipping = True
    else:
        client.refusal = error
    client.asked_at = 0
    return _go_on(client)


cdef int answer_unanswered(Borrower client, bytes error, list kinds, bytes ready, bint told) except -1:
    """Answer with `error` what the client has sent: messages of these kinds (see `ledger`), in their order. `told`:
    the client has had an error for the first request already. Returns how often the error was said."""
    cdef int kind
    cdef int said = 0
    for kind in kinds:
        if kind == COPY_END or (client.skipping and kind != SYNC):
            continue
        if not told and not client.skipping:
            client.say(error)
            said += 1
        if kind <= SYNC:
            told = client.skipping = False
            client.say(ready)
        else:
            client.skipping = True
    return said


cdef int _go_on(Borrower client) except -1:
    if client.farewell is not None:
        part_with(client, client.farewell)
    if client.fd < 0 or client.finishing:
        return 0
    client.consume_held()
    client.resume_reading()
    return end_if_gone(client)


cdef bint is_answered_aborted(Borrower client, int kind, const unsigned char *body, Py_ssize_t there) except -1:
    """A message has come in a transaction that was lost. Whether that answers it: ROLLBACK asks for what has happened,
    and what comes first hears of the loss (`client.refusal`). Everything else goes to a connection."""
    cdef int control = 0
    if kind == c"Q" and there < ROLLBACK_LIMIT and ROLLBACK.fullmatch(body[:there]):
        client.refusal = None
        client.aborted = False
        client.say(ROLLED_BACK)
        client.asked_at = 0
        return True
    if client.refusal is None:
        return False
    error, client.refusal = client.refusal, None
    client.say(error)
    if kind != c"Q" and kind != c"F":
        client.skipping = True
        return True
    if kind == c"Q":
        control = control_of(body, there - 1)
    if control & ENDS and not control & (HIDES | SEVERAL):
        client.aborted = False  # behind a COMMIT that fails no transaction is open
    client.say(READY_FAILED if client.aborted else READY_IDLE)
    client.asked_at = 0
    return True


cdef int begin_aborted(Connection server) except -1:
    """Put the connection, which was lent, into an aborted transaction; its client waits until that is answered."""
    cdef object command = Command(_aborted)
    server.lease.confirming = True
    server.command(command)
    return server.write(BEGIN_ABORTED, len(BEGIN_ABORTED))


def _aborted(Connection server, command):
    if server.client is None:
        return
    if server.status != c"E":
        server.shut("a transaction that was lost could not be put in its place")
        return
    server.lease.confirming = False
    server.client.confirmed(None)
