"""A prepared statement as its clients mean it."""

from forebay.worker.relay.names import FunctionNames
from forebay.worker.session.meaning import Meaning

PREFIX: bytes

class Statement:
    definition: bytes
    name: bytes
    parse: bytes
    close: bytes
    meaning: Meaning
    harmless: bool
    proven: int

    @property
    def text(self) -> bytes: ...
    def look_for(self, functions: FunctionNames | None) -> None:
        """Decide again whether it is harmless, where these functions are listed (None: none)."""

    def __init__(self, definition: bytes, name: bytes, meaning: Meaning) -> None: ...
