"""What a client was told of its statements holds on whatever connection it uses them.

A client that was told what a statement returns decodes its rows by that, and one that was told the
types of parameters writes them so (and PostgreSQL keeps those that it has found at Parse, whatever
tables come to be). A connection that would prepare the statement now may understand it otherwise: a
table has changed. So it is prepared with the types that were told, and the connection is asked what it
returns before the client's message leaves.

Asked of ``sessions.texts`` (Python):
    with_types(statement, tail)    the Statement that means the same, but has that behind its text
"""

from libc.stdint cimport uint64_t
from libc.string cimport memchr

from .assembly cimport put
from .frames cimport HEADER_BYTES, message
from .ledger cimport FORWARD, SWALLOW
from .prepared cimport Prepared
from .preparing cimport prepare
from .statement cimport UNNAMED, Statement, Told, types_behind
from .statement_owner cimport StatementOwner

cdef enum:
    PORTALS_LIMIT = 100  # with names, of which is known what they were bound of

cdef bytes FLUSH = b"H\x00\x00\x00\x04"


cdef class ToldUser(StatementOwner):
    """What a client relies on."""

    cdef Statement as_told(self, Statement statement, Told told):
        """As which statement the client uses one of which it was told that: with the same types of
        parameters."""
        cdef dict has = self.server.prepared.told
        cdef Statement typed = statement.told_as
        cdef Told known = has.get(statement.known)
        cdef bytes tail
        if known is told or told.types is None or not statement.leaves_types:
            return statement
        if typed is not None and has.get(typed.known) is told:
            return typed
        if known is not None and known.types == told.types:
            return statement
        tail = types_behind(told.types)
        if typed is None or typed.tail != tail:
            typed = self.sessions.texts.with_types(statement, tail)
            typed.is_typed = True
            typed.told_as = None
            typed.known.told = told
            if not statement.is_typed:
                statement.told_as = typed  # so these never refer to each other
        return typed

    cdef bint keeps(self, Statement statement, Told told, bytes given) except -1:
        """Whether the connection understands `statement`, which the client calls `given`, as the client
        was told. If it has to be asked, this is False, and `asked` is set."""
        cdef Prepared prepared = self.server.prepared
        cdef Told known = prepared.told.get(statement.known)
        if known is told or told.shape is None or self.server.ledger.failed:
            return True
        if known is not None and known.shape is not None:
            return known.shape == told.shape
        prepare(self.server, statement)
        self.ask(statement, given, 0, message(b"D", b"S%b\0" % statement.known.name))
        return False

    cdef int ask(self, Statement statement, bytes given, uint64_t serial, bytes describe) except -1:
        """Ask the connection what a statement returns, for Forebay's sake."""
        self.server.prepared.owe_description(SWALLOW, statement, self, given, None, serial)
        self.asked = statement
        put(self.server, describe, len(describe))
        return put(self.server, FLUSH, len(FLUSH))

    def described(self, Statement statement, bytes name, uint64_t serial, shape, types) -> None:
        """A connection has told what `statement`, which the client calls `name`, returns and takes:
        the client or Forebay. None: it has not. `serial`: of the unnamed statement."""
        if self.asked is statement:
            self.asked = None
        elif shape is None:
            return
        elif statement is UNNAMED:
            self.note_unnamed_told(serial, shape, types)
        elif self._still_means(name, statement):
            self.note_told(statement, name, None if statement.finds else shape, types)

    # ---- portals ----

    cdef int note_bound(
        self, const unsigned char *portal, bytes given, Statement statement, bint is_told
    ) except -1:
        """A portal (its name ends with a zero byte) is bound of what the client calls `given`; empty,
        without a statement: of the unnamed one. `is_told`: the client was told what it returns, and
        the connection says the same."""
        if not portal[0]:
            self.bound_name = given
            self.bound_statement = statement
            self.bound_is_told = is_told
        else:
            if self.bound_portals is None or len(self.bound_portals) >= PORTALS_LIMIT:
                self.bound_portals = {}
            self.bound_portals[<bytes> portal] = (given, statement)
        return 0

    cdef bint describe_portal(self, const unsigned char *frame, Py_ssize_t total) except -1:
        """Describe of a portal: what the client is told of it counts for the statement that it was
        bound of. Whether the ledger has been told."""
        cdef bytes given = self.bound_name
        cdef Statement statement = self.bound_statement
        cdef Told known, told
        if self.bound_is_told and total == HEADER_BYTES + 2 and not frame[HEADER_BYTES + 1]:
            return False  # as it was told before
        if memchr(frame + HEADER_BYTES + 1, 0, total - HEADER_BYTES - 1) == NULL:
            return False  # malformed, as the database will say
        if frame[HEADER_BYTES + 1]:
            found = None
            if self.bound_portals is not None:
                found = self.bound_portals.get(<bytes> (frame + HEADER_BYTES + 1))
            given, statement = (None, None) if found is None else found
        if given is None:
            return False
        if statement is None:
            self.owe_portal()
            return True
        if statement.finds:
            return False
        known = self.server.prepared.told.get(statement.known)
        told = None if self.told is None else self.told.get(given)
        if known is not None and told is not None and known.shape is not None:
            if known is told or known.shape == told.shape:
                return False
        return self.server.prepared.owe_description(FORWARD, statement, self, given)
