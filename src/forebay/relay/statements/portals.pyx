"""What the portals of a client's transaction were bound of."""

cimport cython

from .entries cimport Named, Unnamed
from .statement cimport Statement


@cython.final
@cython.no_gc
@cython.freelist(16)
cdef class Portals:
    """Of the unnamed portal: the client's statement that it was bound of (`named` or `unnamed`), the `statement` as
    which the connection has that, and `is_told`: whether the client was told what it returns, and the connection
    has said the same. `others` has the first three for portals with names.

    `followed` maps a portal to the text and the reading of its statement, if there are consequences to be noted
    when it is executed.
    """

    cdef int note_bound(
        self, const unsigned char *portal, Named named, Unnamed unnamed, Statement statement, bint is_told
    ) except -1:
        """A portal (its name ends with a zero byte) is bound."""
        if not portal[0]:
            self.named, self.unnamed, self.statement, self.is_told = named, unnamed, statement, is_told
        else:
            if self.others is None or len(self.others) >= PORTALS_LIMIT:
                self.others = {}
            self.others[<bytes> portal] = (named, unnamed, statement)
        return 0

    cdef int follow(self, bytes portal, tuple bound) except -1:
        """Note the text and the reading (`bound`) whose consequences are to be noted when the portal is executed;
        None if there are none."""
        if bound is not None:
            if self.followed is None:
                self.followed = {}
            self.followed[portal] = bound
        elif self.followed is not None:
            self.followed.pop(portal, None)
        return 0

    cdef int forget(self) except -1:
        """The transaction is over, and with it its portals."""
        self.others = self.followed = None
        return 0
