"""Prepared statements over shared connections.

A client's names mean something to the client only: Parse, Bind, Describe and Close are rewritten to
the names that database connections know, and what the connection at hand lacks is prepared on it in
the same write. What is noted ahead of a reply (a name defined, a statement prepared) is undone if
the message fails or is skipped (`Server.owe`).

The unnamed statement passes as it is; its definition is kept, in case the client binds it again
over another connection.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcpy

from .frames cimport HEADER_BYTES
from .ledger cimport BIND, CLOSE, DESCRIBE, FAKE, FORWARD, PARSE, SWALLOW
from .peer cimport GATHER_BYTES, RECEIVE_BYTES
from .server cimport Borrower, Server
from .statement cimport Statement

cdef enum:
    STATEMENTS_LIMIT = 10000  # one client's
    STATEMENT_BYTES_LIMIT = 16777216  # their definitions, together
    PREPARED_LIMIT = 500  # on one database connection: each costs memory there

cdef bytes PARSE_COMPLETE = b"1\x00\x00\x00\x04"
# Describes a statement that no connection has: it fails as Bind of one would, in an aborted
# transaction too.
cdef bytes REFUSED = b"D\x00\x00\x00\x10S_forebay_0\x00"

# What goes to a database connection in one write, although parts of it were rewritten. One batch at
# a time is put together here: it is sent before anything else can run.
cdef unsigned char ASSEMBLY[GATHER_BYTES + RECEIVE_BYTES]
cdef Py_ssize_t assembled = 0
cdef uint64_t last_serial = 0


cdef int begin_putting() noexcept:
    global assembled
    assembled = 0
    return 0


cdef int put(Server server, const unsigned char *data, Py_ssize_t count) except -1:
    """Append a copy of `data` to the batch."""
    global assembled
    if assembled + count > GATHER_BYTES + RECEIVE_BYTES:
        server.write(ASSEMBLY, assembled)
        assembled = 0
        if count > GATHER_BYTES:
            return server.write(data, count)
    memcpy(ASSEMBLY + assembled, data, count)
    assembled += count
    return 0


cdef int send_put(Server server, const unsigned char *data, Py_ssize_t count) except -1:
    """Send the batch and `data` behind it, which is sent from where it lies if it is all."""
    global assembled
    if assembled == 0:
        return server.write(data, count)
    if count:
        put(server, data, count)
    count = assembled
    assembled = 0
    return server.write(ASSEMBLY, count)


cdef Py_ssize_t statement_name(int kind, const unsigned char *frame, Py_ssize_t there) noexcept:
    """Where the name of a statement begins in a Parse, Bind, Describe or Close; 0 if the message
    names none (a portal), or is malformed, as the database will say."""
    cdef const unsigned char *end
    cdef Py_ssize_t at = HEADER_BYTES
    if kind == c"B":
        end = <const unsigned char *> memchr(frame + at, 0, there - at)
        if end == NULL:
            return 0
        at = end - frame + 1
    elif kind != c"P":
        if there <= at or frame[at] != c"S":
            return 0
        at += 1
    if at >= there or memchr(frame + at, 0, there - at) == NULL:
        return 0
    return at


cdef class StatementUser(Borrower):
    """What a client has prepared."""

    def __cinit__(self):
        self.unnamed = {}
        self.bound = {}

    cdef bint is_uncertain(self, bytes name) except -1:
        """Whether a batch that is not answered yet decides if the statement exists. (In the batch
        being sent, errors have the same consequence for all that follows.)"""
        cdef uint64_t unknown = self.server.unknown_since()
        if unknown == 0:
            self.changed = None
        if self.changed is None:
            return False
        return unknown <= self.changed.get(name, 0) < self.server.batch

    cdef int note_changed(self, bytes name) except -1:
        """The name is defined or closed in the batch being sent."""
        if self.changed is None:
            self.changed = {}
        self.changed[name] = self.server.batch
        return 0

    cdef int define_named(
        self, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t text,
        object intern,
    ) except -1:
        """Parse with a name: prepare the statement unless the connection has it.

        `text` is where its definition begins in the frame; ``intern(self, definition)`` gives the
        Statement.
        """
        cdef bytes name = frame[HEADER_BYTES:text - 1]
        cdef Statement statement
        cdef Server server = self.server
        cdef bint known
        if self.statements is None:
            self.statements = {}
        if name in self.statements:
            return self._define_again(name, frame, total, there, text)
        if there < total:
            error = b"a prepared statement is too long: %d bytes, at most %d" % (total, GATHER_BYTES)
            return self.refuse_in_place(_error(b"54000", error))
        if not self._has_room(total):
            error = b"too many prepared statements: at most %d, of %d bytes in all" % (
                STATEMENTS_LIMIT, STATEMENT_BYTES_LIMIT,
            )
            return self.refuse_in_place(_error(b"54000", error))
        statement = intern(self, frame[text:total])
        known = statement in server.prepared and server.status != c"E"
        undo = ((self.statements, name, None), (server.prepared, statement, None))
        if known:
            undo = undo[:1]
        if server.owe(PARSE, FAKE if known else FORWARD, undo):
            self.statements[name] = statement
            self.statement_bytes += total
            self.note_changed(name)
            server.note_used(statement)
        if known:
            server.answer_fakes()
        else:
            put(server, statement.parse, len(statement.parse))
        return 0

    cdef bint _has_room(self, Py_ssize_t total) except -1:
        """Whether one more definition of `total` bytes stays within this client's limits."""
        cdef Statement statement
        if self.statement_bytes + total > STATEMENT_BYTES_LIMIT:
            # What failed was counted as well: count what there is.
            self.statement_bytes = 0
            for statement in self.statements.values():
                self.statement_bytes += len(statement.definition)
        return (
            len(self.statements) < STATEMENTS_LIMIT
            and self.statement_bytes + total <= STATEMENT_BYTES_LIMIT
        )

    cdef int _define_again(
        self, bytes name, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
        Py_ssize_t text,
    ) except -1:
        """Parse of a name that is taken. PostgreSQL finds that out when it has read and analysed the
        statement, so the database does, too."""
        cdef bytes refusal = _error(b"42P05", b'prepared statement "%b" already exists' % name)
        cdef Statement taken = self.statements[name]
        cdef bytes parse
        if there < total:
            return self.refuse_in_place(refusal)
        self._prepare(taken)
        self.server.owe_error(refusal, b"42P05")
        parse = _message(b"P", taken.name + b"\0" + frame[text:total])
        return put(self.server, parse, len(parse))

    cdef bint define_proven(
        self, const unsigned char *frame, Py_ssize_t total, object intern
    ) except -1:
        """Parse of a statement that a database has accepted before needs none: whether it is
        answered. A client thus waits for a connection when it executes, not when it prepares."""
        cdef Py_ssize_t at = statement_name(c"P", frame, total)
        cdef Py_ssize_t text
        cdef bytes name
        cdef Statement statement
        if at == 0 or frame[at] == 0:
            return False
        text = <const unsigned char *> memchr(frame + at, 0, total - at) - frame + 1
        name = frame[at:text - 1]
        if self.statements is None:
            self.statements = {}
        if name in self.statements or not self._has_room(total):
            return False
        statement = intern(self, frame[text:total])
        if not statement.proven:
            return False
        self.statements[name] = statement
        self.statement_bytes += total
        self.write(PARSE_COMPLETE, len(PARSE_COMPLETE))
        return True

    cdef int define_unnamed(self, bytes definition) except -1:
        """Parse without a name passes as it is; keep what it defines. (A tuple: serial, definition.)"""
        global last_serial
        last_serial += 1
        self.undo = ((self.unnamed, b"", self.unnamed.get(b"")),)
        self.unnamed[b""] = (last_serial, definition)
        self.server.unnamed_serial = last_serial
        return 0

    cdef int close_unnamed(self) except -1:
        """Close of the unnamed statement passes as it is."""
        self.undo = ((self.unnamed, b"", self.unnamed.get(b"")),)
        return self.forget_unnamed()

    cdef int forget_unnamed(self) except -1:
        """A simple Query, or an unnamed Parse that failed, has ended the unnamed statement."""
        self.unnamed.pop(b"", None)
        if self.server is not None:
            self.server.unnamed_serial = 0
        return 0

    cdef bint has_unnamed(self) except -1:
        """Whether the connection's unnamed statement is this client's."""
        cdef object kept = self.unnamed.get(b"")
        return kept is not None and self.server.unnamed_serial == <uint64_t> kept[0]

    cdef int prepare_unnamed(self) except -1:
        """Prepare the unnamed statement again, over this connection; without one, refuse."""
        cdef object kept = self.unnamed.get(b"")
        cdef bytes parse
        if kept is None:
            error = b"unnamed prepared statement does not exist"
            self.refuse_in_place(_error(b"26000", error))
            return 0
        parse = _message(b"P", b"\0" + kept[1])
        self.server.owe(PARSE, SWALLOW, ())
        self.server.unnamed_serial = kept[0]
        put(self.server, parse, len(parse))
        return 1

    cdef Py_ssize_t use_named(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t name
    ) except -1:
        """Bind, Describe or Close of a named statement. How many bytes of the frame are done with:
        the rest of it follows unchanged."""
        cdef const unsigned char *end = <const unsigned char *> memchr(
            frame + name, 0, total - name
        )
        cdef bytes given = frame[name:end - frame]
        cdef object found = None if self.statements is None else self.statements.get(given)
        cdef Statement statement
        cdef unsigned char head[HEADER_BYTES]
        cdef Py_ssize_t length
        if kind == c"C":
            undo = None
            if found is not None:
                undo = ((self.statements, given, found),)
                self.statement_bytes -= len((<Statement> found).definition)
            if self.server.owe(CLOSE, FAKE, undo) and found is not None:
                del self.statements[given]
                self.bound.pop(found, None)
                self.note_changed(given)
            self.server.answer_fakes()
            return total
        if found is None:
            error = b'prepared statement "%b" does not exist' % given
            self.refuse_in_place(_error(b"26000", error))
            return total
        statement = found
        if kind == c"B" and not statement.harmless:
            self.executes(statement.text)
        self.bound[statement] = given
        self._prepare(statement)
        self.server.ledger.push(BIND if kind == c"B" else DESCRIBE, FORWARD)
        length = total - 1 - len(given) + len(statement.name)
        head[0] = kind
        head[1] = (length >> 24) & 0xFF
        head[2] = (length >> 16) & 0xFF
        head[3] = (length >> 8) & 0xFF
        head[4] = length & 0xFF
        put(self.server, head, HEADER_BYTES)
        put(self.server, frame + HEADER_BYTES, name - HEADER_BYTES)
        put(self.server, statement.name, len(statement.name))
        return end - frame

    cdef bytes renamed(self, bytes error):
        cdef bytes body = error[HEADER_BYTES:]
        for statement, name in [*self.bound.items(), *((s, n) for n, s in self.statements.items())]:
            body = body.replace(b'"%b"' % (<Statement> statement).name, b'"%b"' % name)
        return _message(b"E", body)

    cdef int _prepare(self, Statement statement) except -1:
        """See that the connection has `statement`, at the cost of its least recently used one."""
        cdef Server server = self.server
        cdef Statement oldest
        if statement not in server.prepared:
            if len(server.prepared) >= PREPARED_LIMIT:
                oldest = min(server.prepared, key=server.prepared.get)
                undo = ((server.prepared, oldest, server.prepared[oldest]),)
                if server.owe(CLOSE, SWALLOW, undo):
                    del server.prepared[oldest]
                put(server, oldest.close, len(oldest.close))
            put(server, statement.parse, len(statement.parse))
            if not server.owe(PARSE, SWALLOW, ((server.prepared, statement, None),)):
                return 0
        return server.note_used(statement)

    cdef int executes(self, bytes text) except -1:
        """A statement is going to be executed, perhaps not for the first time, that may change
        session state."""
        raise NotImplementedError

    cdef int refuse_in_place(self, bytes error) except -1:
        """Let a message fail with `error`, in its place in the order and with PostgreSQL's
        consequences: something that fails is sent instead, and its error replaced."""
        self.server.owe_error(error, b"26000")
        return put(self.server, REFUSED, len(REFUSED))


cdef bytes _error(bytes sqlstate, bytes message):
    return _message(b"E", b"SERROR\0VERROR\0C%b\0M%b\0\0" % (sqlstate, message))


cdef bytes _message(bytes kind, bytes body):
    return kind + (len(body) + 4).to_bytes(4, "big") + body
