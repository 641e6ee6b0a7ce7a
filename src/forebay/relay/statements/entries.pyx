"""What stands for a prepared statement: with the client, and on a connection.

What a client was told of its statement (what it returns, the types of its parameters) hangs on the
client's entry, so an answer that comes late finds whom it belongs to, whatever the name means by then.
"""

cimport cython

from .statement cimport UNNAMED, Statement, Told, shape


@cython.final
@cython.no_gc
cdef class Named:
    """What a client calls by a name. `told` is None until the client was told anything."""

    cdef int tell(self, Statement statement, bytes returns, bytes types) except -1:
        """Note that the client was told that its statement, prepared as `statement`, returns these columns (see
        `shape`) and has parameters of these types. None leaves what was told before."""
        if self.told is not None:
            returns = self.told.shape if returns is None else returns
            types = self.told.types if types is None else types
        if returns is not None or types is not None:
            self.told = statement.told_of(returns, types)
        return 0


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Unnamed:
    """What a client has prepared without a name.

    `definition` is the body of its Parse behind the name, kept in order to prepare it on other connections; None if
    it is too long for that. `parameters` are what the connection reported at the time. `harmless`: running it
    certainly changes no session. `control`: what it may do to a transaction (see scan/control). `portal` is the body
    of the last RowDescription of a portal of it (empty for NoData), which is looked at only if the statement is
    bound on another connection.
    """

    cdef bytes text(self):
        """The SQL; None if it was not kept."""
        return None if self.definition is None else self.definition.partition(b"\0")[0]

    cdef Told was_told(self):
        """What the client was told of it, or None."""
        if self.told is None and self.portal is not None:
            self.told = UNNAMED.told_of(shape(self.portal), None)
        return self.told


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Held:
    """A prepared statement as one connection has it.

    `told` is what the connection has said of it, or None. `called` is the name by which a client has used it last.
    `unnamed` is the client's entry, if this is the connection's unnamed statement.
    """


cdef Named named(bytes name, Statement statement):
    cdef Named made = Named.__new__(Named)
    made.name = name
    made.statement = statement
    return made
