"""Looks into what a client is about to send: which texts may change the session, and which messages
name prepared statements. For each type of message that is looked into there is a handler, which says
what becomes of the message (its FATE).
"""

from libc.string cimport memchr

from .assembly cimport put_before, put_flush
from .belief cimport Message, new_message, note
from .connection cimport Borrower
from .frames cimport HEADER_BYTES, NOTED, PASSES, WAITS, Frame, replaced
from .lease cimport control_behind
from .ledger cimport FAKE, QUERY
from .refusal cimport RESULT_CHANGED, refuse_in_turn
from .scan.control cimport ENDS, HIDES, NO_CONTROL, SEVERAL, control_of
from .scan.glance cimport ChunkedGlance, GlanceState, glance, glance_feed, glance_finish
from .sequences cimport forget_first, is_told_right
from .statements.binding cimport binds
from .statements.entries cimport Named, Unnamed
from .statements.telling cimport describe_portal
from .statements.unnamed cimport (
    ask_of_unnamed, close_unnamed, define_unnamed, describe_unnamed, has_unnamed, is_unnamed_uncertain,
    keeps_unnamed_shape, prepare_unnamed,
)
from .statements.use cimport (
    define_named, drop_statements, must_forget, must_wait, statement_name, use_named,
)
from .turn cimport answer_fakes

cdef enum SEEN:
    # What was seen in a statement that is about to run.
    RUNS
    DEALLOCATES  # a name that only Forebay knows
    MUST_WAIT  # it must not run yet
    ASKS  # what the connection must have forgotten first, of others

cdef enum:
    STRICT_LIMIT = 16384  # the longest statement that RDS Proxy looks into, in bytes
    KEPT_BYTES = 1024  # of a statement, for the log


# ---- the handlers of messages: see kinds.pyx ----


cdef int query(Borrower client, Frame *frame) except -1:
    cdef Py_ssize_t there = frame.there - HEADER_BYTES
    cdef int seen
    if client.server.ledger.failed:
        return PASSES  # the database skips it
    seen = _examine(client, frame.data + HEADER_BYTES, there, frame.there == frame.total)
    if seen == MUST_WAIT:
        return WAITS
    if seen == ASKS:
        return _forget_first(client, frame)
    if seen != DEALLOCATES:
        client.lease.control |= control_behind(client.lease, _control_of_query(frame))
        return PASSES
    if client.server.ledger.count and not client.server.ledger.copy_in:
        # Its transaction may be aborted by then, or its connection not changed over to its settings.
        if client.lease.guarded:
            put_before(client, frame)
            put_flush(client.server)  # or the guard would not be answered
        return WAITS
    put_before(client, frame)
    return _answer_deallocate(client, frame)


cdef inline int _control_of_query(Frame *frame) noexcept:
    if frame.there < frame.total:
        return ENDS | SEVERAL | HIDES  # as far as is known
    return control_of(frame.data + HEADER_BYTES, frame.there - HEADER_BYTES - 1)


cdef int call_function(Borrower client, Frame *frame) except -1:
    if client.server.ledger.failed:
        return PASSES  # the database skips it
    if not is_told_right(client):
        return _forget_first(client, frame)  # which function is called by its number is not looked at
    client.sessions.pinner.pin(client, "FUNCTION_CALL", None)
    return PASSES


cdef int parse(Borrower client, Frame *frame) except -1:
    cdef Py_ssize_t name = statement_name(frame)
    if name == 0:
        return PASSES
    if not frame.data[name]:
        return _parse_unnamed(client, frame, name)
    if must_wait(client, frame, name):
        return WAITS
    put_before(client, frame)
    client.pool.tally.client_parses += 1
    define_named(client, frame, name)
    return replaced(frame)


cdef int bind(Borrower client, Frame *frame) except -1:
    cdef Py_ssize_t name = statement_name(frame)
    client.lease.bound = True
    if name == 0:
        return PASSES
    return _use_unnamed(client, frame) if not frame.data[name] else _use_named(client, frame, name)


cdef int describe(Borrower client, Frame *frame) except -1:
    cdef Py_ssize_t name = statement_name(frame)
    if name == 0:
        return NOTED if describe_portal(client, frame) else PASSES
    return _use_unnamed(client, frame) if not frame.data[name] else _use_named(client, frame, name)


cdef int close(Borrower client, Frame *frame) except -1:
    cdef Py_ssize_t name = statement_name(frame)
    if name == 0:
        return PASSES
    if frame.data[name]:
        return _use_named(client, frame, name)
    close_unnamed(client)
    return NOTED


cdef bint is_followed(Borrower client) noexcept:
    """Whether something may follow of what its portals are bound of."""
    return client.portals is not None and client.portals.followed is not None


cdef int execute(Borrower client, Frame *frame) except -1:
    cdef tuple bound
    client.lease.executed = True
    if not is_followed(client):
        return PASSES
    if memchr(frame.data + HEADER_BYTES, 0, frame.total - HEADER_BYTES) == NULL:
        return PASSES  # malformed, as the database will say
    bound = client.portals.followed.get(<bytes> (frame.data + HEADER_BYTES))
    if bound is None:
        return PASSES
    if client.sessions.evacuations.waits(client, *bound):
        return WAITS
    client.sessions.texts.executes(client, *bound)
    if not client.lease.drops_all:
        return PASSES
    client.lease.drops_all = False
    drop_statements(client)
    return NOTED


# ---- prepared statements ----


cdef int _use_named(Borrower client, Frame *frame, Py_ssize_t name) except -1:
    if must_wait(client, frame, name):
        return WAITS
    put_before(client, frame)
    client.lease.unsynced = True
    client.pool.tally.binds += frame.kind == c"B"
    return use_named(client, frame, name)


cdef int _use_unnamed(Borrower client, Frame *frame) except -1:
    """A Bind or Describe of the unnamed statement: the connection may have another one, or another
    client's."""
    cdef Unnamed entry
    if is_unnamed_uncertain(client) and not client.server.ledger.copy_in:
        return WAITS
    if client.names is not None and client.names.is_waiting():
        return WAITS
    entry = None if client.names is None else client.names.get_unnamed()
    if frame.kind == c"B" and _bind_unnamed(client, frame.data, entry):
        client.lease.unsynced = True
        return _forget_first(client, frame)
    if has_unnamed(client, entry) or client.server.ledger.failed:
        if not keeps_unnamed_shape(client, entry):
            put_before(client, frame)
            refuse_in_turn(client.server, RESULT_CHANGED)
            return replaced(frame)
    else:
        put_before(client, frame)
        client.lease.unsynced = True
        if not prepare_unnamed(client, entry):
            return replaced(frame)
        if entry.was_told() is not None:
            ask_of_unnamed(client, entry)
            return WAITS
    if frame.kind == c"B":
        return PASSES
    describe_unnamed(client, entry)
    return NOTED


cdef bint _bind_unnamed(Borrower client, const unsigned char *frame, Unnamed entry) except -1:
    """The unnamed statement is bound. Whether the connection must forget first what others have drawn
    from sequences."""
    cdef bytes known
    if entry is not None and not entry.harmless and not is_told_right(client):
        known = entry.text()
        if known is not None and must_forget(client, known, entry.parameters.reading):
            return True
    client.own_portals().note_bound(frame + HEADER_BYTES, None, entry, None, False)
    client.lease.portals_control |= control_behind(client.lease, NO_CONTROL if entry is None else entry.control)
    if entry is None:
        return False
    entry.is_bound = True
    if client.pinned or client.reads_all or not entry.harmless or client.portals.followed is not None:
        known = entry.text()
        if known is not None:
            binds(client, frame + HEADER_BYTES, known, False, entry.parameters.reading)
    return False


cdef int _parse_unnamed(Borrower client, Frame *frame, Py_ssize_t name) except -1:
    cdef const unsigned char *text = frame.data + name + 1
    cdef Py_ssize_t count = frame.data + frame.there - text
    cdef const unsigned char *end
    cdef bint harmless
    if frame.there < frame.total:
        # Not kept, so not there to be looked at when it runs.
        _examine(client, text, count, False)
        define_unnamed(client, None, True, ENDS | HIDES)
        return NOTED
    harmless = _is_certain(client, text, count)
    end = <const unsigned char *> memchr(text, 0, count)
    define_unnamed(client, text[:count], harmless, control_of(text, 0 if end == NULL else end - text))
    if client.strict and not harmless and not client.pinned:
        client.sessions.texts.announce_pin(client, text[:end - text])
    return NOTED


# ---- texts ----


cdef int _forget_first(Borrower client, Frame *frame) except -1:
    """Let the connection forget what others have drawn, before what asks."""
    put_before(client, frame)
    forget_first(client)
    return WAITS


cdef int _examine(Borrower client, const unsigned char *text, Py_ssize_t there, bint whole) except -1:
    """Look at a statement that may change session state. Returns what was SEEN."""
    cdef const unsigned char *end
    cdef bytes query
    if not whole:
        if not is_told_right(client):
            return ASKS  # it may
        client.looking = ChunkedGlance()
        if client.strict:
            client.sessions.pinner.pin(client, "STATEMENT_TOO_LONG", text[:min(there, KEPT_BYTES)])
        elif client.reads_all:
            client.sessions.texts.is_not_read(client, text[:min(there, KEPT_BYTES)])
        look_on(client, text, there, False)
        return RUNS
    if _is_certain(client, text, there) and not client.pinned:
        return RUNS
    end = <const unsigned char *> memchr(text, 0, there)
    if end == NULL:
        return RUNS
    query = text[:end - text]
    if client.sessions.evacuations.waits(client, query):
        return MUST_WAIT
    if must_forget(client, query, None):
        return ASKS
    client.sessions.texts.executes(client, query)
    client.deallocated = client.sessions.texts.examine(client, query)
    if client.deallocated is None or client.server.status == c"E":
        return RUNS
    return DEALLOCATES


cdef bint _is_certain(Borrower client, const unsigned char *text, Py_ssize_t there) noexcept:
    """Whether a statement certainly changes no session, and pins nowhere."""
    cdef const unsigned char *end = <const unsigned char *> memchr(text, 0, there)
    if end == NULL:
        return True  # malformed, as the database will say
    if client.reads_all:
        return False
    if not glance(text, end - text) or (client.strict and end - text > STRICT_LIMIT):
        return False
    return client.functions is None or not client.functions.are_in(text, end - text)


cdef int _answer_deallocate(Borrower client, Frame *frame) except -1:
    """The database does not know the name: Forebay answers, in the answer's place."""
    cdef Named entry = client.names.get(client.deallocated)
    cdef Message deallocate = new_message()
    client.names.drop(deallocate, entry)
    note(deallocate, client.names.unnamed, None, None, None)
    client.server.prepared.owe(QUERY, FAKE, deallocate)
    answer_fakes(client.server)
    return replaced(frame)


cdef int look_on(Borrower client, const unsigned char *text, Py_ssize_t count, bint ends) except -1:
    """The next part of a statement too long to be held back: it has only the glance to pass.
    `ends`: and the last."""
    cdef const unsigned char *end = <const unsigned char *> memchr(text, 0, count)
    cdef GlanceState *state
    if client.functions is not None:
        if client.functions.go_on(
            &client.looking.state.word, text, count if end == NULL else end - text + 1
        ):
            return _looked(client, False)
    if end != NULL:
        state = &client.looking.state
        return _looked(client, glance_feed(state, text, end - text) and glance_finish(state))
    if ends or not glance_feed(&client.looking.state, text, count):
        return _looked(client, False)  # or the text does not end where its message does
    return 0


cdef int _looked(Borrower client, bint harmless) except -1:
    client.looking = None
    if not harmless:
        client.sessions.pinner.pin(client, "STATEMENT_TOO_LONG", None)
    return 0
