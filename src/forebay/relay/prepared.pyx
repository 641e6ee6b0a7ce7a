"""What a database connection has prepared, as far as one can know before it has answered.

What a message will have changed if it succeeds (a name defined, a statement prepared) is noted when
it is sent, so that what follows in the same write can build on it. Each such note hangs on the
message's entry in the ledger, and is taken back if the message fails or is skipped.
"""

from collections import deque
from itertools import islice

from .ledger cimport DESCRIBE, EXECUTE, FORWARD, PARSE, REPLACE, SWALLOW
from .statement cimport UNNAMED, Known, Statement, Told

cdef enum:
    CANDIDATES = 10  # that have not been used for longest, when one has to go


cdef class Expectation:
    """What hangs on an entry of the ledger."""

    cdef bint is_unnamed(self) noexcept:
        """Whether the message defines or closes the unnamed statement."""
        return self.user is not None and self.described is None


cdef inline Expectation _new():
    return Expectation.__new__(Expectation)  # several times as fast as to call the class


cdef inline Expectation _describing(Statement statement, object user, bytes name):
    cdef Expectation expected = _new()
    expected.described = statement
    expected.user = user
    expected.name = name
    return expected


cdef class Prepared:
    """The prepared statements of one connection, and what is expected of messages under way."""

    def __init__(self, Ledger ledger not None):
        self.ledger = ledger
        self.statements = {}
        self.told = {}
        self.unproven = {}
        self.never = set()
        self.expectations = deque()
        self.batch = 1

    # ---- what is sent ----

    cdef bint owe(self, int kind, int action, tuple changes, uint64_t proves=0, tuple refutes=None) except -1:
        """As ``Ledger.push``, with `changes` to be undone if the message fails or is skipped.
        `proves`: the state of the schema in which what it prepares is proven if it succeeds;
        `refutes`: (mapping, key), what cannot be if it fails, and not just is skipped."""
        cdef Expectation expected = _new()
        expected.changes = changes
        expected.proves = proves
        expected.refutes = refutes
        if not self._expect(kind, action, expected):
            return False
        for mapping, key, old in changes:
            if old is None:
                self.never.discard(key)
            if mapping is self.statements:
                self.unproven[key] = self.batch
        return True

    cdef bint owe_drop(self, tuple changes) except -1:
        """As ``owe``, for Execute of what ends all prepared statements."""
        if not self.owe(EXECUTE, FORWARD, changes):
            return False
        (<Expectation> self.expectations[len(self.expectations) - 1]).drops_all = True
        return True

    cdef int owe_error(self, bytes error, bytes sqlstate) except -1:
        """A message that is going to fail with `sqlstate` was sent: `error` is what the client gets
        for it, unless it fails otherwise before."""
        cdef Expectation expected = _new()
        expected.error = error
        expected.sqlstate = b"\0C" + sqlstate + b"\0"
        self._expect(PARSE, REPLACE, expected)
        return 0

    cdef bint owe_unnamed(
        self, int kind, int action, object user, bytes before, uint64_t serial_before,
        uint64_t serial_now,
    ) except -1:
        """The unnamed statement is defined or closed: that of the connection, and that of `user`
        unless it is only repeated (`serial_now` is `serial_before`). `before` is what it was, if
        the message is skipped (``user.restore_unnamed``)."""
        cdef Expectation expected = _new()
        expected.user = user
        expected.unnamed_before = before
        expected.serial_before = serial_before
        expected.serial_there = self.unnamed_serial
        expected.serial_now = serial_now
        if not self._expect(kind, action, expected):
            return False
        self.unnamed_serial = serial_now
        self.unnamed_batch = self.batch
        return True

    cdef bint owe_description(
        self, int action, Statement statement, object user, bytes name, tuple refutes=None,
        uint64_t serial=0,
    ) except -1:
        """The connection was asked to describe `statement`, which its client calls `name`, or
        UNNAMED, with that serial: ``user.described(statement, name, serial, shape, types)`` is told
        what it returns, or None if it is not told, and the types of its parameters, likewise.
        `refutes` as for ``owe``."""
        cdef Expectation expected = _describing(statement, user, name)
        expected.refutes = refutes
        expected.serial_now = serial
        return self._expect(DESCRIBE, action, expected)

    cdef bint owe_types(self, Statement statement, object user, bytes name, bint proves) except -1:
        """A Describe is sent of what was just prepared: ``user.parsed(statement, name, types)`` is told
        which types its parameters have. `proves`: and so they have for all who mean the same."""
        cdef Expectation expected = _describing(statement, user, name)
        expected.is_of_parse = True
        expected.proves = proves
        return self._expect(DESCRIBE, SWALLOW, expected)

    cdef bint owe_named(self, int kind, bytes name) except -1:
        """A message means the statement that its client calls `name`, and others by other names."""
        cdef Expectation expected = _new()
        expected.name = name
        return self._expect(kind, FORWARD, expected)

    cdef bint owe_guard(self, int kind) except -1:
        """A message is sent behind which the database skips all that belongs to a change-over if it
        fails, for whatever reason."""
        cdef Expectation expected = _new()
        expected.is_guard = True
        return self._expect(kind, SWALLOW, expected)

    cdef bint _expect(self, int kind, int action, Expectation expected) except -1:
        if not self.ledger.push(kind, action, True):
            return False
        expected.batch = self.batch
        self.expectations.append(expected)
        return True

    cdef int note_used(self, Known known) except -1:
        self.statements.pop(known, None)
        self.statements[known] = True
        self.latest = known
        return 0

    # ---- what is known ----

    cdef uint64_t unknown_since(self) except -1:
        """The first batch of which it is not known what it has changed; 0: all are known."""
        return (<Expectation> self.expectations[0]).batch if self.expectations else 0

    cdef bint is_uncertain(self, Known known) except -1:
        """Whether an earlier batch that is not answered yet decides if the connection has it. (In
        the batch being sent, errors have the same consequence for all that follows.)"""
        return bool(self.unproven) and self.unproven.get(known, self.batch) < self.batch

    cdef bint is_unnamed_uncertain(self) except -1:
        """Whether an earlier batch that is not answered yet decides what the unnamed statement is."""
        return self.unnamed_batch < self.batch and 0 < self.unknown_since() <= self.unnamed_batch

    cdef Known least_used(self):
        """The one to be missed least; none that is being prepared, unless there are many."""
        for known in islice(self.statements, CANDIDATES):
            if known not in self.unproven:
                return known
        return next(iter(self.statements))

    cdef int forget_all(self) except -1:
        """All prepared statements have been deallocated."""
        self.statements.clear()
        self.latest = None
        self.told.clear()
        self.unnamed_serial = 0
        return 0

    # ---- what is answered ----

    cdef int note_outcome(self, bint unnamed_failed=False) except -1:
        """Forget what needs no undoing any more; undo what failed. `unnamed_failed`: the first of
        that is a Parse of the unnamed statement, and was not just skipped."""
        cdef Ledger ledger = self.ledger
        cdef Expectation expected
        cdef list failed
        while ledger.settled:
            ledger.settled -= 1
            expected = self.expectations.popleft()
            if expected.changes is None:
                continue
            for mapping, key, old in expected.changes:
                if mapping is self.statements:
                    self.unproven.pop(key, None)
                    if old is not None:
                        self.told.pop(key, None)
                    elif expected.proves:
                        (<Known> key).proven = expected.proves
        if ledger.dropped:
            failed = [self.expectations.popleft() for _ in range(ledger.dropped)]
            ledger.dropped = 0
            self._undo(failed, unnamed_failed)
        if self.never and not self.expectations:
            self.never.clear()
        return 0

    cdef int note_failure(self, Expectation failing) except -1:
        """What hangs on the message that has failed (None: nothing), once ``note_outcome`` was called."""
        if failing is not None and failing.refutes is not None:
            mapping, key = failing.refutes
            mapping.pop(key, None)
        return 0

    cdef int _undo(self, list failed, bint unnamed_failed) except -1:
        """These messages, in the order in which they were sent, have failed or were skipped."""
        cdef Expectation expected
        cdef Expectation first = None
        cdef Expectation last = None
        cdef list gone = []
        cdef Expectation drop = self._next_drop()
        for expected in reversed(failed):
            if expected.is_unnamed():
                first = expected
                last = expected if last is None else last
            elif expected.changes is not None:
                for mapping, key, old in expected.changes:
                    if mapping is self.statements:
                        self.unproven.pop(key, None)
                        self.latest = None
                    if old is None:
                        self.told.pop(key, None)
                        mapping.pop(key, None)
                        gone.append((mapping, key))
                    elif key in self.never:
                        continue
                    elif drop is None:
                        mapping[key] = old
                    else:  # it is there until that succeeds
                        drop.changes += ((mapping, key, old),)
        self.never.update([key for mapping, key in gone if key not in mapping])
        if first is not None:
            self._restore_unnamed(first, last, unnamed_failed)
        # Who waits for a description goes on when everything has been put back.
        for expected in failed:
            if expected.described is not None and not expected.is_of_parse:
                expected.user.described(expected.described, expected.name, 0, None, None)
        return 0

    cdef Expectation _next_drop(self):
        """The first message under way that ends all prepared statements, or None."""
        cdef Expectation expected
        for expected in self.expectations:
            if expected.drops_all:
                return expected
        return None

    cdef int _restore_unnamed(self, Expectation first, Expectation last, bint failed) except -1:
        """The unnamed statement, that of the client and that of the connection, which may be another
        client's, is again what it was before `first`; none, if that has failed. `last` is the last
        of those that would have changed it: what has replaced it meanwhile stays."""
        cdef Expectation later
        if failed:
            first.serial_there = 0
            if first.serial_now != first.serial_before:
                first.unnamed_before = None
        for later in self.expectations:
            if later.is_unnamed():
                if later.serial_there == last.serial_now:
                    later.serial_there = first.serial_there
                if later.serial_before == last.serial_now:
                    later.unnamed_before = first.unnamed_before
                    later.serial_before = first.serial_before
                return 0
        if self.unnamed_serial == last.serial_now:
            self.unnamed_serial = first.serial_there
        first.user.restore_unnamed(last.serial_now, first.unnamed_before, first.serial_before)
        return 0

    cdef Expectation head(self):
        """What hangs on the entry that is being answered, or None."""
        return self.expectations[0] if self.ledger.is_expected() else None

    cdef bytes head_name(self):
        """What the client calls the statement that is being answered for, if that was noted."""
        cdef Expectation expected = self.head()
        return None if expected is None else expected.name

    cdef int note_types(self, bytes types) except -1:
        """A ParameterDescription has come."""
        self.head().types = types
        return 0

    cdef bint note_description(self, bytes shape) except -1:
        """A RowDescription or NoData has come: whether it was known for which statement."""
        cdef Expectation expected = self.head()
        cdef Told before
        cdef Known known
        cdef bytes types
        if expected is None or expected.described is None:
            return False
        known = expected.described.known
        if expected.described is UNNAMED:
            self.unnamed_shape = shape
            self.unnamed_shape_serial = expected.serial_now
        elif known in self.statements:
            before = self.told.get(known)
            types = expected.types
            if types is None and before is not None:
                types = before.types  # a portal's description says nothing of them
            self.told[known] = expected.described.told_of(shape, types)
        if expected.is_of_parse:
            if expected.proves:
                known.proven_types = expected.types
            expected.user.parsed(expected.described, expected.name, expected.types)
            return True
        expected.user.described(
            expected.described, expected.name, expected.serial_now, shape, expected.types
        )
        return True

    cdef bytes replaced(self, bytes error):
        """What Forebay let fail has failed with `error`: what the client gets for it."""
        cdef Expectation expected = self.head()
        return expected.error if expected.sqlstate in error else error

    cdef bint is_unnamed(self) except -1:
        """Whether what is being answered is a Parse of the unnamed statement: if that fails, there
        is none any more."""
        cdef Expectation expected
        if self.ledger.head_kind() != PARSE:
            return False
        expected = self.head()
        return expected is not None and expected.is_unnamed()
