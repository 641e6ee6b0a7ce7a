"""The reply ledger: which replies a database connection still owes, in order, and what becomes of
each.

This is the only truth about when a database connection is free: its ledger is empty and the
ReadyForQuery that emptied it said "idle". Every message sent to the database that has an answer
pushes one entry; every message that comes back is looked up against the head. What PostgreSQL skips
after an error in the extended protocol (everything up to Sync), and the Syncs it ignores while it
receives COPY data, are dropped here in the same way, so ledger and database stay in step whatever a
client pipelines.

Source: "Message Flow" in PostgreSQL's protocol chapter; for Sync during COPY, CopyGetData in
copyfromparse.c.

Written in Cython's pure mode (types in ledger.pxd): the same code is tested interpreted and runs
compiled.
"""

# What was sent, hence which reply ends the entry.
QUERY = 1  # simple Query: ends at ReadyForQuery
FUNCTION = 2  # FunctionCall: ends at ReadyForQuery
SYNC = 3  # ends at ReadyForQuery
PARSE = 4  # ParseComplete
BIND = 5  # BindComplete
DESCRIBE = 6  # RowDescription or NoData
EXECUTE = 7  # CommandComplete, EmptyQueryResponse or PortalSuspended
CLOSE = 8  # CloseComplete
COPY_END = 9  # CopyDone or CopyFail: has no reply of its own, only marks a place in the order

# What becomes of the replies to an entry.
FORWARD = 0  # to the client
SWALLOW = 1  # Forebay asked: the client never sees it
FAKE = 2  # nothing was sent: Forebay answers itself when the entry's turn comes
REPLACE = 3  # the error that will come is replaced by one that Forebay has ready

DESYNC = -1  # a reply that nothing asked for: the connection cannot be trusted any more

_KIND = 0x0F
_ACTION_SHIFT = 4
_ACTION = 0x03
_EXPECTED = 0x40  # something hangs on the reply: see statements/prepared.pyx

_READY_FOR_QUERY = ord("Z")
_ERROR_RESPONSE = ord("E")
_COMMAND_COMPLETE = ord("C")
_EMPTY_QUERY = ord("I")
_PORTAL_SUSPENDED = ord("s")
_PARSE_COMPLETE = ord("1")
_BIND_COMPLETE = ord("2")
_CLOSE_COMPLETE = ord("3")
_ROW_DESCRIPTION = ord("T")
_NO_DATA = ord("n")
_COPY_IN_RESPONSE = ord("G")
_PARAMETER_DESCRIPTION = ord("t")
_DATA_ROW = ord("D")
_COPY_DATA = ord("d")
_COPY_DONE = ord("c")
_COPY_OUT_RESPONSE = ord("H")
_FUNCTION_CALL_RESPONSE = ord("V")


def _fits(kind, message):
    """Whether a message of this type may be one of the replies to what was sent."""
    if message == _READY_FOR_QUERY:
        return kind <= SYNC
    if message == _ROW_DESCRIPTION or message == _NO_DATA:
        return kind == DESCRIBE or kind == QUERY
    if message == _PARAMETER_DESCRIPTION:
        return kind == DESCRIBE
    if message == _PARSE_COMPLETE:
        return kind == PARSE
    if message == _BIND_COMPLETE:
        return kind == BIND
    if message == _CLOSE_COMPLETE:
        return kind == CLOSE
    if message == _FUNCTION_CALL_RESPONSE:
        return kind == FUNCTION
    if message == _ERROR_RESPONSE:
        return True
    return (kind == QUERY or kind == EXECUTE) and message in (
        _COMMAND_COMPLETE,
        _DATA_ROW,
        _EMPTY_QUERY,
        _PORTAL_SUSPENDED,
        _COPY_IN_RESPONSE,
        _COPY_OUT_RESPONSE,
        _COPY_DATA,
        _COPY_DONE,
    )


class Ledger:
    """The replies that one database connection still owes."""

    def __init__(self):
        self.ring = bytearray(16)
        self.mask = 15
        self.head = 0
        self.count = 0
        self.failed = (
            False  # an error came and the database skips to the next Sync, which is not sent yet
        )
        self.copy_in = False  # the database reads COPY data and ignores Sync
        self.copying = False  # ... or has got all of it, and has not answered yet
        self.ignored_syncs = 0  # sent before the end of the COPY data
        # A COPY failed, and whether it had ignored a Sync by then or not cannot be known: there may
        # come a ReadyForQuery too many. The connection can serve this client, but no other.
        self.doubtful = False
        self.fakes = 0  # entries that Forebay answers itself
        self.requests = 0  # entries that end with a ReadyForQuery for the client
        # Entries on which something hangs, not taken note of yet: answered, and failed or skipped.
        self.settled = 0
        self.dropped = 0

    def push(self, kind, action, expected=False):
        """Note that a message of `kind` was sent, whose replies are to be treated by `action`.

        Returns False if no entry was made, since the database will skip or ignore the message. With
        `expected`, its outcome confirms or drops what is believed: the entry is counted in
        `settled` when it is answered, or in `dropped` when it has failed or is skipped.
        """
        if kind == SYNC:
            ignored = self.copy_in
            self.ignored_syncs += ignored
            self.failed = self.failed and ignored
        else:
            ignored = self.failed
            if kind == COPY_END:
                self.copy_in = False
                ignored = ignored or self.count == 0
        if not ignored:
            if self.count > self.mask:
                self._grow()
            entry = kind | (action << _ACTION_SHIFT)
            if expected:
                entry |= _EXPECTED
            if action == FAKE:
                self.fakes += 1
            elif action == FORWARD and kind <= SYNC:
                self.requests += 1
            self.ring[(self.head + self.count) & self.mask] = entry
            self.count += 1
        return not ignored

    def take_fake(self):
        """Take out the first entry if Forebay answers it itself. Returns its kind, else 0."""
        if self.count == 0 or (self.ring[self.head] >> _ACTION_SHIFT) & _ACTION != FAKE:
            return 0
        kind = self.ring[self.head] & _KIND
        self.fakes -= 1
        self._pop()
        return kind

    def action(self):
        """What becomes of a reply now; FORWARD when nothing is owed (asynchronous messages)."""
        if self.count == 0:
            return FORWARD
        return (self.ring[self.head] >> _ACTION_SHIFT) & _ACTION

    def head_kind(self):
        """The kind of what is being answered now; 0 when nothing is owed."""
        if self.count == 0:
            return 0
        return self.ring[self.head] & _KIND

    def is_pipelined(self):
        """Whether a client's request is still to be answered to its end."""
        return self.requests > 0

    def turns(self):
        """How many times the database is still going to say ReadyForQuery."""
        found = 0
        index = 0
        while index < self.count:
            entry = self.ring[(self.head + index) & self.mask]
            if entry & _KIND <= SYNC and (entry >> _ACTION_SHIFT) & _ACTION != FAKE:
                found += 1
            index += 1
        return found

    def is_own_turn(self):
        """Whether the ReadyForQuery that comes next ends what Forebay itself has asked. What it has
        asked within a turn of a client does not count: PostgreSQL may keep the answer until that of
        the client goes with it."""
        for index in range(self.count):
            entry = self.ring[(self.head + index) & self.mask]
            action = (entry >> _ACTION_SHIFT) & _ACTION
            if entry & _KIND <= SYNC and action != FAKE:
                return action == SWALLOW
        return False

    def kinds(self):
        """The kinds of what a client has sent and is not answered, in order."""
        entries = [self.ring[(self.head + index) & self.mask] for index in range(self.count)]
        return [entry & _KIND for entry in entries if (entry >> _ACTION_SHIFT) & _ACTION != SWALLOW]

    def is_expected(self):
        """Whether something hangs on what is being answered now."""
        return self.count > 0 and self.ring[self.head] & _EXPECTED != 0

    def reply(self, message):
        """Look up a message of type `message` from the database: FORWARD, SWALLOW or DESYNC.

        Not for asynchronous messages (NoticeResponse, NotificationResponse, ParameterStatus).
        """
        if self.count == 0:
            # A connection may be ended by a FATAL error at any time.
            if message == _READY_FOR_QUERY and self.doubtful:
                self.failed = False
                return FORWARD
            return FORWARD if message == _ERROR_RESPONSE else DESYNC
        kind = self.ring[self.head] & _KIND
        action = (self.ring[self.head] >> _ACTION_SHIFT) & _ACTION
        if not _fits(kind, message):
            return DESYNC
        if message == _READY_FOR_QUERY:
            self.copy_in = False
            self._pop()
        elif message == _ERROR_RESPONSE:
            self.doubtful = self.doubtful or (self.copying and self.ignored_syncs > 0)
            self._end_copy_in()
            if kind > SYNC:
                self._fail()
        elif message == _COPY_IN_RESPONSE:
            self._begin_copy_in()
        elif (
            message == _COMMAND_COMPLETE or message == _EMPTY_QUERY or message == _PORTAL_SUSPENDED
        ):
            self._end_copy_in()
            if kind == EXECUTE:
                self._pop()
        elif kind > SYNC and kind != EXECUTE and message != _PARAMETER_DESCRIPTION:
            self._pop()
        return action

    def _pop(self):
        entry = self.ring[self.head]
        if entry & _EXPECTED:
            self.settled += 1
        if entry & _KIND <= SYNC and (entry >> _ACTION_SHIFT) & _ACTION == FORWARD:
            self.requests -= 1
        self.head = (self.head + 1) & self.mask
        self.count -= 1
        while self.count and self.ring[self.head] & _KIND == COPY_END:
            self.head = (self.head + 1) & self.mask
            self.count -= 1

    def _fail(self):
        """An error in the extended protocol: the database skips everything up to the next Sync."""
        while self.count and self.ring[self.head] & _KIND != SYNC:
            if self.ring[self.head] & _EXPECTED:
                self.dropped += 1
            if (self.ring[self.head] >> _ACTION_SHIFT) & _ACTION == FAKE:
                self.fakes -= 1
            self._drop_head()
        self.failed = self.count == 0

    def _drop_head(self):
        self.requests -= self._is_request(self.ring[self.head])
        self.head = (self.head + 1) & self.mask
        self.count -= 1

    def _is_request(self, entry):
        return entry & _KIND <= SYNC and (entry >> _ACTION_SHIFT) & _ACTION == FORWARD

    def _begin_copy_in(self):
        """COPY data is being read: the database ignores the Syncs that were sent before its end."""
        kept = 1
        index = 1
        self.copying = True
        self.ignored_syncs = 0
        while index < self.count:
            entry = self.ring[(self.head + index) & self.mask]
            if entry & _KIND == COPY_END:
                break
            if entry & _KIND != SYNC:
                self.ring[(self.head + kept) & self.mask] = entry
                kept += 1
            else:
                self.ignored_syncs += 1
                self.requests -= self._is_request(entry)
            index += 1
        self.copy_in = index == self.count
        while index < self.count:
            self.ring[(self.head + kept) & self.mask] = self.ring[(self.head + index) & self.mask]
            kept += 1
            index += 1
        self.count = kept

    def _end_copy_in(self):
        """The database has done with a COPY: the mark where its data ended is used up."""
        place = (self.head + 1) & self.mask
        if self.copying and self.count > 1 and self.ring[place] & _KIND == COPY_END:
            self.ring[place] = self.ring[self.head]
            self.head = place
            self.count -= 1
        self.copying = False
        self.copy_in = False

    def _grow(self):
        old = self.mask + 1
        ring = bytearray(old * 2)
        index = 0
        while index < self.count:
            ring[index] = self.ring[(self.head + index) & self.mask]
            index += 1
        self.ring = ring
        self.mask = old * 2 - 1
        self.head = 0
