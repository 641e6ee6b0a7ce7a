"""What came out: the object that ``forebay demo --json`` prints."""

from __future__ import annotations

import msgspec


class Result(msgspec.Struct, kw_only=True):
    """The figures of one run. Times say their unit; ``wait`` is for a database connection, as
    Forebay measured it; ``latency`` is what a transaction waited for its answers, as its client
    measured it; ``added_latency`` is per statement."""

    clients: int
    port: int = 0  # where Forebay listened
    page: str = ""  # where its page was
    database_connection_limit: int  # what the database allows its users
    pool_connection_limit: int  # max_connections_percent of it
    database_connections_peak: int = 0  # counted in the database, not by Forebay
    direct_connected: int = 0
    direct_refused: int = 0
    direct_transactions: int = 0
    refused: int = 0
    unconnected: int = 0
    failed_transactions: int = 0
    transactions: int = 0
    transactions_per_s: float = 0.0
    wait_ms_p50: float = 0.0
    wait_ms_p99: float = 0.0
    latency_ms_p50: float = 0.0
    latency_ms_p99: float = 0.0
    load_generator_lag_ms_p99: float = 0.0
    direct_latency_us_p50: float = 0.0
    added_latency_us_p50: float = 0.0
    books_balance: bool = False
    worker_restarts: int = 0
    database_tls: bool = False
    errors: dict[str, int] = {}

    @property
    def is_good(self) -> bool:
        """Whether Forebay kept its promise: nobody refused, nothing failed, within the limit."""
        return not self.complaints()

    def complaints(self) -> list[str]:
        """What went wrong, in words."""
        said = []
        if self.refused:
            said.append(f"{self.refused} clients were refused")
        if self.unconnected:
            said.append(f"{self.unconnected} clients could not connect")
        if self.failed_transactions:
            said.append(f"{self.failed_transactions} transactions failed")
        if not self.transactions:
            said.append("no transaction was made")
        if self.database_connections_peak > self.pool_connection_limit:
            said.append(
                f"{self.database_connections_peak} database connections were open,"
                f" {self.pool_connection_limit} were allowed"
            )
        if self.worker_restarts:
            said.append(f"Forebay's worker died and was started again, {self.worker_restarts} ×")
        if not self.books_balance:
            said.append("the sums in the database do not add up")
        said += [f"{count} × {error}" for error, count in self.errors.items()]
        return said
