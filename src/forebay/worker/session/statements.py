"""Prepared statements, interned: equal ones are one object on all clients and connections."""

from collections.abc import Hashable
from itertools import count
from weakref import WeakValueDictionary

from forebay.worker.relay import PREFIX, Statement
from forebay.worker.relay.names import FunctionNames


class StatementTable:
    """Gives equal statements one identity for as long as somebody uses them."""

    def __init__(self) -> None:
        self._kept: WeakValueDictionary[tuple[bytes, Hashable], Statement] = WeakValueDictionary()
        self._numbers = count(1)
        self._functions: FunctionNames | None = None

    def look_for(self, functions: FunctionNames | None) -> None:
        """Let statements that name one of these functions be looked at whenever they run."""
        self._functions = functions
        for statement in list(self._kept.values()):
            statement.look_for(functions)

    def statement(self, definition: bytes, meaning: Hashable) -> Statement:
        """The statement that Parse defines with `definition` (its body behind the name), where
        `meaning` stands for the settings on which names in it depend."""
        found = self._kept.get((definition, meaning))
        if found is None:
            name = PREFIX + str(next(self._numbers)).encode()
            found = self._kept[definition, meaning] = Statement(definition, name, meaning)
            if self._functions is not None:
                found.look_for(self._functions)
        return found
