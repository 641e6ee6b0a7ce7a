"""What a database connection has prepared, and what hangs on the messages to it that are unanswered.

What is believed of that is derived (see `belief`); here stand what is believed, and the kinds of
messages that have something hanging on them.
"""

cimport cython

from itertools import islice

from ..belief cimport Cell, Message, Place, Table, Unanswered, new_message, note
from ..ledger cimport FORWARD, PARSE, REPLACE, SWALLOW
from .entries cimport Held, Unnamed, held
from .statement cimport UNNAMED, Known, Told, shape

cdef enum:
    CANDIDATES = 10  # that have not been used for longest, when one has to go


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Question:
    """A Describe that is not answered yet. Either the client has sent it, and its entry (`named` or `unnamed`) is
    told the answer; or Forebay has, and the client waits for the answer as long as the question `is_open`.

    `held` is the described statement as the connection has it. `is_of_parse`: Forebay asks behind the client's Parse
    which types of parameters the database has
    found; the client hears nothing of it. `proves`: what is found holds for all clients whose statement has the
    same meaning.
    """


cdef class Refusal:
    """Stands for a message that is sent in order to fail, since Forebay refuses what the client has asked: an error
    with `sqlstate` is replaced by `error`. Any other error is passed on to the client as it is."""


cdef class Naming:
    """A message about a statement that its client calls `name`, while another client's name stands at the
    connection's entry. An error about it must show `name`."""


# The role of a message that guards a change-over. If the change-over fails, the Describe among these fails as well,
# and the database skips what the client has sent behind it (see session/replays.py).
cdef object GUARD = "guard"


cdef class Proofs(Place):
    """For each statement, the state of the schema (`MicroPool.schema`) in which the database has accepted it from a
    client that had nothing of its own in the database."""

    cpdef settle(self, object key, object value):
        (<Known> key).proven = value


cdef Proofs PROOFS = Proofs()


cdef int note_unnamed(Prepared prepared, Message message, Cell cell, Unnamed now) except -1:
    """The message defines the unnamed statement as `now`, or closes it if `now` is None: the connection's, and the
    client's in `cell` unless that is None. If the message itself fails there is no unnamed statement."""
    cdef Held there = None
    if now is not None:
        there = held()
        there.unnamed = now
    note(message, prepared.unnamed, None, there, None)
    if cell is not None:
        note(message, cell, None, now, None)
    return 0


cdef int note_proof(Message message, Known known, uint64_t schema) except -1:
    """If what is sent succeeds, it is proven that `known` can be prepared in this state of the schema."""
    note(message, PROOFS, known, schema)
    return 0


cdef class Prepared:
    """The prepared statements of one connection, and what hangs on messages under way."""

    def __init__(self, Ledger ledger not None):
        self.ledger = ledger
        self.unanswered = Unanswered()
        self.statements = Table()  # Known → Held, in the order of their last use
        self.unnamed = Cell()  # a Held

    # ---- what is sent ----

    cdef bint owe(self, int kind, int action, Message message) except -1:
        """As ``Ledger.push``, for a message that changes what is believed. Returns False if the database skips or
        ignores the message."""
        if not self.ledger.push(kind, action, True):
            return False
        self.unanswered.sent(message)
        return True

    cdef bint owe_role(self, int kind, int action, object role) except -1:
        """As ``owe``, for a message without consequences."""
        cdef Message sent = new_message()
        sent.role = role
        return self.owe(kind, action, sent)

    cdef int owe_error(self, bytes error, bytes sqlstate) except -1:
        """Note that a message is sent that is going to fail with `sqlstate`. The client gets `error` in place of
        that; should the message fail with another error before, the client gets the other one."""
        cdef Refusal refusal = Refusal.__new__(Refusal)
        refusal.error = error
        refusal.sqlstate = b"\0C" + sqlstate + b"\0"
        return self.owe_role(PARSE, REPLACE, refusal)

    cdef bint owe_guard(self, int kind) except -1:
        return self.owe_role(kind, SWALLOW, GUARD)

    cdef bint owe_naming(self, int kind, bytes name) except -1:
        cdef Naming naming = Naming.__new__(Naming)
        naming.name = name
        return self.owe_role(kind, FORWARD, naming)

    cdef int end_batch(self) except -1:
        """A Sync, a simple Query or a FunctionCall is sent."""
        self.unanswered.batch += 1
        return 0

    # ---- what is believed ----

    cdef Held get(self, Known known):
        """The statement as the connection has it, or None."""
        return self.latest_held if known is self.latest else self.statements.get(known)

    cdef int note_used(self, Known known, Held there) except -1:
        """It is the one that was used last."""
        cdef dict confirmed
        if known is not self.latest:
            confirmed = self.statements.confirmed
            if known in confirmed:
                confirmed[known] = confirmed.pop(known)
            self.latest = known
            self.latest_held = there
        return 0

    cdef bint is_full(self, Py_ssize_t limit) except -1:
        """Returns whether the connection has at least `limit` statements, or will have them if all that is
        unanswered succeeds."""
        cdef Table table = self.statements
        if len(table.confirmed) + len(table.newest) < limit:
            return False
        return len(table.believed()) >= limit

    cdef Known least_used(self):
        """Returns the statement that was not used for longest, if possible one that no unanswered message prepares
        or closes."""
        for known in islice(self.statements.confirmed, CANDIDATES):
            if known not in self.statements.newest:
                return known
        return next(iter(self.statements.believed()))

    cdef int forget_all(self) except -1:
        """All prepared statements have been deallocated."""
        self.latest = self.latest_held = None
        self.statements.clear()
        self.unnamed.settle(None, None)
        return 0

    # ---- what is answered ----

    cdef int note_outcome(self, bint itself=False, bint cut_short=False) except -1:
        """Confirm or drop what was believed of the messages that the ledger has found to be answered, failed or
        skipped.

        `itself`: the first of those that were dropped has failed itself, and was not merely skipped. `cut_short`:
        it has failed by a cancel or a timeout, which says nothing about the message.
        """
        cdef Ledger ledger = self.ledger
        while ledger.settled:
            ledger.settled -= 1
            self.unanswered.done()
        if ledger.dropped:
            self.latest = self.latest_held = None
            for dropped in self.unanswered.failed(ledger.dropped, itself, cut_short):
                role = (<Message> dropped).role
                if isinstance(role, Question):
                    (<Question> role).is_open = False
            ledger.dropped = 0
        return 0

    cdef object role(self):
        """The role of the message that is being answered, or None."""
        return self.unanswered.first.role if self.ledger.is_expected() else None

    cdef int note_types(self, bytes types) except -1:
        """A ParameterDescription has come."""
        role = self.role()
        if isinstance(role, Question):
            (<Question> role).types = types
        return 0

    cdef int note_description(self, bytes description) except -1:
        """A RowDescription has come (its body), or NoData (empty)."""
        cdef Question question
        cdef Told before
        cdef bytes types, returns
        role = self.role()
        if isinstance(role, Unnamed):  # of a portal of it
            (<Unnamed> role).portal = description
            return 0
        if not isinstance(role, Question):
            return 0
        question = <Question> role
        question.is_open = False
        returns = shape(description)
        types = question.types
        if question.held is not None:
            before = question.held.told
            if types is None and before is not None:
                types = before.types  # a portal's description says nothing of them
            question.held.told = question.statement.told_of(returns, types)
        if question.proves:
            question.statement.known.proven_types = question.types
        if question.named is not None:
            if question.is_of_parse or question.statement.finds:
                returns = None  # found out whenever it runs, or not asked for
            question.named.tell(question.statement, returns, question.types)
        elif question.unnamed is not None:
            question.unnamed.told = UNNAMED.told_of(returns, question.types)
        return 0
