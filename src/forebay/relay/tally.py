"""What a micro-pool has counted since it came to be.

Written in Cython's pure mode (types in tally.pxd).
"""


class Tally:
    """Counts of what clients have asked and got. Durations in seconds."""

    def __init__(self):
        self.borrows = 0
        self.transactions = 0
        self.queries = 0  # answered by a ReadyForQuery
        self.queries_tls = 0  # ... of clients with TLS
        self.refused = 0  # answered by Forebay, as there was no connection for them
        self.received = 0  # bytes from clients
        self.sent = 0  # bytes to clients
        self.client_parses = 0  # statements with a name, by clients
        self.server_parses = 0  # ... on connections
        self.binds = 0  # ... that were bound
        self.replays = 0  # connections that have changed over to other settings
        self.replays_failed = 0
        self.transaction_s = 0.0
        self.query_s = 0.0  # at the database
        self.wait_s = 0.0  # for a connection

    def add(self, other):
        """Count in what another one has counted."""
        self.borrows += other.borrows
        self.transactions += other.transactions
        self.queries += other.queries
        self.queries_tls += other.queries_tls
        self.refused += other.refused
        self.received += other.received
        self.sent += other.sent
        self.client_parses += other.client_parses
        self.server_parses += other.server_parses
        self.binds += other.binds
        self.replays += other.replays
        self.replays_failed += other.replays_failed
        self.transaction_s += other.transaction_s
        self.query_s += other.query_s
        self.wait_s += other.wait_s
