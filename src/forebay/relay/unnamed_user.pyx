"""The unnamed prepared statement over shared connections.

Parse, Bind, Describe and Close of it pass as they are. What it was defined as is kept, and prepared
again when the client uses it over a connection that has meanwhile another, or another client's: each
definition has a serial number of its own, and the connection knows whose it holds.

What is rare is asked of ``sessions.texts`` (Python):
    reread(definition, parameters, now)  what means the same where the database reports other parameters;
                                         None: nothing does
"""

from libc.stdint cimport uint64_t

from .assembly cimport put
from .connection cimport Borrower
from .frames cimport message
from .ledger cimport CLOSE, DESCRIBE, FORWARD, PARSE, SWALLOW
from .prepared cimport Prepared
from .refusal cimport error_response, refuse
from .statement cimport UNNAMED, shape, with_types

# Stands for the definition of an unnamed statement that is there, on one connection, and not kept.
cdef bytes TOO_LONG = b"(too long to be kept)\0"

cdef bytes IN_BIND = b"Fpostgres.c\0L1\0Rexec_bind_message\0"

cdef uint64_t last_serial = 0


cdef class UnnamedUser(Borrower):
    """What a client has prepared without a name."""

    # ---- what the client does with it ----

    cdef int define_unnamed(self, bytes definition, bint harmless) except -1:
        """A Parse is sent; what it defines is kept (None: that is too long). `harmless`: to execute
        it certainly changes no session."""
        return self._change(PARSE, TOO_LONG if definition is None else definition, harmless)

    cdef int close_unnamed(self) except -1:
        """A Close is sent."""
        return self._change(CLOSE, None, True)

    cdef int _change(self, int kind, bytes definition, bint harmless) except -1:
        global last_serial
        cdef uint64_t serial = last_serial + 1
        if self.server.prepared.owe_unnamed(
            kind, FORWARD, self, self.unnamed, self.unnamed_serial, serial
        ):
            last_serial = serial
            self.unnamed_parameters = self.parameters_now()
            self._set(definition, serial, harmless)
        return 0

    cdef int _set(self, bytes definition, uint64_t serial, bint harmless) except -1:
        self.unnamed = definition
        self.unnamed_serial = serial
        self.unnamed_harmless = harmless
        self.prepared_unnamed = definition is TOO_LONG
        return 0

    cdef int end_unnamed(self) except -1:
        """A simple Query is sent, which ends the unnamed statement: the connection's, which may be
        another client's, and this client's."""
        self.server.prepared.unnamed_serial = 0
        return self.forget_unnamed()

    cdef int forget_unnamed(self) except -1:
        """The client has none any more; the connection was not asked."""
        return self._set(None, 0, True)

    def restore_unnamed(self, instead: int, unnamed: bytes | None, serial: int) -> None:
        """What was to define or close the unnamed statement has failed or was skipped. `instead`:
        the serial of what there would be, if nothing has replaced that."""
        if self.unnamed_serial == instead:
            self._set(unnamed, serial, False)  # to be looked at again when it runs

    # ---- what is there ----

    cpdef object parameters_now(self):
        """What the database reports by the time it reads what the client sends now, as far as is known."""
        if self.server is None or self.server.replaying:
            return self.parameters
        return self.server.parameters  # a function, say, may have changed how strings are read

    cdef bytes unnamed_text(self):
        """The SQL of the unnamed statement; None without one, or if it was not kept."""
        if self.unnamed is None or self.unnamed is TOO_LONG:
            return None
        return self.unnamed.partition(b"\0")[0]

    cdef bint has_unnamed(self) noexcept:
        """Whether the connection's unnamed statement is this client's."""
        return self.unnamed is not None and self.server.prepared.unnamed_serial == self.unnamed_serial

    cdef int owe_portal(self) except -1:
        """Describe of a portal of the unnamed statement is sent. Nearly all clients describe each
        portal, and parse the unnamed statement each time: the answer is kept as it is, and looked at
        only if the statement is bound elsewhere."""
        cdef bint sent = self.server.ledger.push(DESCRIBE, FORWARD, False, True)
        self.portals_owed += sent
        self.portal_serial = self.unnamed_serial if sent else 0
        return 0

    cdef bint was_told(self) except -1:
        """Whether the client was told what its unnamed statement returns."""
        if self.told_serial != self.unnamed_serial and self.portal_serial == self.unnamed_serial:
            if self.portals_owed == 0 and self.portal_told is not None:
                self.note_unnamed_told(self.unnamed_serial, shape(self.portal_told), None)
        return self.told_serial == self.unnamed_serial and self.told_unnamed is not None

    cdef int note_unnamed_told(self, uint64_t serial, bytes returned, bytes types) except -1:
        """The client was told this of its unnamed statement with that serial."""
        self.told_serial = serial
        self.told_unnamed = UNNAMED.told_of(returned, types)
        return 0

    cdef bint keeps_unnamed_shape(self) except -1:
        """Whether what the connection has returns what the client was told, as far as is known."""
        cdef Prepared prepared = self.server.prepared
        if not self.was_told() or prepared.unnamed_shape_serial != self.unnamed_serial:
            return True
        return prepared.unnamed_shape == self.told_unnamed.shape

    cdef bint prepare_unnamed(self) except -1:
        """Prepare the unnamed statement again, over this connection; without one, refuse."""
        cdef bytes definition = None if self.unnamed is TOO_LONG else self.unnamed
        cdef bytes parse
        cdef object now = self.parameters_now()
        if definition is not None and self.was_told() and self.told_unnamed.types is not None:
            definition = with_types(definition, self.told_unnamed.types)
        if definition is not None and self.unnamed_parameters is not now:
            definition = self.sessions.texts.reread(definition, self.unnamed_parameters, now)
        if definition is None:
            error = b"unnamed prepared statement does not exist"
            refuse(self.server, error_response(b"26000", error, IN_BIND))
            return False
        parse = message(b"P", b"\0" + definition)
        self.server.prepared.owe_unnamed(
            PARSE, SWALLOW, self, self.unnamed, self.unnamed_serial, self.unnamed_serial
        )
        put(self.server, parse, len(parse))
        return True
