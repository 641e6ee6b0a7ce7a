cimport cython
from libc.stdint cimport uint64_t


cdef enum:
    # What one costs beside its text: the objects, the client's name for it, what it was told of it.
    STATEMENT_BYTES = 640


cdef class Account:
    cdef public Py_ssize_t limit  # of bytes
    cdef readonly Py_ssize_t bytes  # of all there are
    cdef readonly Py_ssize_t statements
    cdef Py_ssize_t peak  # of the bytes, since it was taken

    cdef int add(self, Py_ssize_t count) noexcept
    cpdef bint has_room(self, Py_ssize_t definition)
    cpdef Py_ssize_t take_peak(self)


@cython.final
cdef class Text:
    cdef readonly bytes sql
    cdef Account account


@cython.final
cdef class Told:
    cdef bytes shape
    cdef bytes types


@cython.final
cdef class Known:
    cdef readonly bytes name
    cdef tuple key  # under which `kept` has it
    cdef dict kept
    cdef void *living  # the Statement that clients have, if any has it: not owned
    # The state of the schema (see MicroPool) in which the database has accepted it, from who had nothing
    # else of its own there; 0: none.
    cdef uint64_t proven
    cdef bytes proven_types  # those that it has found when it has accepted the statement; None: not known
    cdef Told told  # what was told of it last: equal ones are one object


@cython.final
cdef class Statement:
    cdef readonly Text source
    cdef readonly bytes tail
    cdef readonly Known known
    cdef readonly object meaning
    cdef readonly bint finds  # what it returns is found out whenever it runs: FETCH, EXECUTE
    cdef readonly int control  # what it may do to a transaction: see scan/control
    cdef readonly bint harmless  # changes no session state whenever it is executed
    cdef readonly bint leaves_types  # of some parameter, for the database to find at Parse
    cdef bint is_typed  # it has the types of parameters that a client was told
    # The same with the types of parameters that clients were told last; None if it is_typed itself.
    cdef Statement told_as

    cdef Told told_of(self, bytes shape, bytes types)
    cdef Py_ssize_t cost(self) noexcept


cdef class Statements:
    cdef dict kept  # key → the address of a Known, which takes itself out when it goes
    cdef readonly Account account
    cdef uint64_t last_number


cdef Statement UNNAMED  # stands for whatever is prepared without a name
cdef Statement own_statement(bytes name)
cdef bytes with_types(bytes definition, bytes types)
cdef bytes types_behind(bytes types)
cdef bytes shape(bytes description)
