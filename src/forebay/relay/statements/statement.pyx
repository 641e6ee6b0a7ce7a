"""A prepared statement as its clients mean it: text, parameter types, and what decides its meaning.

Clients name it as they like; database connections know it by one name of Forebay's that is never
given to another statement. Equal statements are one object (see session/statements.py), and statements
with the same text have one copy of it.

The text belongs to the clients: a connection remembers the name alone (`Known`), so what no client
has any more takes little memory, whatever connections have prepared. Who prepares the same again is
found by a digest of the text, and brings it along.
"""

cimport cython

import re
from hashlib import blake2b
from secrets import token_bytes

from cpython.long cimport PyLong_AsVoidPtr, PyLong_FromVoidPtr

from ..scan.control cimport control_in
from ..scan.glance cimport glance
from ..scan.names cimport FunctionNames

# Begins the names of prepared statements on database connections; no client's name reaches those.
PREFIX = b"_forebay_"

cdef enum:
    SHAPE_BYTES = 32  # longer ones are only compared by their digests

cdef object FINDING = re.compile(rb"\s*(?:fetch|execute)\b", re.IGNORECASE)
cdef bytes DIGEST_KEY = token_bytes(16)  # so that nobody can look for texts with equal digests
cdef bytes NO_TYPES = b"\0\0\0"


def digest(bytes data not None):
    """Stands for `data` where that is only compared."""
    return blake2b(data, digest_size=16, key=DIGEST_KEY).digest()


cdef class Account:
    """How many bytes the prepared statements of all clients take together, and how many they may."""

    def __init__(self, Py_ssize_t limit):
        self.limit = limit

    cpdef bint has_room(self, Py_ssize_t definition):
        """Returns whether one more statement, with a definition of this many bytes, stays within the limit."""
        return self.bytes + definition + STATEMENT_BYTES <= self.limit

    cdef int add(self, Py_ssize_t count) noexcept:
        self.bytes += count
        self.peak = max(self.peak, self.bytes)
        return 0

    cpdef Py_ssize_t take_peak(self):
        """Returns the most bytes that the statements have taken since the last call."""
        cdef Py_ssize_t peak = self.peak
        self.peak = self.bytes
        return peak


@cython.final
@cython.no_gc
cdef class Text:
    """The SQL of statements. Counted as long as a client has one of them."""

    def __cinit__(self, bytes sql not None, Account account not None):
        self.sql = sql
        self.account = account
        account.add(len(sql))

    def __dealloc__(self):
        if self.account is not None:
            self.account.bytes -= len(self.sql)


@cython.final
@cython.no_gc
cdef class Told:
    """What was told of a statement: what it returns (see `shape`), and the types of its parameters (the
    body of a ParameterDescription). Each is None if it was not told."""


@cython.final
@cython.no_gc
cdef class Known:
    """What connections know of a statement: a name, and what the database said of it."""

    def __dealloc__(self):
        if self.kept is not None:
            self.kept.pop(self.key, None)


@cython.final
@cython.no_gc
cdef class Statement:
    """What Parse defines: the text, and behind it in Parse `tail` (a zero byte and parameter types).

    `meaning` stands for the settings on which the meaning of names in the text depends.
    """

    def __cinit__(self, Text source not None, bytes tail not None, Known known not None, meaning):
        self.source = source
        self.tail = tail
        self.known = known
        self.meaning = meaning
        self.finds = FINDING.match(source.sql) is not None
        self.control = control_in(source.sql)
        self.harmless = _is_harmless(source.sql, tail, None)
        self.leaves_types = _leaves_types(source.sql, tail)
        known.living = <void *> self
        source.account.add(STATEMENT_BYTES + len(tail))
        source.account.statements += 1

    def __dealloc__(self):
        if self.known is not None and self.known.living == <void *> self:
            self.known.living = NULL
            self.source.account.bytes -= STATEMENT_BYTES + len(self.tail)
            self.source.account.statements -= 1

    cdef Told told_of(self, bytes shape, bytes types):
        """Returns the object for this shape and these types: that of the last call if they are equal, else a new
        one. (If the Parse says all types they are left out, since a client that describes only a portal is not told
        them.)"""
        cdef Told told = self.known.told
        if not self.leaves_types and not self.is_typed:
            types = None
        if told is None or told.shape != shape or told.types != types:
            told = self.known.told = Told.__new__(Told)
            told.shape, told.types = shape, types
        return told

    cdef Py_ssize_t cost(self) noexcept:
        """Returns how many bytes the statement counts towards its client's limit, as if the client had a copy of
        the text of its own."""
        return STATEMENT_BYTES + len(self.source.sql) + len(self.tail)

    def look_for(self, FunctionNames functions):
        """Decide again whether the statement is harmless, now that the operator lists these functions (None if
        there are none)."""
        self.harmless = _is_harmless(self.source.sql, self.tail, functions)

    @property
    def text(self) -> bytes:
        """The SQL."""
        return self.source.sql

    @property
    def definition(self) -> bytes:
        """The body of Parse behind the name."""
        return self.source.sql + self.tail

    @property
    def digest(self) -> bytes:
        """Of the text."""
        return self.known.key[0]


cdef class Statements:
    """Gives equal statements one identity for as long as a client has them, and connections one name
    for as long as one of these or a client knows it."""

    def __init__(self, Account account not None):
        self.kept = {}
        self.account = account

    def __len__(self):
        return len(self.kept)

    def living(self) -> list:
        """Those that clients have."""
        cdef Known known
        found = []
        for address in list(self.kept.values()):
            known = <Known> PyLong_AsVoidPtr(address)
            if known.living is not NULL:
                found.append(<Statement> known.living)
        return found

    def find(self, bytes digest not None, bytes tail not None, meaning):
        """The statement with such a text and tail that means that, if a client has it, else None."""
        address = self.kept.get((digest, tail, meaning))
        if address is None:
            return None
        known = <Known> PyLong_AsVoidPtr(address)
        if (<Known> known).living is NULL:
            return None
        return <Statement> (<Known> known).living

    def define(self, bytes digest not None, Text source not None, bytes tail not None, meaning):
        """The statement that `find` has not found."""
        cdef Known known
        cdef tuple key
        if tail == NO_TYPES:
            tail = NO_TYPES  # one object
        key = (digest, tail, meaning)
        address = self.kept.get(key)
        if address is not None:
            known = <Known> PyLong_AsVoidPtr(address)
        else:
            known = Known.__new__(Known)
            self.last_number += 1
            known.name = b"%b%d" % (PREFIX, self.last_number)
            known.key = key
            known.kept = self.kept
            self.kept[key] = PyLong_FromVoidPtr(<void *> known)
        return Statement.__new__(Statement, source, tail, known, meaning)


cdef Account OWN = Account(0)


cdef Statement own_statement(bytes name):
    """An empty one of Forebay's own."""
    cdef Known known = Known.__new__(Known)
    known.name = name
    return Statement.__new__(Statement, Text(b"", OWN), NO_TYPES, known, None)


cdef Statement UNNAMED = own_statement(b"")
UNNAMED.leaves_types = True  # for all that it may be


cdef bytes with_types(bytes definition, bytes types):
    """Returns the definition with other types of parameters. `types` is the body of a ParameterDescription, which
    has the form in which Parse has them."""
    return definition.partition(b"\0")[0] + types_behind(types)


cdef bytes types_behind(bytes types):
    """The tail of a definition with these types."""
    return b"\0" + types


cdef bytes shape(bytes description):
    """Returns what a RowDescription (its body) says of the names and types of columns, to be compared: statements
    with equal shapes return the same to a client. Tables and formats are left out, and a long description is
    replaced by its digest."""
    cdef list parts = []
    cdef Py_ssize_t at = 2
    cdef Py_ssize_t end
    while at < len(description):
        end = description.find(b"\0", at)
        if end < 0 or end + 19 > len(description):
            return digest(description)  # malformed, as the client will find
        parts.append(description[at:end + 1])
        parts.append(description[end + 7:end + 11])  # type
        parts.append(description[end + 13:end + 17])  # its modifier
        at = end + 19
    description = b"".join(parts)
    return description if len(description) <= SHAPE_BYTES else digest(description)


cdef bint _leaves_types(bytes text, bytes tail) except -1:
    """Returns whether there may be parameters whose types the Parse does not say, and the database has to find."""
    if b"$" not in text or len(tail) < 3:
        return False
    count = int.from_bytes(tail[1:3], "big")
    if b"$%d" % (count + 1) in text:
        return True
    return any(tail[at:at + 4] == bytes(4) for at in range(3, 3 + 4 * count, 4))


cdef bint _is_harmless(bytes text, bytes tail, FunctionNames functions) except -1:
    if not tail or not glance(text, len(text)):
        return False
    return functions is None or not functions.are_in(text, len(text))
