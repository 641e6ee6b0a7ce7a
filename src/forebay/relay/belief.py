"""What is believed of a database session before the database has answered. Pure.

Messages are sent in batches, and what follows in a batch builds on what came before in it. So there
is what is *confirmed*, that is, what the database has answered for; and there are the messages
under way, in order, each with what it changes if it succeeds and what it changes if it fails. What
is believed of something is the newest change of it that is under way, else what is confirmed.

Answers come in the order of the messages. If a message succeeds, its changes become confirmed. If
it fails, it is dropped with those that the database skips, and their changes are believed no more.
Nothing is undone, for nothing was done. Because dropped messages are always the oldest, a change
that is still the newest of its kind is believed on.

Written in Cython's pure mode (types in belief.pxd): the same code is tested interpreted and runs
compiled.
"""

# What a change has instead of a value: the outcome leaves things as they are;
KEEP = object()
# nobody knows before the answer.
UNKNOWN = object()
# Instead of a key: all that is in the table.
ALL = object()


def marks():
    """KEEP, UNKNOWN and ALL, which Python does not see where this is compiled."""
    return KEEP, UNKNOWN, ALL


class Change:
    """One consequence of a message: what `key` of `place` is if the message succeeds, and, as
    `otherwise`, if it fails itself. (What is skipped changes nothing.)

    `only_refused`: not if the failure says nothing about the message, for it was cut short.
    """


class Message:
    """A message under way on which something hangs: `changes`, which are put on by `note`, and a
    `role` of which belief knows nothing."""

    def __init__(self):
        self.role = None
        self.batch = 0
        self.changes = None
        self.behind = None


class Place:
    """Where changes take place. What is believed there is asked of a subclass."""

    def believe(self, change):
        """The change is under way."""

    def withdraw(self, change):
        """It is no longer."""

    def settle(self, key, value):
        """What `key` means is known."""


class Cell(Place):
    """One thing that is believed. None: there is none."""

    def __init__(self):
        self.confirmed = None
        self.newest = None

    def now(self):
        """What is believed."""
        return self.confirmed if self.newest is None else self.newest.value

    def is_possible(self):
        """Whether it may turn out that there is one."""
        return self.confirmed is not None or self.newest is not None

    def is_uncertain(self, batch):
        """Whether a batch before this one, not answered yet, decides what it is."""
        return self.newest is not None and self.newest.batch < batch

    def believe(self, change):
        self.newest = change

    def withdraw(self, change):
        if self.newest is change:
            self.newest = None

    def settle(self, key, value):
        self.confirmed = value


class Table(Place):
    """Things that are believed, by key. None: there is no such thing."""

    def __init__(self):
        self.confirmed = {}
        self.newest = {}
        self.newest_of_all = None  # the newest change of ALL

    def get(self, key):
        """What is believed of it."""
        if self.newest_of_all is None:
            if not self.newest:
                return self.confirmed.get(key)
            change = self.newest.get(key)
            return self.confirmed.get(key) if change is None else change.value
        change = self.newest.get(key)
        if self.newest_of_all.value is UNKNOWN:
            return self.confirmed.get(key) if change is None else change.value
        if change is None or change.number < self.newest_of_all.number:
            return None
        return change.value

    def is_uncertain(self, key, batch):
        """Whether a batch before this one, not answered yet, decides what it is."""
        if self.newest_of_all is not None and self.newest_of_all.batch < batch:
            change = self.newest.get(key)
            return change is None or change.batch < batch
        if not self.newest:
            return False
        change = self.newest.get(key)
        return change is not None and change.batch < batch

    def is_changing(self):
        """Whether messages under way change anything."""
        return bool(self.newest) or self.newest_of_all is not None

    def believed(self):
        """All that is believed to be there, as a new dictionary."""
        found = {}
        for key in [*self.confirmed, *self.newest]:
            value = self.get(key)
            if value is not None:
                found[key] = value
        return found

    def clear(self):
        """Nothing is there any more, but for what messages under way are going to bring."""
        self.confirmed.clear()

    def believe(self, change):
        if change.key is ALL:
            self.newest_of_all = change
        elif change.value is not KEEP:
            self.newest[change.key] = change

    def withdraw(self, change):
        if change.key is ALL:
            if self.newest_of_all is change:
                self.newest_of_all = None
        elif change.value is not KEEP and self.newest.get(change.key) is change:
            del self.newest[change.key]

    def settle(self, key, value):
        if key is ALL:
            self.confirmed.clear()
        elif value is None:
            self.confirmed.pop(key, None)
        else:
            self.confirmed[key] = value


# Changes and messages that are done with, to be used again: there are some for nearly every batch.
_SPARE_LIMIT = 256


class Spares:
    """Chains of them."""

    def __init__(self):
        self.changes = None
        self.messages = None
        self.count = 0


_spares = Spares()


class Unanswered:
    """The messages of one connection that have consequences and are not answered yet, in order.

    `batch` numbers the batch that is being sent: each ends with Sync, or is a simple Query.
    """

    def __init__(self):
        self.first = None
        self.last = None
        self.batch = 1
        self.number = 0

    def sent(self, message):
        """The message is under way."""
        message.batch = self.batch
        if self.last is None:
            self.first = message
        else:
            self.last.behind = message
        self.last = message
        change = message.changes
        while change is not None:
            self.number += 1
            change.number = self.number
            change.batch = self.batch
            change.place.believe(change)
            change = change.next

    def done(self):
        """The first has succeeded."""
        message = self._take()
        change = message.changes
        while change is not None:
            if change.value is not KEEP and change.value is not UNKNOWN:
                change.place.settle(change.key, change.value)
            change.place.withdraw(change)
            change = change.next
        _spare(message)

    def failed(self, count, itself, cut_short):
        """Of those under way the first `count` were skipped; or rather, the very first has failed
        (`itself`), and the others were skipped. `cut_short`: by a cancel or a timeout. Returns
        them."""
        dropped = []
        while len(dropped) < count:
            message = self._take()
            change = message.changes
            while change is not None:
                if itself and change.otherwise is not KEEP:
                    if not (cut_short and change.only_refused):
                        change.place.settle(change.key, change.otherwise)
                change.place.withdraw(change)
                change = change.next
            itself = False
            dropped.append(message)
        return dropped

    def forget(self):
        """None of them will be answered: nothing that they would change is believed any more. (One
        by one: to drop a long chain at once nests.)"""
        while self.first is not None:
            change = self._take().changes
            while change is not None:
                change.place.withdraw(change)
                change = change.next

    def _take(self):
        message = self.first
        self.first = message.behind
        message.behind = None
        if self.first is None:
            self.last = None
        return message


def note(message, place, key, value, otherwise=KEEP, only_refused=False):
    """Put a change on a message that is about to be sent: see `Change`."""
    change = _spares.changes
    if change is None:
        change = Change.__new__(Change)
    else:
        _spares.changes = change.next
        _spares.count -= 1
    change.place = place
    change.key = key
    change.value = value
    change.otherwise = otherwise
    change.only_refused = only_refused
    change.number = 0
    change.batch = 0
    change.next = message.changes
    message.changes = change


def new_message():
    """A message on which nothing hangs yet."""
    message = _spares.messages
    if message is None:
        return Message()
    _spares.messages = message.behind
    _spares.count -= 1
    message.behind = None
    return message


def _spare(message):
    """Keep a message that is done with, and its changes, to be used again."""
    message.role = None
    change = message.changes
    message.changes = None
    if _spares.count >= _SPARE_LIMIT:
        return
    message.behind = _spares.messages
    _spares.messages = message
    _spares.count += 1
    while change is not None:
        following = change.next
        change.place = change.key = change.value = change.otherwise = None
        change.next = _spares.changes
        _spares.changes = change
        _spares.count += 1
        change = following
