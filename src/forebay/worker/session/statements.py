"""Prepared statements, interned: equal ones are one object on all clients and connections."""

from itertools import count
from weakref import WeakValueDictionary

from forebay.sql.reading import Reading, Traits, reread, traits
from forebay.worker.relay import PREFIX, Statement
from forebay.worker.relay.names import FunctionNames
from forebay.worker.session.meaning import Context, Meaning, meaning_of


class StatementTable:
    """Gives equal statements one identity for as long as somebody uses them."""

    def __init__(self) -> None:
        self._kept: WeakValueDictionary[tuple[bytes, Meaning], Statement] = WeakValueDictionary()
        self._numbers = count(1)
        self._functions: FunctionNames | None = None

    def look_for(self, functions: FunctionNames | None) -> None:
        """Let statements that name one of these functions be looked at whenever they run."""
        self._functions = functions
        for statement in list(self._kept.values()):
            statement.look_for(functions)

    def statement(
        self, definition: bytes, context: Context, known: Traits | None = None
    ) -> Statement:
        """The statement that Parse defines with `definition` (its body behind the name) in this
        context. `known`: the traits of its text, if they are."""
        if known is None:
            known = traits(definition.partition(b"\0")[0])
        return self.defined(definition, meaning_of(known, context))

    def defined(self, definition: bytes, meaning: Meaning) -> Statement:
        """The statement with this definition and meaning."""
        found = self._kept.get((definition, meaning))
        if found is None:
            name = PREFIX + str(next(self._numbers)).encode()
            found = self._kept[definition, meaning] = Statement(definition, name, meaning)
            if self._functions is not None:
                found.look_for(self._functions)
        return found

    def again(self, statement: Statement, context: Context) -> Statement | None:
        """What is meant by `statement`, defined in another context, when it is prepared in this
        one; None: it cannot be."""
        meaning = statement.meaning
        if meaning.reading is None or meaning.reading == context.reading:
            if meaning.moment is not None:
                return statement  # it was read at its time, if not everywhere
            return self.statement(statement.definition, context, meaning.traits)
        definition = reread_definition(statement.definition, meaning.reading, context.reading)
        return None if definition is None else self.statement(definition, context, meaning.traits)


def reread_definition(definition: bytes, before: Reading, now: Reading) -> bytes | None:
    """What a Parse must define now for what this one has defined before; None: nothing can."""
    text, end, types = definition.partition(b"\0")
    try:
        return reread(text, before, now) + end + types
    except ValueError:
        return None
