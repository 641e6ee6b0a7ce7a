"""Prepared statements, interned: equal ones are one object on all clients and connections."""

from typing import Final

from forebay.relay.scan.names import FunctionNames
from forebay.relay.statements.statement import Account, Statement, Statements, Text, digest
from forebay.session.meaning import Context, Meaning, meaning_of
from forebay.sql.reading import Reading, Traits, reread, traits
from forebay.worker import kept

WORKER_LIMIT_BYTES: Final = 256 << 20
"""What all clients of a worker may have prepared together. Equal statements count once, each with
some hundred bytes beside its text. A client has 16 MiB at most."""

WORKER: Final = Account(WORKER_LIMIT_BYTES)
"""What the clients of all proxies of this process have prepared."""

# Meanings that are remembered, so that statements share them.
MEANINGS_LIMIT: Final = 1000


class StatementTable:
    """Gives equal statements one identity for as long as somebody uses them."""

    def __init__(self, account: Account = WORKER) -> None:
        self.account = account
        self._kept = Statements(account)
        self._meanings: dict[Meaning, Meaning] = {}
        self._functions: FunctionNames | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def look_for(self, functions: FunctionNames | None) -> None:
        """Let statements that name one of these functions be looked at whenever they run."""
        self._functions = functions
        for statement in self._kept.living():
            statement.look_for(functions)

    def statement(self, definition: bytes, context: Context) -> Statement | None:
        """Returns the statement that a Parse defines in this context; None if it is a new one, and
        there is no room for it. `definition` is the body of the Parse behind the name."""
        sql, end, types = definition.partition(b"\0")
        meaning = self._meaning_of(traits(sql), context)
        key = digest(sql)
        found = self._kept.find(key, end + types, meaning)
        if found is not None:
            return found
        if not self.account.has_room(len(definition)):
            return None
        return self._define(key, Text(sql, self.account), end + types, meaning)

    def with_tail(self, statement: Statement, tail: bytes) -> Statement:
        """What means the same as `statement`, but has `tail` behind its text."""
        return self._like(statement, tail, kept.meaning_of(statement))

    def again(self, statement: Statement, context: Context) -> Statement | None:
        """What is meant by `statement`, defined in another context, when it is prepared in this
        one; None: it cannot be."""
        meaning = kept.meaning_of(statement)
        if meaning.reading is None or meaning.reading == context.reading:
            if meaning.moment is not None:
                return statement  # it was read at its time, if not everywhere
            return self._like(statement, statement.tail, self._meaning_of(meaning.traits, context))
        definition = reread_definition(statement.definition, meaning.reading, context.reading)
        if definition is None:
            return None
        # There is room for what takes the place of another.
        sql, end, types = definition.partition(b"\0")
        meaning, key = self._meaning_of(meaning.traits, context), digest(sql)
        found = self._kept.find(key, end + types, meaning)
        return found or self._define(key, Text(sql, self.account), end + types, meaning)

    def _like(self, statement: Statement, tail: bytes, meaning: Meaning) -> Statement:
        """The statement with the same text, this tail and this meaning."""
        found = self._kept.find(statement.digest, tail, meaning)
        return found or self._define(statement.digest, statement.source, tail, meaning)

    def _define(self, key: bytes, text: Text, tail: bytes, meaning: Meaning) -> Statement:
        made = self._kept.define(key, text, tail, meaning)
        if self._functions is not None:
            made.look_for(self._functions)
        return made

    def _meaning_of(self, known: Traits, context: Context) -> Meaning:
        """Returns the meaning of a text with these traits, as one object for equal meanings unless
        there are very many."""
        meaning = meaning_of(known, context)
        if meaning.moment is not None or meaning.changes is not None:
            return meaning  # nobody else's, or not for long
        if len(self._meanings) >= MEANINGS_LIMIT:
            self._meanings.clear()
        return self._meanings.setdefault(meaning, meaning)


def reread_definition(definition: bytes, before: Reading, now: Reading) -> bytes | None:
    """Returns the definition by which a Parse defines now what `definition` has defined when texts
    were read as `before`; None if there is none."""
    text, end, types = definition.partition(b"\0")
    try:
        return reread(text, before, now) + end + types
    except ValueError:
        return None
