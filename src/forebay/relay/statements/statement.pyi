"""A prepared statement as its clients mean it."""

from typing import final

from forebay.relay.ports import MeaningPort
from forebay.relay.scan.names import FunctionNames

PREFIX: bytes

def digest(data: bytes) -> bytes:
    """Stands for `data` where that is only compared."""

class Account:
    """How much memory the statements take that clients have, together."""

    limit: int
    @property
    def bytes(self) -> int: ...
    @property
    def statements(self) -> int: ...
    def __init__(self, limit: int) -> None: ...
    def has_room(self, definition: int) -> bool:
        """Whether one more, whose definition has so many bytes, stays within the limit."""

    def take_peak(self) -> int:
        """The most bytes that there were since this was asked last."""

@final
class Text:
    """The SQL of statements. Counted as long as a client has one of them."""

    @property
    def sql(self) -> bytes: ...
    def __init__(self, sql: bytes, account: Account) -> None: ...

@final
class Known:
    """What connections know of a statement."""

    @property
    def name(self) -> bytes: ...

@final
class Statement:
    """What Parse defines. Made by `Statements` only."""

    source: Text
    tail: bytes
    known: Known
    meaning: MeaningPort
    harmless: bool

    @property
    def text(self) -> bytes: ...
    @property
    def definition(self) -> bytes: ...
    @property
    def digest(self) -> bytes:
        """Of the text."""

    def look_for(self, functions: FunctionNames | None) -> None:
        """Decide again whether it is harmless, where these functions are listed (None: none)."""

class Statements:
    """Gives equal statements one identity."""

    @property
    def account(self) -> Account: ...
    def __init__(self, account: Account) -> None: ...
    def __len__(self) -> int:
        """How many there are that clients or connections know."""

    def living(self) -> list[Statement]:
        """Those that clients have."""

    def find(self, digest: bytes, tail: bytes, meaning: MeaningPort) -> Statement | None:
        """The statement with such a text and tail that means that, if a client has it."""

    def define(self, digest: bytes, source: Text, tail: bytes, meaning: MeaningPort) -> Statement:
        """The statement that `find` has not found."""
