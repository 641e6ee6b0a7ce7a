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
        """The client was told this of it, prepared as `statement`; None: what was told before holds."""
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

    `definition` is the body of Parse behind the name, to prepare it elsewhere; None if it is too long
    to be kept. `parameters` are those that the connection reported then; `harmless`: it certainly
    changes no session when it runs; `portal`: the body of the last RowDescription of a portal of it
    (empty: of NoData), which is looked at only if the statement is bound elsewhere.
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

    `told`: what the connection has said of it, or None; `called`: as what a client used it last;
    `unnamed`: whose statement without a name it is.
    """


cdef Named named(bytes name, Statement statement):
    cdef Named made = Named.__new__(Named)
    made.name = name
    made.statement = statement
    return made
