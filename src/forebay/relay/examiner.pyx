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
from .frames cimport HEADER_BYTES, length_word, message
from .scan.glance cimport GlanceState, glance, glance_begin, glance_feed, glance_finish
from .ledger cimport BIND, FAKE, FORWARD, QUERY
from .scan.names cimport FunctionNames
from .peer cimport GATHER_BYTES
from .refusal cimport RESULT_CHANGED, refuse_in_turn
from .sequences cimport forget_first, is_told_right
from .statement cimport UNNAMED
from .statement_user cimport ASKED, StatementUser, statement_name
from .scan.words cimport is_word

cdef bytes DESCRIBE_UNNAMED = message(b"D", b"S\0")

cdef enum SEEN:
    # What was seen in a statement that is about to run.
    PASSES
    DEALLOCATES  # a name that only Forebay knows
    WAITS  # it must not run yet
    ASKS  # what the connection must have forgotten first, of others

cdef enum:
    STRICT_LIMIT = 16384  # the longest statement that RDS Proxy looks into, in bytes
    KEPT_BYTES = 1024  # of a statement, for the log
    PORTALS_LIMIT = 100  # whose texts are kept until they are executed


cdef bint _names_pg_temp(const unsigned char *portal) noexcept:
    """Whether a Bind, as far as it is there, may hold pg_temp. (Its other names count as well.)"""
    cdef Py_ssize_t total = <Py_ssize_t> length_word(portal - HEADER_BYTES) + 1
    cdef const unsigned char *at = portal
    cdef const unsigned char *end = portal - HEADER_BYTES + total
    if total > GATHER_BYTES:
        return True
    while True:
        at = <const unsigned char *> memchr(at, c"_", end - at)
        if at == NULL:
            return False
        if at - portal >= 2 and end - at >= 5 and (at[-2] | 0x20) == c"p" and (at[-1] | 0x20) == c"g":
            if is_word(at + 1, "temp", 4):
                return True
        at += 1


cdef class Examiner(StatementUser):
    """What a client says, read before it is sent."""

    def __dealloc__(self):
        PyMem_Free(self.looking)

    cdef bint is_read(self, int kind) noexcept:
        """Whether more than type and length matters: texts and names of statements."""
        if kind == c"E":
            return self.portals is not None
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
                if self.server.ledger.count and not self.unsynced and not self.server.ledger.copy_in:
                    return UNCERTAIN  # its transaction may be aborted by then
                put(self.server, span, span_count)
                return self._answer_deallocate(total)
            if not self.server.ledger.failed:
                self.end_unnamed()
            return UNCHANGED
        if kind == c"E":
            return self._execute(frame, total)
        if kind == c"F":  # which function is called by its number is not looked at
            return UNCHANGED if is_told_right(self) else self._forget_first(span, span_count)
        name = statement_name(kind, frame, there)
        if name == 0:
            if kind == c"D" and there == total > HEADER_BYTES + 1 and self.describe_portal(frame, total):
                self.unsynced = True
                return NOTED
            return UNCHANGED
        if not frame[name]:
            return self._unnamed(kind, span, span_count, frame, total, there, name)
        if self.must_wait(kind, frame, total, there, name):
            return UNCERTAIN
        put(self.server, span, span_count)
        if kind == c"P":
            text = <const unsigned char *> memchr(frame + name, 0, there - name) - frame + 1
            self.define_named(frame, total, there, text)
        self.unsynced = True
        return total if kind == c"P" else self.use_named(kind, frame, total, name)

    cdef Py_ssize_t _unnamed(
        self, int kind, const unsigned char *span, Py_ssize_t span_count,
        const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name,
    ) except -5:
        """As ``translate``, for a message that means the unnamed statement."""
        if kind == c"P":
            return self._parse_unnamed(frame, total, there, name)
        if kind == c"C":
            self.unsynced = True
            self.close_unnamed()
            return NOTED
        if self.server.prepared.is_unnamed_uncertain() and not self.server.ledger.copy_in:
            return UNCERTAIN
        if self.asked is not None:
            return UNCERTAIN
        if kind == c"B":
            if not self.unnamed_harmless and not is_told_right(self):
                known = self.unnamed_text()
                if known is not None and self.must_forget(known, self.unnamed_parameters.reading):
                    self.unsynced = True
                    return self._forget_first(span, span_count)
            self.prepared_unnamed = False
            self.note_bound(frame + HEADER_BYTES, b"", None, False)
            if (
                self.pinned or self.reads_all or not self.unnamed_harmless
                or self.portals is not None
            ):
                known = self.unnamed_text()
                if known is not None:
                    self.binds(
                        frame + HEADER_BYTES, known, False, self.unnamed_parameters.reading
                    )
        if self.has_unnamed() or self.server.ledger.failed:
            if not self.keeps_unnamed_shape():
                put(self.server, span, span_count)
                self.unsynced = True
                refuse_in_turn(self.server, RESULT_CHANGED)
                return total
            if kind == c"B":
                return UNCHANGED
            self.unsynced = True
            self._owe_unnamed_description()
            return NOTED
        put(self.server, span, span_count)
        self.unsynced = True
        if not self.prepare_unnamed():
            return total
        if self.was_told():
            self.ask(UNNAMED, b"", self.unnamed_serial, DESCRIBE_UNNAMED)
            return ASKED
        if kind == c"B":
            self.server.ledger.push(BIND, FORWARD)
        else:
            self._owe_unnamed_description()
        return 0

    cdef Py_ssize_t _forget_first(self, const unsigned char *span, Py_ssize_t span_count) except -5:
        """Let the connection forget what others have drawn, before what asks."""
        put(self.server, span, span_count)
        forget_first(self)
        return ASKED

    cdef int _owe_unnamed_description(self) except -1:
        """A Describe of the unnamed statement is sent for the client."""
        self.server.prepared.owe_description(FORWARD, UNNAMED, self, b"", None, self.unnamed_serial)
        return 0

    cdef int _parse_unnamed(
        self, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t name
    ) except -5:
        cdef const unsigned char *text = <const unsigned char *> memchr(frame + name, 0, there - name) + 1
        cdef const unsigned char *end
        cdef bint harmless
        self.unsynced = True
        if there == total:
            harmless = self._is_certain(text, frame + total - text)
            self.define_unnamed(text[:frame + total - text], harmless)
            if self.strict and not harmless and not self.pinned:
                end = <const unsigned char *> memchr(text, 0, frame + total - text)
                self.sessions.texts.announce_pin(self, text[:end - text])
            return NOTED
        # Not kept, so not there to be looked at when it runs.
        self._examine(text, frame + there - text, False)
        self.define_unnamed(None, True)
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
        if self.must_forget(query, None):
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

    cdef int binds(
        self, const unsigned char *portal, bytes text, bint named, object reading
    ) except -1:
        cdef bytes name = portal
        if not self.sessions.texts.binds(self, text, named, reading, _names_pg_temp(portal)):
            if self.portals is not None:
                self.portals.pop(name, None)
            return 0
        if self.portals is None:
            self.portals = {}
        if len(self.portals) < PORTALS_LIMIT:
            self.portals[name] = (text, reading)
        else:
            self.sessions.texts.executes(self, text, reading)
        return 0

    cdef Py_ssize_t _execute(self, const unsigned char *frame, Py_ssize_t total) except -5:
        """As ``translate``, for Execute while there are portals of which something follows."""
        cdef tuple bound
        if memchr(frame + HEADER_BYTES, 0, total - HEADER_BYTES) == NULL:
            return UNCHANGED  # malformed, as the database will say
        bound = self.portals.get(<bytes> (frame + HEADER_BYTES))
        if bound is None:
            return UNCHANGED
        if self.sessions.evacuations.waits(self, *bound):
            return UNCERTAIN
        self.sessions.texts.executes(self, *bound)
        if self.dropping != self.server.prepared.batch:
            return UNCHANGED
        self.unsynced = True
        self.drop_statements()
        return NOTED

    cdef Py_ssize_t _answer_deallocate(self, Py_ssize_t total) except -1:
        """The database does not know the name: Forebay answers, in the answer's place."""
        cdef object statement = self.statements[self.deallocated]
        if self.server.prepared.owe(QUERY, FAKE, ((self.statements, self.deallocated, statement),)):
            del self.statements[self.deallocated]
            self.forget_unnamed()
        self.server.answer_fakes()
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
        self.unnamed_harmless = False  # to be looked at again when it runs
