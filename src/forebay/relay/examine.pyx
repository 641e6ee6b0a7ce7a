"""Looks into what a client is about to send: which texts may change the session, and which messages
name prepared statements.
"""

from libc.string cimport memchr

from .assembly cimport put
from .belief cimport Message, new_message, note
from .connection cimport Borrower
from .frames cimport HEADER_BYTES
from .ledger cimport BIND, FAKE, FORWARD, QUERY
from .refusal cimport RESULT_CHANGED, refuse_in_turn
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
    ASKED, define_named, drop_statements, must_forget, must_wait, statement_name, use_named,
)
from .turn cimport answer_fakes

cdef enum SEEN:
    # What was seen in a statement that is about to run.
    PASSES
    DEALLOCATES  # a name that only Forebay knows
    WAITS  # it must not run yet
    ASKS  # what the connection must have forgotten first, of others

cdef enum:
    STRICT_LIMIT = 16384  # the longest statement that RDS Proxy looks into, in bytes
    KEPT_BYTES = 1024  # of a statement, for the log


cdef bint is_read(Borrower client, int kind) noexcept:
    """Whether more than type and length matters: texts and names of statements."""
    if kind == c"E":
        return client.portals is not None and client.portals.followed is not None
    return (
        kind == c"Q" or kind == c"P" or kind == c"B" or kind == c"D" or kind == c"C" or kind == c"F"
    )


cdef Py_ssize_t translate(
    Borrower client, int kind, const unsigned char *span, Py_ssize_t span_count,
    const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
) except -5:
    """Look into a message that is about to be sent behind `span`; `there` of its `total` bytes
    have come.

    UNCHANGED: it is sent as it is; NOTED: and the ledger knows of it. Else how many bytes of it
    are done with: what replaces them, and the span, are put. UNCERTAIN: it must wait until an
    earlier batch is answered or others have left a database, or, if ASKED, until what was put behind
    the span is answered.
    """
    cdef Py_ssize_t name, text
    cdef int seen
    if kind == c"Q":
        seen = _examine(client, frame + HEADER_BYTES, there - HEADER_BYTES, there == total)
        if seen == WAITS:
            return UNCERTAIN
        if seen == ASKS:
            return _forget_first(client, span, span_count)
        if seen == DEALLOCATES:
            if client.server.ledger.count and not client.lease.unsynced and not client.server.ledger.copy_in:
                return UNCERTAIN  # its transaction may be aborted by then
            put(client.server, span, span_count)
            return _answer_deallocate(client, total)
        return UNCHANGED
    if kind == c"E":
        return _execute(client, frame, total)
    if kind == c"F":  # which function is called by its number is not looked at
        return UNCHANGED if is_told_right(client) else _forget_first(client, span, span_count)
    name = statement_name(kind, frame, there)
    if name == 0:
        if kind == c"D" and there == total > HEADER_BYTES + 1 and describe_portal(client, frame, total):
            client.lease.unsynced = True
            return NOTED
        return UNCHANGED
    if not frame[name]:
        return _unnamed(client, kind, span, span_count, frame, total, there, name)
    if must_wait(client, kind, frame, total, there, name):
        return UNCERTAIN
    put(client.server, span, span_count)
    if kind == c"P":
        text = <const unsigned char *> memchr(frame + name, 0, there - name) - frame + 1
        define_named(client, frame, total, there, text)
    client.lease.unsynced = True
    return total if kind == c"P" else use_named(client, kind, frame, total, name)


cdef Py_ssize_t _unnamed(
    Borrower client, int kind, const unsigned char *span, Py_ssize_t span_count,
    const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name,
) except -5:
    """As ``translate``, for a message that means the unnamed statement."""
    cdef Unnamed entry
    if kind == c"P":
        return _parse_unnamed(client, frame, total, there, name)
    if kind == c"C":
        client.lease.unsynced = True
        close_unnamed(client)
        return NOTED
    if is_unnamed_uncertain(client) and not client.server.ledger.copy_in:
        return UNCERTAIN
    if client.names is not None and client.names.is_waiting():
        return UNCERTAIN
    entry = None if client.names is None else client.names.get_unnamed()
    if kind == c"B" and _bind_unnamed(client, frame, entry):
        client.lease.unsynced = True
        return _forget_first(client, span, span_count)
    if has_unnamed(client, entry) or client.server.ledger.failed:
        if not keeps_unnamed_shape(client, entry):
            put(client.server, span, span_count)
            client.lease.unsynced = True
            refuse_in_turn(client.server, RESULT_CHANGED)
            return total
        if kind == c"B":
            return UNCHANGED
        client.lease.unsynced = True
        describe_unnamed(client, entry)
        return NOTED
    put(client.server, span, span_count)
    client.lease.unsynced = True
    if not prepare_unnamed(client, entry):
        return total
    if entry.was_told() is not None:
        ask_of_unnamed(client, entry)
        return ASKED
    if kind == c"B":
        client.server.ledger.push(BIND, FORWARD)
    else:
        describe_unnamed(client, entry)
    return 0


cdef bint _bind_unnamed(Borrower client, const unsigned char *frame, Unnamed entry) except -1:
    """The unnamed statement is bound. Whether the connection must forget first what others have drawn
    from sequences."""
    cdef bytes known
    if entry is not None and not entry.harmless and not is_told_right(client):
        known = entry.text()
        if known is not None and must_forget(client, known, entry.parameters.reading):
            return True
    client.own_portals().note_bound(frame + HEADER_BYTES, None, entry, None, False)
    if entry is None:
        return False
    entry.is_bound = True
    if client.pinned or client.reads_all or not entry.harmless or client.portals.followed is not None:
        known = entry.text()
        if known is not None:
            binds(client, frame + HEADER_BYTES, known, False, entry.parameters.reading)
    return False


cdef Py_ssize_t _forget_first(Borrower client, const unsigned char *span, Py_ssize_t span_count) except -5:
    """Let the connection forget what others have drawn, before what asks."""
    put(client.server, span, span_count)
    forget_first(client)
    return ASKED


cdef int _parse_unnamed(
    Borrower client, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name
) except -5:
    cdef const unsigned char *text = <const unsigned char *> memchr(frame + name, 0, there - name) + 1
    cdef const unsigned char *end
    cdef bint harmless
    client.lease.unsynced = True
    if there == total:
        harmless = _is_certain(client, text, frame + total - text)
        define_unnamed(client, text[:frame + total - text], harmless)
        if client.strict and not harmless and not client.pinned:
            end = <const unsigned char *> memchr(text, 0, frame + total - text)
            client.sessions.texts.announce_pin(client, text[:end - text])
        return NOTED
    # Not kept, so not there to be looked at when it runs.
    _examine(client, text, frame + there - text, False)
    define_unnamed(client, None, True)
    return NOTED


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
        return PASSES
    if _is_certain(client, text, there) and not client.pinned:
        return PASSES
    end = <const unsigned char *> memchr(text, 0, there)
    if end == NULL:
        return PASSES
    query = text[:end - text]
    if client.sessions.evacuations.waits(client, query):
        return WAITS
    if must_forget(client, query, None):
        return ASKS
    client.sessions.texts.executes(client, query)
    client.deallocated = client.sessions.texts.examine(client, query)
    if client.deallocated is None or client.server.status == c"E":
        return PASSES
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


cdef Py_ssize_t _execute(Borrower client, const unsigned char *frame, Py_ssize_t total) except -5:
    """As ``translate``, for Execute while there are portals of which something follows."""
    cdef tuple bound
    if memchr(frame + HEADER_BYTES, 0, total - HEADER_BYTES) == NULL:
        return UNCHANGED  # malformed, as the database will say
    bound = client.portals.followed.get(<bytes> (frame + HEADER_BYTES))
    if bound is None:
        return UNCHANGED
    if client.sessions.evacuations.waits(client, *bound):
        return UNCERTAIN
    client.sessions.texts.executes(client, *bound)
    if not client.lease.drops_all:
        return UNCHANGED
    client.lease.drops_all = False
    client.lease.unsynced = True
    drop_statements(client)
    return NOTED


cdef Py_ssize_t _answer_deallocate(Borrower client, Py_ssize_t total) except -1:
    """The database does not know the name: Forebay answers, in the answer's place."""
    cdef Named entry = client.names.get(client.deallocated)
    cdef Message deallocate = new_message()
    client.names.drop(deallocate, entry)
    note(deallocate, client.names.unnamed, None, None, None)
    client.server.prepared.owe(QUERY, FAKE, deallocate)
    answer_fakes(client.server)
    return total


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
