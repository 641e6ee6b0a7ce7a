"""Prepared statements over shared connections.

A client's names mean something to the client only: Parse, Bind, Describe and Close are rewritten to
the names that database connections know, and what the connection at hand lacks is prepared on it in
the same write.

What a client was told of a statement holds on whatever connection it uses it (see `telling`). If that
cannot be, it fails as it does in PostgreSQL: "cached plan must not change result type".
"""

from forebay.relay.statements.statement import PREFIX

from libc.stdint cimport uint64_t
from libc.string cimport memchr

from ..assembly cimport put
from ..belief cimport ALL, KEEP, Message, Table, new_message, note
from ..connection cimport Borrower, Connection
from ..frames cimport HEADER_BYTES, NOTED, PASSES, WAITS, Frame, replaced, write_head
from ..frames cimport message as framed
from ..lease cimport control_behind
from ..ledger cimport BIND, CLOSE, DESCRIBE, EXECUTE, FAKE, FORWARD, PARSE, SWALLOW
from ..refusal cimport RESULT_CHANGED, error_response, refuse, refuse_in_turn
from ..sequences cimport forget_first, is_told_right
from ..scan.control cimport NO_CONTROL
from ..turn cimport answer_fakes
from .binding cimport binds
from .entries cimport Held, Named, held
from .names cimport STATEMENTS_BYTES_LIMIT, STATEMENTS_LIMIT, Names, known_as
from .prepared cimport Prepared, Question, note_proof
from .repair cimport evict, make_room, prepare, put_parse
from .statement cimport Known, Statement, Told, own_statement
from .telling cimport as_told, keeps, owe_question

cdef bytes PARSE_COMPLETE = b"1\x00\x00\x00\x04"

# Where PostgreSQL says so.
cdef bytes IN_STORE = b"Fprepare.c\0L1\0RStorePreparedStatement\0"
cdef bytes IN_FETCH = b"Fprepare.c\0L1\0RFetchPreparedStatement\0"

# An empty text is the one that can be prepared in an aborted transaction, too.
cdef Statement TAKEN = own_statement(PREFIX + b"taken")


cdef Py_ssize_t statement_name(Frame *frame) noexcept:
    """Returns where the name of a statement begins in a Parse, Bind, Describe or Close; 0 if the message names none
    (it is about a portal), or is malformed, which the database will report."""
    cdef const unsigned char *end
    cdef Py_ssize_t at = HEADER_BYTES
    if frame.kind == c"B":
        end = <const unsigned char *> memchr(frame.data + at, 0, frame.there - at)
        if end == NULL:
            return 0
        at = end - frame.data + 1
    elif frame.kind != c"P":
        if frame.there <= at or frame.data[at] != c"S":
            return 0
        at += 1
    if at >= frame.there or memchr(frame.data + at, 0, frame.there - at) == NULL:
        return 0
    return at


cdef inline const unsigned char *_behind_name(Frame *frame, Py_ssize_t name) noexcept:
    """What follows the name of a statement that begins at `name`: in a Parse what it is defined as."""
    return <const unsigned char *> memchr(frame.data + name, 0, frame.there - name) + 1


# ---- what is not known yet ----


cdef bint must_wait(Borrower client, Frame *frame, Py_ssize_t name) except -1:
    """Whether a message that names a statement must wait for the answers to earlier batches.

    (In the batch being sent, errors have the same consequence for all that follows.)
    """
    cdef Names names = client.names
    cdef Prepared prepared = client.server.prepared
    cdef uint64_t batch = prepared.unanswered.batch
    cdef Named found
    cdef Statement statement
    if names is not None and names.is_waiting():
        return True
    if client.server.ledger.copy_in:
        return False  # the answer waits for what the client sends
    if prepared.unanswered.first is None or prepared.unanswered.first.batch == batch:
        return False
    given = known_as(frame.data + name)
    if names is not None and names.table.is_uncertain(given, batch):
        return True
    if not prepared.statements.is_changing():
        return False
    found = None if names is None else names.get(given)
    if frame.kind != c"P":
        if found is None:
            return False
        statement = _meant(client, found.statement)
        if statement is not None and found.told is not None:
            statement = as_told(client, statement, found.told)
    elif found is not None:
        statement = TAKEN
    else:
        statement = _statement(client, frame, name) if frame.there == frame.total else None
    return statement is not None and prepared.statements.is_uncertain(statement.known, batch)


# ---- Parse ----


cdef int define_named(Borrower client, Frame *frame, Py_ssize_t at) except -1:
    """Parse with a name, which begins at `at`: prepare the statement unless the connection has it."""
    cdef bytes name = known_as(frame.data + at)
    cdef Names names = client.own_names()
    cdef Statement statement
    if names.get(name) is not None:
        return _define_again(client, name, frame, at)
    if frame.there < frame.total:
        if frame.total > NAMED_LIMIT:
            error = b"a prepared statement is too long: %d bytes, at most %d" % (frame.total, NAMED_LIMIT)
            return refuse(client.server, error_response(b"54000", error))
        error = b"no memory for a prepared statement of %d bytes: too much is waiting" % frame.total
        return refuse(client.server, error_response(b"53200", error))
    if not names.has_room(frame.total):
        error = b"too many prepared statements: at most %d, of %d bytes in all" % (
            STATEMENTS_LIMIT, STATEMENTS_BYTES_LIMIT,
        )
        return refuse(client.server, error_response(b"54000", error))
    statement = _statement(client, frame, at)
    if statement is None:
        return refuse(client.server, client.sessions.texts.no_room(client))
    if _is_usable(client.server, statement.known):
        return _define_there(client, name, statement)
    return _define_new(client, name, statement)


cdef bint _is_usable(Connection server, Known known) except -1:
    """Returns whether the connection has the statement and no Parse of it needs to be sent; else sees that there is
    room for it.

    If the connection has the statement but the Parse must be sent all the same, the old one is closed first. That
    is so in an aborted transaction, where the Parse has to fail; while requests are unanswered, since one of them
    may abort the transaction; and where the statement may mean something else by now.
    """
    if server.prepared.get(known) is None:
        make_room(server)
        return False
    if server.status == c"E" or server.ledger.is_pipelined() or server.altered or server.stale:
        evict(server, known)
        return False
    return True


cdef int _define_there(Borrower client, bytes name, Statement statement) except -1:
    """The connection has what is defined: Forebay answers in its place."""
    cdef Prepared prepared = client.server.prepared
    cdef Held there = prepared.get(statement.known)
    cdef Message parse = new_message()
    cdef Named entry
    client.names.define(parse, name, statement)
    if prepared.owe(PARSE, FAKE, parse):
        prepared.note_used(statement.known, there)
    entry = client.names.get(name)
    if entry is not None and there.told is not None:
        entry.tell(statement, None, there.told.types)
    return answer_fakes(client.server)


cdef int _define_new(Borrower client, bytes name, Statement statement) except -1:
    """The connection is asked to prepare what is defined."""
    cdef Prepared prepared = client.server.prepared
    cdef Known known = statement.known
    cdef Held there = held()
    cdef Message parse = new_message()
    cdef Question question
    cdef uint64_t proves = _proves(client)
    client.names.define(parse, name, statement)
    note(parse, prepared.statements, known, there)
    if proves:
        note_proof(parse, known, proves)
    if prepared.owe(PARSE, FORWARD, parse):
        prepared.note_used(known, there)
    put_parse(client.server, statement)
    known.proven_types = None
    if statement.leaves_types:
        question = owe_question(client.server, SWALLOW, statement, there, client.names.get(name), None)
        if question is not None:
            question.is_of_parse = True
            question.proves = proves != 0
            describe = framed(b"D", b"S%b\0" % known.name)
            put(client.server, describe, len(describe))
    return 0


cdef Statement _statement(Borrower client, Frame *frame, Py_ssize_t name):
    """What a Parse defines, whose name begins at `name`."""
    cdef const unsigned char *definition = _behind_name(frame, name)
    return client.sessions.texts.statement(client, definition[:frame.data + frame.total - definition])


cdef uint64_t _proves(Borrower client) except? 0:
    """Returns the state of the schema (`MicroPool.schema`) if a statement that the database accepts from this
    client now would be accepted from any client with the same settings: nothing came before it in its transaction,
    and the client has nothing of its own in the database. Returns 0 otherwise."""
    cdef Connection server = client.server
    if server.status != c"I" or client.pinned or client.lease.unsynced or server.ledger.is_pipelined():
        return 0
    return client.pool.schema


cdef int _define_again(Borrower client, bytes name, Frame *frame, Py_ssize_t at) except -1:
    """Handle a Parse whose name is taken. PostgreSQL reports that (42P05) only after it has read and analysed the
    statement, so an error in the text comes first. The database is therefore sent the text under a name that the
    connection has already (`TAKEN`), and its 42P05 is replaced by one with the client's name."""
    cdef bytes refusal = error_response(
        b"42P05", b'prepared statement "%b" already exists' % name, IN_STORE
    )
    cdef const unsigned char *definition = _behind_name(frame, at)
    cdef bytes parse
    if frame.there < frame.total:
        return refuse(client.server, refusal)
    prepare(client.server, TAKEN)
    client.server.prepared.owe_error(refusal, b"42P05")
    parse = framed(b"P", TAKEN.known.name + b"\0" + definition[:frame.data + frame.total - definition])
    return put(client.server, parse, len(parse))


cdef bint define_proven(Borrower client, Frame *frame) except -1:
    """Answer a Parse of a statement that the database has accepted before, without a connection. Returns False if
    that cannot be done, and nothing was answered.

    A client thus waits for a connection when it executes, not when it prepares.
    """
    cdef Py_ssize_t at = statement_name(frame)
    cdef Names names
    cdef bytes name
    cdef Statement statement
    if at == 0 or frame.data[at] == 0:
        return False
    name = known_as(frame.data + at)
    names = client.own_names()
    if names.get(name) is not None or not names.has_room(frame.total):
        return False
    statement = _statement(client, frame, at)
    if statement is None or statement.known.proven != client.pool.schema:
        return False
    if statement.leaves_types and statement.known.proven_types is None:
        return False
    client.pool.tally.client_parses += 1
    names.define_unasked(name, statement, statement.known.proven_types)
    client.write(PARSE_COMPLETE, len(PARSE_COMPLETE))
    return True


# ---- Bind, Describe, Close ----


cdef int use_named(Borrower client, Frame *frame, Py_ssize_t name) except -1:
    """Rewrite a Bind, Describe or Close of a named statement. Returns the message's FATE: WAITS if a question of
    Forebay's has to be answered first."""
    cdef Connection server = client.server
    cdef bytes given = known_as(frame.data + name)
    cdef Named entry = None if client.names is None else client.names.get(given)
    cdef Statement statement
    cdef Told told
    cdef Held there
    cdef bint is_kept
    if entry is None and (client.pinned or client.suspect) and not given.startswith(PREFIX):
        return _use_sql_prepared(client, frame.kind, given)
    if frame.kind == c"C":
        _close(client, entry)
        return replaced(frame)
    statement = None if entry is None else _meant(client, entry.statement)
    if statement is None:
        error = b'prepared statement "%b" does not exist' % <bytes> (frame.data + name)
        refuse(server, error_response(b"26000", error, IN_FETCH))
        return replaced(frame)
    told = entry.told
    there = server.prepared.get(statement.known)
    is_kept = told is None or (there is not None and there.told is told)
    if not is_kept:
        statement = as_told(client, statement, told)
    if frame.kind == c"B":
        if not statement.harmless and must_forget(client, statement.text, statement.meaning.reading):
            forget_first(client)
            return WAITS
        client.lease.portals_control |= control_behind(client.lease, statement.control)
        client.own_portals().note_bound(
            frame.data + HEADER_BYTES, entry, None, statement, is_kept and told is not None and told.shape is not None
        )
    if not is_kept and not keeps(client, statement, entry):
        if client.names.is_waiting():
            return WAITS
        refuse_in_turn(server, RESULT_CHANGED)
        return replaced(frame)
    if frame.kind == c"B" and (
        client.strict or client.pinned or client.reads_all or not statement.harmless
        or client.portals.followed is not None
    ):
        binds(client, frame.data + HEADER_BYTES, statement.text, True, statement.meaning.reading)
    if client.names.unasked is not None and given in client.names.unasked:
        # If it cannot be prepared by now, its Parse would have failed.
        there = prepare(server, statement, client.names.table, given)
        _owe_use(server, frame.kind, entry, statement, there, client.names.table)
    else:
        there = prepare(server, statement)
        _owe_use(server, frame.kind, entry, statement, there, None)
    return _put_renamed(server, frame, name, statement.known.name)


cdef int _owe_use(
    Connection server, int kind, Named entry, Statement statement, Held there, Table unasked
) except -1:
    """Note that a Bind or Describe of a named statement is sent, which the connection has as `there`.

    `unasked` is the client's table of names if the name was defined without asking a database (a Describe that is
    refused ends the name), else None.
    """
    cdef Question question
    cdef Message describe
    if kind == c"B":
        if there is None or there.called == entry.name:
            server.ledger.push(BIND, FORWARD)
        elif there.called is None or server.ledger.count == 0:
            there.called = entry.name
            server.ledger.push(BIND, FORWARD)
        else:
            server.prepared.owe_naming(BIND, entry.name)
        return 0
    question = Question.__new__(Question)
    question.statement, question.held, question.named = statement, there, entry
    describe = new_message()
    describe.role = question
    if unasked is not None:
        note(describe, unasked, entry.name, KEEP, None, True)
    server.prepared.owe(DESCRIBE, FORWARD, describe)
    return 0


cdef int _put_renamed(Connection server, Frame *frame, Py_ssize_t name, bytes known) except -1:
    """Put the beginning of a message, with the name that the connection knows. The rest follows as it is."""
    cdef const unsigned char *rest = _behind_name(frame, name) - 1  # with the zero byte
    cdef unsigned char head[HEADER_BYTES]
    write_head(head, frame.kind, frame.total - 1 - (rest - frame.data - name) + len(known))
    put(server, head, HEADER_BYTES)
    put(server, frame.data + HEADER_BYTES, name - HEADER_BYTES)
    put(server, known, len(known))
    frame.unsent = rest
    return NOTED


cdef Statement _meant(Borrower client, Statement statement):
    """Returns the statement as which the connection has `statement`, or is to prepare it now; None if it cannot be
    prepared now.

    Behind a change of search_path in its transaction, say, a client goes on using what the connection has already,
    as in PostgreSQL. What the connection lacks is prepared under the settings of now, and so is another statement
    than the one that other clients mean by the same text.
    """
    if client.lease.meanwhile is None or client.server.prepared.get(statement.known) is not None:
        return statement
    return client.sessions.texts.again(client, statement)


cdef bint must_forget(Borrower client, bytes text, object reading) except -1:
    """Returns whether a statement asks what its session has drawn from sequences (currval, lastval), while the
    client's connection remembers values that other clients have drawn."""
    return not is_told_right(client) and client.sessions.texts.asks(client, text, reading)


cdef int _use_sql_prepared(Borrower client, int kind, bytes name) except -1:
    """As ``use_named``, for what the client may have prepared by SQL: then the database knows it
    by the same name, and running or closing it is what SQL would do."""
    if kind != c"D":
        verb = b"EXECUTE" if kind == c"B" else b"DEALLOCATE"
        client.lease.portals_control |= NO_CONTROL
        client.sessions.texts.examine(client, b'%b "%b"' % (verb, name.replace(b'"', b'""')))
    return PASSES


cdef int _close(Borrower client, Named entry) except -1:
    """Close of a named statement: the connection keeps it, and is not asked."""
    cdef Message close = new_message()
    if entry is not None:
        client.names.drop(close, entry)
    client.server.prepared.owe(CLOSE, FAKE, close)
    return answer_fakes(client.server)


cdef int drop_statements(Borrower client) except -1:
    """Note that an Execute is sent, in the extended protocol, of what ends all prepared statements (DISCARD ALL,
    say). Messages behind it in its batch run only if it has succeeded, and so find none."""
    cdef Prepared prepared = client.server.prepared
    cdef Message execute = new_message()
    note(execute, prepared.statements, ALL, None)
    if client.names is not None:
        client.names.drop_all(execute)
    if prepared.owe(EXECUTE, FORWARD, execute):
        prepared.latest = prepared.latest_held = None
    return 0
