"""Prepared statements, interned: equal ones are one object on all clients and connections."""

from collections.abc import Hashable
from itertools import count
from weakref import WeakValueDictionary

from forebay.worker.relay import Statement

# Begins the names of prepared statements on database connections; no client's name reaches those.
PREFIX = b"_forebay_"


class StatementTable:
    """Gives equal statements one identity for as long as somebody uses them."""

    def __init__(self) -> None:
        self._kept: WeakValueDictionary[tuple[bytes, Hashable], Statement] = WeakValueDictionary()
        self._numbers = count(1)

    def statement(self, definition: bytes, meaning: Hashable) -> Statement:
        """The statement that Parse defines with `definition` (its body behind the name), where
        `meaning` stands for the settings on which names in it depend."""
        found = self._kept.get((definition, meaning))
        if found is None:
            name = PREFIX + str(next(self._numbers)).encode()
            found = self._kept[definition, meaning] = Statement(definition, name, meaning)
        return found
