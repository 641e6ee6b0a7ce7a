"""Whether a text names one of the functions that an operator lists."""

from collections.abc import Iterable

class FunctionNames:
    """Names to look for, without their schemas, in any case; longer ones are cut."""

    def __init__(self, names: Iterable[bytes]) -> None: ...
    def named_in(self, text: bytes) -> bool:
        """Whether `text` may name one of them."""

class NamesInPieces:
    """The same for a text that arrives in pieces."""

    def __init__(self, names: FunctionNames) -> None: ...
    def feed(self, piece: bytes) -> bool:
        """Whether one of the names may end in this piece; a zero byte ends the text."""
