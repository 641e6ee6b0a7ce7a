"""Counts of a micro-pool."""

class Tally:
    borrows: int
    transactions: int
    queries: int
    queries_tls: int
    refused: int
    received: int
    sent: int
    client_parses: int
    server_parses: int
    binds: int
    replays: int
    replays_failed: int
    transaction_s: float
    query_s: float
    wait_s: float

    def __init__(self) -> None: ...
    def add(self, other: Tally) -> None: ...
