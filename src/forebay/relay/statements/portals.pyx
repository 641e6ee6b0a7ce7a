"""What the portals of a client's transaction were bound of."""

cimport cython

from .entries cimport Named, Unnamed
from .statement cimport Statement


@cython.final
@cython.no_gc
@cython.freelist(16)
cdef class Portals:
    """The unnamed portal: of which of the client's statements it is (`named` or `unnamed`), as which
    `statement` the connection has that, and whether it `is_told`: the client was told what it returns,
    and the connection says the same. `others`: the same of portals with names.

    `followed`: portal → text and reading of a statement of which something follows when it is executed.
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
        """Know what follows when the portal is executed; None: nothing."""
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
