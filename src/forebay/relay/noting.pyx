"""What is taken note of in what a database sends: reported settings, commands that were completed, errors."""

from forebay.relay.statements.statement import PREFIX

from .connection cimport NOBODY, Borrower, Connection
from .frames cimport HEADER_BYTES

# Commands that may change what a statement means: which tables, functions and types its names find, and
# so what it takes and returns. (CREATE TABLE AS and the like have the tag of a SELECT; they only matter where
# something was dropped before, or stands behind in the search_path.)
cdef frozenset ALTERING = frozenset(
    b"%b %b\0" % (verb, kind)
    for verb in (b"CREATE", b"ALTER", b"DROP")
    for kind in (
        b"TABLE", b"FOREIGN TABLE", b"VIEW", b"MATERIALIZED VIEW", b"TYPE", b"DOMAIN", b"CAST", b"OPERATOR",
        b"FUNCTION", b"PROCEDURE", b"ROUTINE", b"AGGREGATE", b"SCHEMA", b"EXTENSION", b"OWNED",
    )
)
# Of these the most by far are of temporary tables, which mean something to their own client only.
cdef tuple OFTEN_TEMPORARY = (b"CREATE TABLE\0", b"DROP TABLE\0")
# The routine that finds a prepared statement's result changed (the field is never translated).
cdef bytes CHANGED_BY_ROUTINE = b"\0RRevalidateCachedQuery\0"
cdef bytes READ_ONLY = b"\0C25006\0"
cdef bytes IN_RECOVERY = b"in_hot_standby\0on\0"
# What a server says that ends its connections, and what that is called (see `ManagerPort.noticed`).
cdef tuple ENDINGS = (
    (b"\0C57P01\0", "terminated"), (b"\0C57P02\0", "crashed"), (b"\0C57P03\0", "starting"),
)
cdef bytes UNKNOWN_STATEMENT = b"\0C26000\0"
cdef bytes DISCARD_ALL = b"DISCARD ALL\0"
cdef bytes DISCARD_SEQUENCES = b"DISCARD SEQUENCES\0"
cdef tuple UNDOING = (b"ROLLBACK\0", b"COMMIT\0")  # where the transaction, or the next, goes on
cdef bytes DEALLOCATE_ALL = b"DEALLOCATE ALL\0"
cdef bytes HOW_TEXT_IS_READ = b"standard_conforming_strings\0"
# Reported settings on which it depends what statements mean.
cdef tuple OF_MEANING = (
    HOW_TEXT_IS_READ, b"client_encoding\0", b"TimeZone\0", b"DateStyle\0", b"IntervalStyle\0",
    b"search_path\0", b"session_authorization\0",
)


cdef bint note_parameter(Connection server, const unsigned char *body, Py_ssize_t count) except -1:
    """The database reports a setting (the body of a ParameterStatus). Returns False if it cannot be read."""
    try:
        server.parameters = server.pool.changeover.parameter_changed(server.parameters, body[:count])
    except ValueError:
        return False
    if body[0] == c"i" and body[:count].startswith(IN_RECOVERY):
        server.pool.manager.noticed(server, "read_only")
    if server.client is None or server.lease.replaying:
        return True
    if body[:count].startswith(HOW_TEXT_IS_READ):
        # What was sent meanwhile may have been read otherwise than the database does, even if
        # the change is local.
        server.client.suspect = True
    if server.lease.meanwhile is None and body[:count].startswith(OF_MEANING):
        server.client.sessions.texts.undone(server.client)  # a function has changed it
    return True


cdef int note_tag(Connection server, const unsigned char *tag, Py_ssize_t count) except -1:
    """A command of the client's is complete. Some end all prepared statements, those that Forebay made too; others
    may change what they mean."""
    if server.client is not None and server.lease.meanwhile is not None and tag[:count] in UNDOING:
        server.client.sessions.texts.undone(server.client)
    if count > 1 and (tag[0] == c"A" or (tag[1] == c"R" and (tag[0] == c"C" or tag[0] == c"D"))):
        server.altered = server.altered or _alters(server, tag[:count])
    if note_forgotten(server, tag, count):
        server.lease.sequences_discarded += 1
        if server.client is not None:
            server.client.may_have_drawn_elsewhere = False
    if count != len(DISCARD_ALL) and count != len(DEALLOCATE_ALL):
        return 0
    if tag[:count] == DISCARD_ALL or tag[:count] == DEALLOCATE_ALL:
        if tag[:count] == DISCARD_ALL:
            server.lease.discarded = True
        server.prepared.forget_all()
        if server.client is not None and server.client.names is not None:
            server.client.names.clear()
    return 0


cdef bint note_forgotten(Connection server, const unsigned char *tag, Py_ssize_t count) except -1:
    """Whether a command has let the session forget all values of sequences: from now on it
    remembers those of its client alone."""
    if count < 2 or tag[0] != c"D" or not (tag[:count] == DISCARD_ALL or tag[:count] == DISCARD_SEQUENCES):
        return False
    server.drawn_by = NOBODY if server.client is None else server.client.process_id
    server.forgetting = False
    server.forgotten_not = 0
    return True


cdef bint _alters(Connection server, bytes tag) except -1:
    """Whether statements may mean something else to other clients behind such a command."""
    cdef Borrower client = server.client
    if tag in OFTEN_TEMPORARY and client is not None and client.sessions.pinner.has_temporary(client):
        return False
    return tag in ALTERING


cdef bint is_last_word(const unsigned char *frame, Py_ssize_t total) except -1:
    """Whether the connection ends with this error."""
    cdef bytes start = frame[HEADER_BYTES:min(total, <Py_ssize_t> 80)]
    return b"\0VFATAL\0" in start or b"\0VPANIC\0" in start


cdef bint note_ending(Connection server, const unsigned char *frame, Py_ssize_t total) except -1:
    """A FATAL error, or what may stand for one: whether it says that the server ends connections, which says nothing
    of what the client has asked. Whoever looks after the servers is told."""
    cdef bytes start = frame[HEADER_BYTES:min(total, <Py_ssize_t> 80)]
    for sqlstate, kind in ENDINGS:
        if sqlstate in start:
            server.pool.manager.noticed(server, kind)
            return True
    return False


cdef int note_notice(Connection server, const unsigned char *frame, Py_ssize_t total) except -1:
    """A server that stops at once, or in which a process has crashed, says so in a notice, and ends the connection.
    (So does one that ends it while a commit waits for a standby: what is committed then.)"""
    if b"\0C57P0" in frame[HEADER_BYTES:min(total, <Py_ssize_t> 80)]:
        note_ending(server, frame, total)
    return 0


cdef bint is_read_only(const unsigned char *frame, Py_ssize_t total) except -1:
    """Whether the error says that the transaction may not write."""
    return READ_ONLY in frame[HEADER_BYTES:min(total, <Py_ssize_t> 80)]


cdef int note_error(Connection server, const unsigned char *frame, Py_ssize_t total) except -1:
    """After a FATAL error the connection ends, and the client knows why. Others show that the
    connection does not have what it had."""
    cdef bytes start = frame[HEADER_BYTES:min(total, <Py_ssize_t> 80)]
    if is_last_word(frame, total):
        server.fatal_forwarded = True
    if READ_ONLY in start:
        server.pool.manager.noticed(server, "read_only")
    if CHANGED_BY_ROUTINE in frame[:total]:
        server.pool.manager.schema_changed(server.pool)
    elif UNKNOWN_STATEMENT in start and PREFIX in frame[:total]:
        server.stale = True  # a function has ended prepared statements
    return 0
