"""A connection that was lent changes over to its client: the client's settings are put in place, and what
others have left in the session that would be mistaken for the client's is discarded."""

from forebay.relay.command import Command
from forebay.relay.statements.statement import PREFIX

from .connection cimport NOBODY, SEVERAL, Borrower, Connection
from .frames cimport message as framed
from .lease cimport GUARDED, Lease
from .ledger cimport BIND, CLOSE, DESCRIBE, EXECUTE, PARSE, SWALLOW

# For what Forebay runs within a client's batch: a statement and a portal of this name.
cdef bytes OWN_NAME = PREFIX + b"own\0"
cdef bytes DISCARD_PLANS = framed(b"Q", b"DISCARD PLANS\0")
cdef bytes DISCARD_PLANS_IN_BATCH = _in_batch(b"DISCARD PLANS\0")
cdef bytes DISCARD_SEQUENCES = framed(b"Q", b"DISCARD SEQUENCES\0")
cdef bytes DISCARD_SEQUENCES_IN_BATCH = _in_batch(b"DISCARD SEQUENCES\0") + framed(b"H", b"")
# After so many failures in a row to forget sequences a connection is of no use to who asks for them.
cdef int FORGETTING_LIMIT = 5


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


cdef int _owe_batch(Connection server) except -1:
    """A command is sent `_in_batch`."""
    for kind in (PARSE, BIND, EXECUTE, CLOSE, CLOSE):
        server.ledger.push(kind, SWALLOW)
    return 0


# ---- settings ----


cdef int replay(Connection server, Borrower client, bint confirming) except -1:
    """Change over to the client's settings, in the same write as its first message unless that
    must wait for the success (`confirming`: in any case).

    What leaves together has a guard between: a Describe of a prepared statement that only a
    change-over which has succeeded has made (see session/replays.py). If it has failed, the
    guard fails as well, and the database itself skips all that the client has sent with it, up
    to the first Sync. Nothing is sent behind that Sync before the guard is answered. (There is
    no guard where the client's message comes in parts: a statement_timeout would run from the
    guard on, and fire in the middle of that message.)
    """
    cdef Lease lease = server.lease
    cdef bytes plain, guarded
    plain, guarded, must_confirm = server.pool.changeover.replay(server, client)
    server.pool.tally.replays += 1
    lease.confirming = confirming or must_confirm
    lease.replaying = True
    lease.replay_error = None
    server.settings = client.settings
    server.plans_mixed = server.plans_stale = False
    if server.stale:
        server.stale = False
        server.prepared.forget_all()
    if lease.confirming:
        server.command(Command(is_replay=True))
        server.enqueue(plain, len(plain))
        return server.flush()
    server.prepared.owe_guard(CLOSE)
    server.command(Command(is_replay=True))
    server.prepared.owe_guard(DESCRIBE)
    server.prepared.owe_guard(CLOSE)
    lease.guarded = GUARDED
    return server.enqueue(guarded, len(guarded))


cdef int replayed(Connection server, object error) except -1:
    """The change-over was answered: it has succeeded, or failed with `error`."""
    cdef Borrower client = server.client
    cdef Lease lease = server.lease
    cdef bint confirming = lease.confirming
    lease.confirming = lease.replaying = False
    lease.parameters_before = server.parameters
    if error is not None:
        server.dirty = True
        server.pool.tally.replays_failed += 1
        lease.replay_error = error
        server.pool.changeover.replay_failed(server, error, confirming)
    if client is None:
        return 0
    if client.parameters is not None and client.parameters is not server.parameters:
        server.pool.changeover.announce(client, server.parameters)
    if lease.parameters_told is not None:
        lease.parameters_told = server.parameters
    if confirming:
        client.confirmed(error)
    return 0


# ---- plans ----


cdef int discard_plans(Connection server, bint in_batch) except -1:
    """Let what the client sends next be planned by its settings of now, whatever was planned
    before. `in_batch`: the Sync of its batch is still to come."""
    if server.ledger.failed or server.ledger.copy_in:
        return 0
    server.plans_stale = False
    if not in_batch:
        server.command(Command(_discarded))
        return server.enqueue(DISCARD_PLANS, len(DISCARD_PLANS))
    _owe_batch(server)
    return server.enqueue(DISCARD_PLANS_IN_BATCH, len(DISCARD_PLANS_IN_BATCH))


def _discarded(Connection server, command):
    if command.error is not None:
        server.plans_stale = True  # so it is tried again


# ---- sequences ----


cdef int note_lease(Connection server, Borrower client) except -1:
    """Know whose values of sequences the session remembers while this client has it.

    Only what is the client's alone may be told to it (currval, lastval). A client that begins, so
    that nobody has seen yet what it does, and one whose application is known to ask, get a
    connection that remembers nothing; for others it is not worth a command each time.
    """
    cdef bint is_last = server.drawn_by == client.process_id and server.drawn_in == client.leases
    if not is_last and client.leases:
        client.may_have_drawn_elsewhere = True
    if not is_last and server.drawn_by != NOBODY:
        server.drawn_by = SEVERAL
        if client.leases == 0 or client.application.asks:
            messages = forget_sequences(server, False)
            server.enqueue(messages, len(messages))
    else:
        server.drawn_by = client.process_id
    client.leases += 1
    server.drawn_in = client.leases
    return 0


cdef bytes forget_sequences(Connection server, bint in_batch):
    """What lets the session forget all values of sequences; it must be sent now. `in_batch`: the
    Sync of the client's batch is still to come. Once that has happened (`drawn_by`), the session
    knows what its client draws, and nothing else."""
    server.forgetting = True
    if not in_batch:
        server.command(Command(_forgotten))
        return DISCARD_SEQUENCES
    _owe_batch(server)
    return DISCARD_SEQUENCES_IN_BATCH


def _forgotten(Connection server, command):
    server.forgetting = False
    if command.error is None:
        return
    server.forgotten_not += 1
    if server.forgotten_not >= FORGETTING_LIMIT:
        server.shut("the values of sequences that others have used could not be discarded")
