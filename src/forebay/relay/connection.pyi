"""A database connection and the client that borrows it, as they know each other."""

from forebay.relay.client import Client
from forebay.relay.micropool import Waiter

class Place(Waiter):
    """A client's place in a queue."""

    def __init__(self, borrower: Client) -> None: ...
    @property
    def borrower(self) -> Client: ...
