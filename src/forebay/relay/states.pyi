"""The states of a client and of a database connection."""

class StateError(Exception): ...

class State:
    name: str
    meaning: str
    moves: dict[int, str]
    def __init__(self, name: str, meaning: str, moves: dict[int, str]) -> None: ...

TABLE: dict[int, State]

def check(now: int, to: int) -> int: ...
