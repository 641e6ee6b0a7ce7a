"""A portal is bound of a statement that may change the session whenever it is executed."""

from libc.string cimport memchr

from ..connection cimport Borrower
from ..frames cimport HEADER_BYTES, length_word
from ..peer cimport GATHER_BYTES
from ..scan.words cimport is_word
from .portals cimport Portals

cdef enum:
    FOLLOWED_LIMIT = 100  # portals whose texts are kept until they are executed


cdef int binds(
    Borrower client, const unsigned char *portal, bytes text, bint named, object reading
) except -1:
    """Examine the statement of which a portal is bound. `portal` is the portal's name, with a zero byte behind.
    `named`: the statement has a name. `reading` is how its text was read when it was prepared, None if that does
    not matter."""
    cdef Portals portals = client.own_portals()
    cdef bytes name = portal
    if not client.sessions.texts.binds(client, text, named, reading, _names_pg_temp(portal)):
        return portals.follow(name, None)
    if portals.followed is None or len(portals.followed) < FOLLOWED_LIMIT:
        return portals.follow(name, (text, reading))
    client.sessions.texts.executes(client, text, reading)
    return 0


cdef bint _names_pg_temp(const unsigned char *portal) noexcept:
    """Returns whether a Bind may hold pg_temp in one of its values. The names in it are looked at as well, and one
    that is longer than what is gathered counts as holding it."""
    cdef Py_ssize_t total = <Py_ssize_t> length_word(portal - HEADER_BYTES) + 1
    cdef const unsigned char *at = portal
    cdef const unsigned char *end = portal - HEADER_BYTES + total
    if total > GATHER_BYTES:
        return True
    while True:
        at = <const unsigned char *> memchr(at, c"_", end - at)
        if at == NULL:
            return False
        if at - portal >= 2 and end - at >= 5 and (at[-2] | 0x20) == c"p" and (at[-1] | 0x20) == c"g":
            if is_word(at + 1, "temp", 4):
                return True
        at += 1
