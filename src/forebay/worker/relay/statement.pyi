"""A prepared statement as its clients mean it."""

class Statement:
    definition: bytes
    name: bytes
    parse: bytes
    close: bytes
    meaning: object
    harmless: bool
    proven: bool

    @property
    def text(self) -> bytes: ...
    def __init__(self, definition: bytes, name: bytes, meaning: object) -> None: ...
