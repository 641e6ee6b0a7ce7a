"""Prepared statements over shared connections.

A client's names mean something to the client only: Parse, Bind, Describe and Close are rewritten to
the names that database connections know, and what the connection at hand lacks is prepared on it in
the same write. What is noted ahead of a reply is undone if that fails (see `prepared`).

If a connection understands a statement otherwise than the client was told (see `told_user`), that
fails as it does in PostgreSQL: "cached plan must not change result type".

Which Statement a definition means is asked of ``sessions.texts`` (Python):
    statement(client, definition)  the Statement that a Parse defines; None: there is no room for it
    no_room(client)                the error for that
    again(client, statement)       as which Statement it is prepared now, in other circumstances
    examine(client, text)          what SQL would say for a statement that SQL has prepared
"""

from forebay.relay.statement import PREFIX

from libc.stdint cimport uint64_t
from libc.string cimport memchr

from .assembly cimport put
from .connection cimport Connection
from .frames cimport HEADER_BYTES, message, write_head
from .ledger cimport BIND, CLOSE, FAKE, FORWARD, PARSE, awaited
from .prepared cimport Prepared
from .preparing cimport evict, make_room, prepare, put_parse
from .refusal cimport RESULT_CHANGED, error_response, refuse, refuse_in_turn
from .sequences cimport forget_first, is_told_right
from .statement cimport Known, Statement, Told, own_statement
from .statement_owner cimport STATEMENTS_BYTES_LIMIT, STATEMENTS_LIMIT
from .told_user cimport ToldUser

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char *text, size_t most)

cdef enum:
    NAME_BYTES = 63  # NAMEDATALEN - 1

cdef bytes PARSE_COMPLETE = b"1\x00\x00\x00\x04"

# Where PostgreSQL says so.
cdef bytes IN_STORE = b"Fprepare.c\0L1\0RStorePreparedStatement\0"
cdef bytes IN_FETCH = b"Fprepare.c\0L1\0RFetchPreparedStatement\0"

# An empty text is the one that can be prepared in an aborted transaction, too.
cdef Statement TAKEN = own_statement(PREFIX + b"taken")


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


cdef class StatementUser(ToldUser):
    """What a client does with what it has prepared."""

    # ---- what is not known yet ----

    cdef bint must_wait(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
        Py_ssize_t name,
    ) except -1:
        """Whether a message that names a statement must wait for the answers to earlier batches.

        (In the batch being sent, errors have the same consequence for all that follows.)
        """
        cdef Prepared prepared = self.server.prepared
        cdef uint64_t unknown
        cdef object found
        cdef Statement statement
        cdef Told told
        cdef Py_ssize_t text
        if self.asked is not None:
            return True
        if self.server.ledger.copy_in:
            return False  # the answer waits for what the client sends
        if self.dropping:
            if self.server.ledger.count == 0:
                self.dropping = 0
            elif self.dropping < prepared.batch:
                return True
        unknown = prepared.unknown_since()
        if unknown == 0:
            self.changed = None
        if unknown == 0 or unknown == prepared.batch:
            return False
        text = <const unsigned char *> memchr(frame + name, 0, there - name) - frame + 1
        given = _known_as(frame + name)
        if self.changed is not None:
            if unknown <= self.changed.get(given, 0) < prepared.batch:
                return True
        if not prepared.unproven:
            return False
        found = None if self.statements is None else self.statements.get(given)
        if kind == c"P":
            if found is not None:
                return prepared.is_uncertain(TAKEN.known)
            statement = self._statement(frame, text, total) if there == total else None
        else:
            statement = None if found is None else self._meant(found)
            told = None if self.told is None else self.told.get(given)
            if statement is not None and told is not None:
                statement = self.as_told(statement, told)
        return statement is not None and prepared.is_uncertain(statement.known)

    # ---- named statements ----

    cdef int define_named(
        self, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there, Py_ssize_t text
    ) except -1:
        """Parse with a name: prepare the statement unless the connection has it. `text` is where its
        definition begins in the frame."""
        cdef bytes name = _known_as(frame + HEADER_BYTES)
        cdef Statement statement
        cdef Known known
        cdef Connection server = self.server
        cdef Prepared prepared = server.prepared
        cdef Told told
        cdef bint is_there
        if self.statements is None:
            self.statements = {}
        if name in self.statements:
            return self._define_again(name, frame, total, there, text)
        if there < total:
            error = b"a prepared statement is too long: %d bytes, at most %d" % (total, NAMED_LIMIT)
            return refuse(self.server, error_response(b"54000", error))
        if not self._has_room(total):
            error = b"too many prepared statements: at most %d, of %d bytes in all" % (
                STATEMENTS_LIMIT, STATEMENTS_BYTES_LIMIT,
            )
            return refuse(self.server, error_response(b"54000", error))
        statement = self._statement(frame, text, total)
        if statement is None:
            return refuse(self.server, self.sessions.texts.no_room(self))
        known = statement.known
        is_there = known in prepared.statements
        if not is_there:
            make_room(server)
        if is_there and (
            server.status == c"E" or server.ledger.is_pipelined() or server.altered or server.stale
        ):
            # In an aborted transaction Parse fails, and there may be one when its turn comes; or the
            # statement may mean something else by now.
            evict(server, known)
            is_there = False
        changes = ((self.statements, name, None), (prepared.statements, known, None))
        if is_there:
            changes = changes[:1]
        if prepared.owe(PARSE, FAKE if is_there else FORWARD, changes, self._proves()):
            self._define(name, statement)
            self.note_changed(name)
            prepared.note_used(known)
        if is_there:
            server.answer_fakes()
            told = prepared.told.get(known)
            if told is not None:
                self.note_told(statement, name, None, told.types)
            return 0
        put_parse(server, statement)
        known.proven_types = None
        if statement.leaves_types and prepared.owe_types(statement, self, name, self._proves() != 0):
            describe = message(b"D", b"S%b\0" % known.name)
            put(server, describe, len(describe))
        return 0

    cdef Statement _statement(self, const unsigned char *frame, Py_ssize_t text, Py_ssize_t total):
        """What a Parse defines, whose definition begins at `text`."""
        return self.sessions.texts.statement(self, frame[text:total])

    cdef uint64_t _proves(self) except? 0:
        """The state of the schema, if what is accepted from this client now would be from any that has
        its settings: nothing came before it in its transaction, and it has nothing of its own in the
        database. Else 0."""
        cdef Connection server = self.server
        if server.status != c"I" or self.pinned or self.unsynced or server.ledger.is_pipelined():
            return 0
        return self.pool.schema

    cdef int _define_again(
        self, bytes name, const unsigned char *frame, Py_ssize_t total, Py_ssize_t there,
        Py_ssize_t text,
    ) except -1:
        """Parse of a name that is taken. PostgreSQL finds that out when it has read and analysed the
        statement, so the database is given one that it has."""
        cdef bytes refusal = error_response(
            b"42P05", b'prepared statement "%b" already exists' % name, IN_STORE
        )
        cdef bytes parse
        if there < total:
            return refuse(self.server, refusal)
        prepare(self.server, TAKEN)
        self.server.prepared.owe_error(refusal, b"42P05")
        parse = message(b"P", TAKEN.known.name + b"\0" + frame[text:total])
        return put(self.server, parse, len(parse))

    cdef bint define_proven(self, const unsigned char *frame, Py_ssize_t total) except -1:
        """Parse of a statement that the database has accepted before needs no connection: whether it
        is answered. A client thus waits for one when it executes, not when it prepares."""
        cdef Py_ssize_t at = statement_name(c"P", frame, total)
        cdef Py_ssize_t text
        cdef bytes name
        cdef Statement statement
        if at == 0 or frame[at] == 0:
            return False
        text = <const unsigned char *> memchr(frame + at, 0, total - at) - frame + 1
        name = _known_as(frame + at)
        if self.statements is None:
            self.statements = {}
        if name in self.statements or not self._has_room(total):
            return False
        statement = self._statement(frame, text, total)
        if statement is None or statement.known.proven != self.pool.schema:
            return False
        if statement.leaves_types and statement.known.proven_types is None:
            return False
        self._define(name, statement)
        self.note_told(statement, name, None, statement.known.proven_types)
        if self.unasked is None:
            self.unasked = set()
        self.unasked.add(name)
        self.write(PARSE_COMPLETE, len(PARSE_COMPLETE))
        return True

    cdef Py_ssize_t use_named(
        self, int kind, const unsigned char *frame, Py_ssize_t total, Py_ssize_t name
    ) except -3:
        """Bind, Describe or Close of a named statement. How many bytes of the frame are done with:
        the rest of it follows unchanged. ASKED: it must wait for an answer."""
        cdef const unsigned char *end = <const unsigned char *> memchr(
            frame + name, 0, total - name
        )
        cdef bytes given = _known_as(frame + name)
        cdef object found = None if self.statements is None else self.statements.get(given)
        cdef Statement statement
        cdef Told told
        cdef bytes called
        cdef bint is_kept
        cdef tuple refutes = None
        cdef unsigned char head[HEADER_BYTES]
        cdef Py_ssize_t length
        if found is None and (self.pinned or self.suspect) and not given.startswith(PREFIX):
            return self._use_sql_prepared(kind, given)
        if kind == c"C":
            self._close(given, found)
            return total
        if found is None:
            return self._refuse_unknown(frame + name, total)
        statement = self._meant(found)
        if statement is None:
            return self._refuse_unknown(frame + name, total)
        called = self.bound.get(statement)
        if called is not None and called == given:
            given = called  # the same object: what is looked up by it is found at once
        told = None if self.told is None else self.told.get(given)
        is_kept = told is None or self.server.prepared.told.get(statement.known) is told
        if not is_kept:
            statement = self.as_told(statement, told)
            called = self.bound.get(statement)
        if kind == c"B" and not statement.harmless and self.must_forget(
            statement.text, statement.meaning.reading
        ):
            forget_first(self)
            return ASKED
        if kind == c"B":
            self.note_bound(
                frame + HEADER_BYTES, given, statement,
                is_kept and told is not None and told.shape is not None,
            )
        if not is_kept and not self.keeps(statement, told, given):
            if self.asked is None:
                refuse_in_turn(self.server, RESULT_CHANGED)
                return total
            return ASKED
        if kind == c"B" and (
            self.strict or self.pinned or self.reads_all or not statement.harmless
            or self.portals is not None
        ):
            self.binds(frame + HEADER_BYTES, statement.text, True, statement.meaning.reading)
        if self.unasked is not None and given in self.unasked:
            # If it cannot be prepared by now, its Parse would have failed.
            refutes = (self.statements, given)
        prepare(self.server, statement, refutes)
        if called is None or (called != given and self.server.ledger.count == 0):
            self.bound = self._without_gone(self.bound)
            self.bound[statement] = called = given
        if kind == c"B" and called == given:
            self.server.ledger.push(BIND, FORWARD)
        elif kind == c"B":
            self.server.prepared.owe_named(BIND, given)
        else:
            self.server.prepared.owe_description(FORWARD, statement, self, given, refutes)
        length = total - 1 - (end - frame - name) + len(statement.known.name)
        write_head(head, kind, length)
        put(self.server, head, HEADER_BYTES)
        put(self.server, frame + HEADER_BYTES, name - HEADER_BYTES)
        put(self.server, statement.known.name, len(statement.known.name))
        return end - frame

    cdef Py_ssize_t _refuse_unknown(self, const unsigned char *name, Py_ssize_t total) except -3:
        error = b'prepared statement "%b" does not exist' % <bytes> name
        refuse(self.server, error_response(b"26000", error, IN_FETCH))
        return total

    cdef Statement _meant(self, Statement statement):
        """As which statement the connection has it, or is to prepare it; None: it cannot be. What is
        prepared only in a transaction with a search_path of its own, say, is understood, and takes
        parameters, as others that mean the same do not."""
        if self.meanwhile is None or statement.known in self.server.prepared.statements:
            return statement
        return self.sessions.texts.again(self, statement)

    cdef bint must_forget(self, bytes text, object reading) except -1:
        """Whether a statement asks what its session has drawn from sequences, of which the client's
        connection remembers what others have."""
        return not is_told_right(self) and self.sessions.texts.asks(self, text, reading)

    cdef Py_ssize_t _use_sql_prepared(self, int kind, bytes name) except -3:
        """As ``use_named``, for what the client may have prepared by SQL: then the database knows it
        by the same name, and running or closing it is what SQL would do."""
        if kind != c"D":
            verb = b"EXECUTE" if kind == c"B" else b"DEALLOCATE"
            self.sessions.texts.examine(self, b'%b "%b"' % (verb, name.replace(b'"', b'""')))
        self.server.ledger.push(awaited(kind), FORWARD)
        return 0

    cdef int _close(self, bytes given, object found) except -1:
        """Close of a named statement: the connection keeps it, and is not asked."""
        cdef tuple changes = ()
        if found is not None:
            changes = ((self.statements, given, found),)
            self.statement_bytes -= (<Statement> found).cost()
        if self.server.prepared.owe(CLOSE, FAKE, changes) and found is not None:
            del self.statements[given]
            self.note_changed(given)
        return self.server.answer_fakes()

    # ---- what a client does with it ----

    cdef int binds(
        self, const unsigned char *portal, bytes text, bint named, object reading
    ) except -1:
        """A portal is bound of a statement that may change session state whenever it is executed, or
        there is such a portal already. `portal`: its name, with a zero byte behind; `reading`: how the
        text was read, if that matters."""
        raise NotImplementedError


cdef bytes _known_as(const unsigned char *name):
    """The name of a statement (it ends with a zero byte), as far as PostgreSQL looks at it."""
    return name[:strnlen(<const char *> name, NAME_BYTES)]
