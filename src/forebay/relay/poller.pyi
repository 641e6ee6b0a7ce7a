"""One epoll set, and who owns each descriptor in it."""

class Poller:
    now: float
    interrupted: bool
    held_bytes: int
    held_limit: int

    def close(self) -> None: ...
