"""What a client has prepared with names: the definitions, within limits, and what it was told of them.

Asked of ``sessions.texts`` (Python):
    undone(client)                 what the client has changed in its transaction is not known any more
"""

import re

from forebay.relay.statement import PREFIX

from .frames cimport HEADER_BYTES, message
from .prepared cimport Prepared
from .statement cimport STATEMENT_BYTES, Statement, Told
from .unnamed_user cimport UnnamedUser

cdef enum:
    KEPT_NAMES = 100  # of statements that are gone

cdef object OWN_NAME = re.compile(rb'"%b\d+"' % PREFIX)


cdef class StatementOwner(UnnamedUser):
    """A client's prepared statements."""

    def __cinit__(self):
        self.bound = {}

    # ---- what it has ----

    cdef int _define(self, bytes name, Statement statement) except -1:
        self.statements[name] = statement
        self.statement_bytes += statement.cost()
        if self.told is not None:
            self.told.pop(name, None)
        return 0

    cdef bint _has_room(self, Py_ssize_t total) except -1:
        """Whether one more, defined by a Parse of `total` bytes, stays within this client's limits."""
        cdef Statement statement
        total += STATEMENT_BYTES
        if self.statement_bytes + total > STATEMENTS_BYTES_LIMIT:
            # What failed was counted as well: count what there is.
            self.statement_bytes = 0
            for statement in self.statements.values():
                self.statement_bytes += statement.cost()
        return (
            len(self.statements) < STATEMENTS_LIMIT
            and self.statement_bytes + total <= STATEMENTS_BYTES_LIMIT
        )

    cdef int note_changed(self, bytes name) except -1:
        """The name is defined or closed in the batch being sent."""
        if self.changed is None:
            self.changed = {}
        self.changed[name] = self.server.prepared.batch
        return 0

    # ---- what ends ----

    def note_dropping(self) -> None:
        """What is about to run ends all prepared statements, if it succeeds."""
        self.dropping = self.server.prepared.batch

    cdef int drop_statements(self) except -1:
        """Execute of what ends all prepared statements, in the extended protocol: what follows in
        its batch runs only if it has succeeded."""
        cdef Prepared prepared = self.server.prepared
        cdef list changes = [(prepared.statements, *each) for each in prepared.statements.items()]
        self.dropping = 0
        if self.statements is not None:
            changes += [(self.statements, *each) for each in self.statements.items()]
        if prepared.owe_drop(tuple(changes)):
            prepared.statements.clear()
            prepared.latest = None
            prepared.told.clear()
            if self.statements is not None:
                for name in self.statements:
                    self.note_changed(name)
                self.statements.clear()
            self.told = None
        return 0

    cdef int statements_dropped(self) except -1:
        if self.statements is not None:
            self.statements.clear()
            self.statement_bytes = 0
        self.told = None
        return 0

    cdef int undone(self) except -1:
        self.sessions.texts.undone(self)
        return 0

    def redefine(self, name: bytes, Statement statement) -> None:
        """The client's settings give another meaning to what it calls `name`; None: no meaning."""
        if statement is None:
            del self.statements[name]
        else:
            self.statements[name] = statement

    cdef dict _without_gone(self, dict found, bint of_names=False):
        """A mapping from statements, or from their names, without those that the client has no more.
        Errors on their way may still name them: some are kept, though not for ever."""
        cdef Py_ssize_t there = 0 if self.statements is None else len(self.statements)
        if len(found) <= there + KEPT_NAMES:
            return found
        known = set(self.statements if of_names else self.statements.values()) if there else ()
        return {key: value for key, value in found.items() if key in known}

    cdef bint _still_means(self, bytes name, Statement statement) except -1:
        """Whether the client has not defined `name` anew since. (It may have closed it, if that does not
        fail.)"""
        cdef Statement now = None if self.statements is None else self.statements.get(name)
        return now is None or now.told_as is statement or now.is_defined_as(statement)

    # ---- what it is told ----

    def parsed(self, Statement statement, bytes name, types) -> None:
        """A connection has found these types of parameters when it has prepared `statement`, which the
        client calls `name`."""
        if self._still_means(name, statement):
            self.note_told(statement, name, None, types)

    cdef int note_told(self, Statement statement, bytes name, bytes shape, bytes types) except -1:
        """The client was told this of `statement`, which it calls `name`, or its parameters have these
        types since Parse. None: what was told before holds."""
        cdef Told before = None if self.told is None else self.told.get(name)
        if before is not None:
            shape = before.shape if shape is None else shape
            types = before.types if types is None else types
        if shape is not None or types is not None:
            self.told = {} if self.told is None else self._without_gone(self.told, True)
            self.told[name] = statement.told_of(shape, types)
        return 0

    cdef bytes renamed(self, bytes error, bytes name):
        cdef bytes body = error[HEADER_BYTES:]
        if name is not None:
            return message(b"E", OWN_NAME.sub(lambda _: b'"%b"' % name, body))
        for statement, called in [*self.bound.items(), *((s, n) for n, s in self.statements.items())]:
            body = body.replace(b'"%b"' % (<Statement> statement).known.name, b'"%b"' % called)
        return message(b"E", body)
