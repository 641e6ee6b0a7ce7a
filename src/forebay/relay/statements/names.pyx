"""What a client has prepared: what it calls its statements, within limits."""

from ..belief cimport ALL, Cell, Message, Table, note
from .entries cimport Named, Unnamed, named
from .statement cimport STATEMENT_BYTES, Statement

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char *text, size_t most)


cdef class Names:
    """A client's prepared statements: those with a name in `table` (name → Named), the one without in `unnamed`
    (Unnamed).

    `unasked`: the names in the batch being sent whose Parse was answered without asking a database. `asked`: the
    last Question that Forebay has sent on behalf of this client.
    """

    def __init__(self):
        self.table = Table()
        self.unnamed = Cell()

    # ---- what is there ----

    cdef Named get(self, bytes name):
        return self.table.get(name)

    cdef Unnamed get_unnamed(self):
        return self.unnamed.now()

    cdef bint is_waiting(self) except -1:
        """Whether the answer to a question of Forebay's is still to come."""
        return self.asked is not None and self.asked.is_open

    cdef bint keeps_connection(self) except -1:
        """Returns whether the client has an unnamed statement that it has not bound yet, and that is too long to be
        kept: it could not be prepared on another connection, so the client keeps this one."""
        cdef Unnamed there = self.unnamed.now()
        return there is not None and there.definition is None and not there.is_bound

    cdef bytes name_of(self, bytes known_name):
        """Returns the client's own name of the statement that connections know as `known_name`, or None."""
        for entry in [*self.table.confirmed.values(), *self.table.believed().values()]:
            if (<Named> entry).statement.known.name == known_name:
                return (<Named> entry).name
        return None

    cdef bint has_room(self, Py_ssize_t total) except -1:
        """Returns whether one more statement, defined by a Parse of `total` bytes, stays within this client's
        limits (STATEMENTS_LIMIT in number, STATEMENTS_BYTES_LIMIT in bytes)."""
        cdef Table table = self.table
        total += STATEMENT_BYTES
        if self.statement_bytes + total > STATEMENTS_BYTES_LIMIT:
            # What failed was counted as well: count what there is.
            self.statement_bytes = 0
            for entry in table.believed().values():
                self.statement_bytes += (<Named> entry).statement.cost()
        if self.statement_bytes + total > STATEMENTS_BYTES_LIMIT:
            return False
        if len(table.confirmed) + len(table.newest) < STATEMENTS_LIMIT:
            return True
        return len(table.believed()) < STATEMENTS_LIMIT

    # ---- what the client does ----

    cdef int define(self, Message message, bytes name, Statement statement) except -1:
        """The message defines `name`, if it succeeds."""
        note(message, self.table, name, named(name, statement))
        self.statement_bytes += statement.cost()
        return 0

    cdef int define_unasked(self, bytes name, Statement statement, bytes types) except -1:
        """Define `name` without asking the database, which is known to accept the statement, with parameters of
        these `types`."""
        cdef Named entry = named(name, statement)
        entry.tell(statement, None, types)
        self.table.settle(name, entry)
        self.statement_bytes += statement.cost()
        if self.unasked is None:
            self.unasked = set()
        self.unasked.add(name)
        return 0

    cdef int drop(self, Message message, Named entry) except -1:
        """The message closes a statement, if it succeeds."""
        note(message, self.table, entry.name, None)
        self.statement_bytes -= entry.statement.cost()
        return 0

    cdef int drop_all(self, Message message) except -1:
        """The message ends all that have names, if it succeeds."""
        note(message, self.table, ALL, None)
        return 0

    # ---- what happens to it ----

    cdef int clear(self) except -1:
        """All that have names have ended."""
        self.table.clear()
        self.statement_bytes = 0
        return 0

    cdef int forget(self) except -1:
        """The connection is gone, and what it was asked will not be answered."""
        self.asked = None
        return 0

    cdef int end(self) except -1:
        """The client has ended. A connection may keep the entry of its unnamed statement until that is replaced,
        but nobody will prepare it again: its text is not needed any more."""
        cdef Unnamed entry
        for entry in (self.unnamed.confirmed, self.unnamed.now()):
            if entry is not None:
                entry.definition = entry.portal = None
        return 0

    cdef int look_again(self) except -1:
        """See that the unnamed statement is examined when it runs: the operator lists other functions now, and it
        may be harmless no more."""
        cdef Unnamed entry
        for entry in (self.unnamed.confirmed, self.unnamed.now()):
            if entry is not None:
                entry.harmless = False
        return 0

    def redefine(self, bytes name, Statement statement):
        """Let `name` stand for `statement`, as the client's settings give its text another meaning. None: under
        these settings the text has no meaning, so the name ends."""
        cdef Named entry = self.table.get(name)
        if statement is None:
            self.table.settle(name, None)
        else:
            entry.statement = statement


cdef bytes known_as(const unsigned char *name):
    """The name of a statement (it ends with a zero byte), as far as PostgreSQL looks at it."""
    return name[:strnlen(<const char *> name, NAME_BYTES)]
