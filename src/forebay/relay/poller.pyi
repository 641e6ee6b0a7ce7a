"""One epoll set, and who owns each descriptor in it."""

class Poller:
    now: float
    interrupted: bool

    def close(self) -> None: ...
