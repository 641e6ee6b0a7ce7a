"""A prepared statement as its clients mean it: text, parameter types, and what decides its meaning.

Clients name it as they like; database connections know it by one name of Forebay's that is never
given to another statement. Equal statements are one object (see session/statements.py).
"""

from .glance cimport glance


cdef class Statement:
    """What Parse defines.

    `definition` is the body of Parse behind the name; `name` is the name on database connections;
    `meaning` stands for the settings on which the meaning of names in the text depends.
    """

    def __init__(self, bytes definition, bytes name, meaning):
        self.definition = definition
        self.name = name
        self.meaning = meaning
        self.parse = _message(b"P", name + b"\0" + definition)
        self.close = _message(b"C", b"S" + name + b"\0")
        cdef bytes text = self.text
        self.watched = not glance(text, len(text))

    @property
    def text(self) -> bytes:
        """Its SQL."""
        return self.definition.partition(b"\0")[0]


cdef bytes _message(bytes kind, bytes body):
    return kind + (len(body) + 4).to_bytes(4, "big") + body
