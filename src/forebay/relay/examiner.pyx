"""Looks into what a client is about to send: which texts may change the session, and which messages
name prepared statements.

What is rare or slow is asked of ``sessions.texts`` (Python), see session/texts.py:
    examine(client, text)          a statement that the glance is not sure of is about to run; returns
                                   the name in a DEALLOCATE of a statement of Forebay's, else None
    binds(client, text, named, reading, pg_temp)
                                   a portal of such a statement is bound; returns whether something
                                   follows when it is executed. `pg_temp`: this may stand in its values
    executes(client, text, reading)
                                   that is noted: it is executed, or a simple Query
    is_not_read(client, text)      such a statement is too long, and where it runs all are to be read
    asks(client, text, reading)    whether it asks what its session has drawn from sequences
    announce_pin(client, text)     such a statement is prepared, without a name
of ``sessions.pinner``:
    pin(client, reason, text)      the text is too long to be examined
and of ``sessions.evacuations``:
    waits(client, text, reading)   such a statement is about to run; returns whether it has to wait until others
                                   have left a database: `evacuated` says when it may be tried again
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.string cimport memchr

from .assembly cimport put
from .frames cimport HEADER_BYTES
from .scan.glance cimport GlanceState, glance, glance_begin, glance_feed, glance_finish
from .ledger cimport BIND, FAKE, FORWARD, QUERY
from .scan.names cimport FunctionNames
from .refusal cimport RESULT_CHANGED, refuse_in_turn
from .belief cimport Message, note
from .connection cimport Borrower
from .sequences cimport forget_first, is_told_right
from .statements.binding cimport binds
from .statements.entries cimport Named, Unnamed
from .statements.prepared cimport message as bare
from .statements.telling cimport describe_portal
from .statements.unnamed cimport (
    ask_of_unnamed, close_unnamed, define_unnamed, describe_unnamed, has_unnamed, keeps_unnamed_shape,
    prepare_unnamed,
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


cdef class Examiner(Borrower):
    """What a client says, read before it is sent."""

    def __dealloc__(self):
        PyMem_Free(self.looking)

    cdef bint is_read(self, int kind) noexcept:
        """Whether more than type and length matters: texts and names of statements."""
        if kind == c"E":
            return self.lease is not None and self.lease.portals is not None and self.lease.portals.followed is not None
        return (
            kind == c"Q" or kind == c"P" or kind == c"B" or kind == c"D" or kind == c"C" or kind == c"F"
        )

    cdef Py_ssize_t translate(
        self, int kind, const unsigned char *span, Py_ssize_t span_count,
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
            seen = self._examine(frame + HEADER_BYTES, there - HEADER_BYTES, there == total)
            if seen == WAITS:
                return UNCERTAIN
            if seen == ASKS:
                return self._forget_first(span, span_count)
            if seen == DEALLOCATES:
                if self.server.ledger.count and not self.lease.unsynced and not self.server.ledger.copy_in:
                    return UNCERTAIN  # its transaction may be aborted by then
                put(self.server, span, span_count)
                return self._answer_deallocate(total)
            return UNCHANGED
        if kind == c"E":
            return self._execute(frame, total)
        if kind == c"F":  # which function is called by its number is not looked at
            return UNCHANGED if is_told_right(self) else self._forget_first(span, span_count)
        name = statement_name(kind, frame, there)
        if name == 0:
            if kind == c"D" and there == total > HEADER_BYTES + 1 and describe_portal(self, frame, total):
                self.lease.unsynced = True
                return NOTED
            return UNCHANGED
        if not frame[name]:
            return self._unnamed(kind, span, span_count, frame, total, there, name)
        if must_wait(self, kind, frame, total, there, name):
            return UNCERTAIN
        put(self.server, span, span_count)
        if kind == c"P":
            text = <const unsigned char *> memchr(frame + name, 0, there - name) - frame + 1
            define_named(self, frame, total, there, text)
        self.lease.unsynced = True
        return total if kind == c"P" else use_named(self, kind, frame, total, name)

    cdef Py_ssize_t _unnamed(
        self, int kind, const unsigned char *span, Py_ssize_t span_count,
        const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name,
    ) except -5:
        """As ``translate``, for a message that means the unnamed statement."""
        cdef Unnamed entry
        if kind == c"P":
            return self._parse_unnamed(frame, total, there, name)
        if kind == c"C":
            self.lease.unsynced = True
            close_unnamed(self)
            return NOTED
        if self.server.prepared.unnamed.is_uncertain(self.server.prepared.unanswered.batch):
            if not self.server.ledger.copy_in:
                return UNCERTAIN
        if self.names is not None and self.names.is_waiting():
            return UNCERTAIN
        entry = None if self.names is None else self.names.get_unnamed()
        if kind == c"B" and self._bind_unnamed(frame, entry):
            self.lease.unsynced = True
            return self._forget_first(span, span_count)
        if has_unnamed(self, entry) or self.server.ledger.failed:
            if not keeps_unnamed_shape(self, entry):
                put(self.server, span, span_count)
                self.lease.unsynced = True
                refuse_in_turn(self.server, RESULT_CHANGED)
                return total
            if kind == c"B":
                return UNCHANGED
            self.lease.unsynced = True
            describe_unnamed(self, entry)
            return NOTED
        put(self.server, span, span_count)
        self.lease.unsynced = True
        if not prepare_unnamed(self, entry):
            return total
        if entry.was_told() is not None:
            ask_of_unnamed(self, entry)
            return ASKED
        if kind == c"B":
            self.server.ledger.push(BIND, FORWARD)
        else:
            describe_unnamed(self, entry)
        return 0

    cdef bint _bind_unnamed(self, const unsigned char *frame, Unnamed entry) except -1:
        """The unnamed statement is bound. Whether the connection must forget first what others have drawn
        from sequences."""
        cdef bytes known
        if entry is not None and not entry.harmless and not is_told_right(self):
            known = entry.text()
            if known is not None and must_forget(self, known, entry.parameters.reading):
                return True
        self.lease.own_portals().note_bound(frame + HEADER_BYTES, None, entry, None, False)
        if entry is None:
            return False
        entry.is_bound = True
        if self.pinned or self.reads_all or not entry.harmless or self.lease.portals.followed is not None:
            known = entry.text()
            if known is not None:
                binds(self, frame + HEADER_BYTES, known, False, entry.parameters.reading)
        return False

    cdef Py_ssize_t _forget_first(self, const unsigned char *span, Py_ssize_t span_count) except -5:
        """Let the connection forget what others have drawn, before what asks."""
        put(self.server, span, span_count)
        forget_first(self)
        return ASKED

    cdef int _parse_unnamed(
        self, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name
    ) except -5:
        cdef const unsigned char *text = <const unsigned char *> memchr(frame + name, 0, there - name) + 1
        cdef const unsigned char *end
        cdef bint harmless
        self.lease.unsynced = True
        if there == total:
            harmless = self._is_certain(text, frame + total - text)
            define_unnamed(self, text[:frame + total - text], harmless)
            if self.strict and not harmless and not self.pinned:
                end = <const unsigned char *> memchr(text, 0, frame + total - text)
                self.sessions.texts.announce_pin(self, text[:end - text])
            return NOTED
        # Not kept, so not there to be looked at when it runs.
        self._examine(text, frame + there - text, False)
        define_unnamed(self, None, True)
        return NOTED

    cdef int _examine(self, const unsigned char *text, Py_ssize_t there, bint whole) except -1:
        """Look at a statement that may change session state. Returns what was SEEN."""
        cdef const unsigned char *end
        cdef bytes query
        if not whole:
            if not is_told_right(self):
                return ASKS  # it may
            self.looking = <GlanceState *> PyMem_Calloc(1, sizeof(GlanceState))
            if self.looking == NULL:
                raise MemoryError
            glance_begin(self.looking)
            if self.strict:
                self.sessions.pinner.pin(self, "STATEMENT_TOO_LONG", text[:min(there, KEPT_BYTES)])
            elif self.reads_all:
                self.sessions.texts.is_not_read(self, text[:min(there, KEPT_BYTES)])
            self.look_on(text, there, False)
            return PASSES
        if self._is_certain(text, there) and not self.pinned:
            return PASSES
        end = <const unsigned char *> memchr(text, 0, there)
        if end == NULL:
            return PASSES
        query = text[:end - text]
        if self.sessions.evacuations.waits(self, query):
            return WAITS
        if must_forget(self, query, None):
            return ASKS
        self.sessions.texts.executes(self, query)
        self.deallocated = self.sessions.texts.examine(self, query)
        if self.deallocated is None or self.server.status == c"E":
            return PASSES
        return DEALLOCATES

    cdef bint _is_certain(self, const unsigned char *text, Py_ssize_t there) noexcept:
        """Whether a statement certainly changes no session, and pins nowhere."""
        cdef const unsigned char *end = <const unsigned char *> memchr(text, 0, there)
        if end == NULL:
            return True  # malformed, as the database will say
        if self.reads_all:
            return False
        if not glance(text, end - text) or (self.strict and end - text > STRICT_LIMIT):
            return False
        return self.functions is None or not self.functions.are_in(text, end - text)

    cdef Py_ssize_t _execute(self, const unsigned char *frame, Py_ssize_t total) except -5:
        """As ``translate``, for Execute while there are portals of which something follows."""
        cdef tuple bound
        if memchr(frame + HEADER_BYTES, 0, total - HEADER_BYTES) == NULL:
            return UNCHANGED  # malformed, as the database will say
        bound = self.lease.portals.followed.get(<bytes> (frame + HEADER_BYTES))
        if bound is None:
            return UNCHANGED
        if self.sessions.evacuations.waits(self, *bound):
            return UNCERTAIN
        self.sessions.texts.executes(self, *bound)
        if not self.lease.drops_all:
            return UNCHANGED
        self.lease.drops_all = False
        self.lease.unsynced = True
        drop_statements(self)
        return NOTED

    cdef Py_ssize_t _answer_deallocate(self, Py_ssize_t total) except -1:
        """The database does not know the name: Forebay answers, in the answer's place."""
        cdef Named entry = self.names.get(self.deallocated)
        cdef Message deallocate = bare()
        self.names.drop(deallocate, entry)
        note(deallocate, self.names.unnamed, None, None, None)
        self.server.prepared.owe(QUERY, FAKE, deallocate)
        answer_fakes(self.server)
        return total

    cdef int look_on(self, const unsigned char *text, Py_ssize_t count, bint ends) except -1:
        """The next part of a statement too long to be held back: it has only the glance to pass.
        `ends`: and the last."""
        cdef const unsigned char *end = <const unsigned char *> memchr(text, 0, count)
        if self.functions is not None:
            if self.functions.go_on(
                &self.looking.word, text, count if end == NULL else end - text + 1
            ):
                return self._looked(False)
        if end != NULL:
            return self._looked(
                glance_feed(self.looking, text, end - text) and glance_finish(self.looking)
            )
        if ends or not glance_feed(self.looking, text, count):
            return self._looked(False)  # or the text does not end where its message does
        return 0

    cdef int _looked(self, bint harmless) except -1:
        PyMem_Free(self.looking)
        self.looking = NULL
        if not harmless:
            self.sessions.pinner.pin(self, "STATEMENT_TOO_LONG", None)
        return 0

    cpdef look_for(self, FunctionNames functions):
        """Doubt what names one of these functions, from now on; None: of functions only those that
        the glance knows matter."""
        self.functions = functions
        if self.names is not None:
            self.names.look_again()
