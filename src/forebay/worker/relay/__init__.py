"""The compiled folder: what touches every byte between clients and the database.

poller     one epoll set and the owners of its descriptors
selector   Relay: asyncio's selector, which serves relayed sockets inside select()
openssl    what Python's ssl module cannot be asked for; handshakes: threads for its handshakes
peer       a relayed socket: buffers, back-pressure, TLS
ledger     which replies are owed, and to whom they go
micropool  idle connections and the queue of one (database, user)
server     a database connection
statement  a prepared statement; statement_user: what a client has prepared
client     an established client
glance     a fast look at a statement: does it certainly leave the session alone?
"""

from forebay.worker.relay.client import Client
from forebay.worker.relay.ledger import Ledger
from forebay.worker.relay.micropool import MicroPool, Waiter
from forebay.worker.relay.poller import Poller
from forebay.worker.relay.selector import Relay
from forebay.worker.relay.server import Command, Server
from forebay.worker.relay.statement import Statement

__all__ = [
    "Client",
    "Command",
    "Ledger",
    "MicroPool",
    "Poller",
    "Relay",
    "Server",
    "Statement",
    "Waiter",
]
