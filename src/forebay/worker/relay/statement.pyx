"""A prepared statement as its clients mean it: text, parameter types, and what decides its meaning.

Clients name it as they like; database connections know it by one name of Forebay's that is never
given to another statement. Equal statements are one object (see session/statements.py).
"""

import re

from libc.string cimport memchr

from .frames cimport message
from .glance cimport glance
from .names cimport FunctionNames

# Begins the names of prepared statements on database connections; no client's name reaches those.
PREFIX = b"_forebay_"

cdef object FINDING = re.compile(rb"\s*(?:fetch|execute)\b", re.IGNORECASE)


cdef class Told:
    """What was told of a statement: what it returns (see `shape`), and the types of its parameters (the
    body of a ParameterDescription). None: nothing of that."""


cdef class Statement:
    """What Parse defines.

    `definition` is the body of Parse behind the name; `name` is the name on database connections;
    `meaning` stands for the settings on which the meaning of names in the text depends.
    """

    def __init__(self, bytes definition, bytes name, meaning):
        self.definition = definition
        self.name = name
        self.meaning = meaning
        self.parse = message(b"P", name + b"\0" + definition)
        self.close = message(b"C", b"S" + name + b"\0")
        self.describe = message(b"D", b"S" + name + b"\0")
        self.finds = FINDING.match(definition) is not None
        self.harmless = _is_harmless(definition, None)
        self.leaves_types = _leaves_types(definition)

    cdef Told told_of(self, bytes shape, bytes types):
        """One object for equal shapes and types, if nothing else was told since. (Where the client's
        own Parse says all types, they are left out: who describes a portal only is not told them.)"""
        cdef Told told = self.told
        if not self.leaves_types and not self.is_typed:
            types = None
        if told is None or told.shape != shape or told.types != types:
            told = self.told = Told.__new__(Told)
            told.shape, told.types = shape, types
        return told

    def look_for(self, FunctionNames functions):
        """Decide again whether it is harmless, where these functions are listed (None: none)."""
        self.harmless = _is_harmless(self.definition, functions)

    @property
    def text(self) -> bytes:
        """The SQL."""
        return self.definition.partition(b"\0")[0]


cdef Statement UNNAMED = Statement(b"\0\0\0", b"", None)
UNNAMED.leaves_types = True  # for all that it may be


cdef bytes with_types(bytes definition, bytes types):
    """The definition with other types of parameters: the body of a ParameterDescription, which is
    written as Parse has them."""
    return definition.partition(b"\0")[0] + b"\0" + types


cdef bytes shape(bytes description):
    """What a RowDescription (its body) says of names and types: two statements whose shapes are equal
    return the same to a client. Tables and formats are left out."""
    cdef list parts = []
    cdef Py_ssize_t at = 2
    cdef Py_ssize_t end
    while at < len(description):
        end = description.find(b"\0", at)
        if end < 0 or end + 19 > len(description):
            return description  # malformed, as the client will find
        parts.append(description[at:end + 1])
        parts.append(description[end + 7:end + 11])  # type
        parts.append(description[end + 13:end + 17])  # its modifier
        at = end + 19
    return b"".join(parts)


cdef bint _leaves_types(bytes definition) except -1:
    """Whether there may be parameters whose types Parse does not say."""
    cdef bytes text, types
    text, _, types = definition.partition(b"\0")
    if b"$" not in text or len(types) < 2:
        return False
    count = int.from_bytes(types[:2], "big")
    if b"$%d" % (count + 1) in text:
        return True
    return any(types[at:at + 4] == bytes(4) for at in range(2, 2 + 4 * count, 4))


cdef bint _is_harmless(
    const unsigned char[::1] definition, FunctionNames functions
) noexcept:
    cdef const unsigned char *end
    if not definition.shape[0]:
        return False
    end = <const unsigned char *> memchr(&definition[0], 0, definition.shape[0])
    if end == NULL or not glance(&definition[0], end - &definition[0]):
        return False
    return functions is None or not functions.are_in(&definition[0], end - &definition[0])
