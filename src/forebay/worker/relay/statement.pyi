"""A prepared statement as its clients mean it."""

class Statement:
    definition: bytes
    name: bytes
    parse: bytes
    close: bytes
    meaning: object
    watched: bool
    proven: bool

    @property
    def text(self) -> bytes: ...
    def __init__(self, definition: bytes, name: bytes, meaning: object) -> None: ...
