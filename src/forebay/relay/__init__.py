"""The compiled folder: what touches every byte between clients and the database.

poller     one epoll set and the owners of its descriptors
selector   Relay: asyncio's selector, which serves relayed sockets inside select()
openssl    what Python's ssl module cannot be asked for; handshakes: threads for its handshakes
peer       a relayed socket: buffers, back-pressure, TLS
ledger     which replies are owed, and to whom they go
micropool  idle connections and the queue of one (database, user)
application  what is known of all clients of one kind
census     all micro-pools together: counts, and who has waited longest; waits: for how long

A database connection, each class building on the one before:
    connection  who has it, and what is done before the next client gets it
    lent        while it is lent: the client's settings, its turns
    server      what the database sends

An established client, likewise:
    unnamed_user    what it has prepared without a name
    statement_owner what it has prepared with names
    told_user       what it was told of that, on which it relies
    statement_user  what it does with that
    examiner        what it says, read before it is sent
    client_state    how it stands: with its connection, and its end
    client          its messages

assembly   what goes to a connection in one write
prepared   what a connection has prepared; statement: one prepared statement
preparing  sees that a connection has one
refusal    errors of Forebay's own in the middle of a batch
glance     a fast look at a statement: does it certainly leave the session alone?
names      does it name a function that the operator lists?
"""

from forebay.relay.application import Application
from forebay.relay.census import Census
from forebay.relay.client import Client
from forebay.relay.command import Command
from forebay.relay.ledger import Ledger
from forebay.relay.micropool import MicroPool, Waiter
from forebay.relay.poller import Poller
from forebay.relay.selector import Relay
from forebay.relay.server import Server
from forebay.relay.statement import PREFIX, Statement
from forebay.relay.waits import WaitHistogram

__all__ = [
    "PREFIX",
    "Application",
    "Census",
    "Client",
    "Command",
    "Ledger",
    "MicroPool",
    "Poller",
    "Relay",
    "Server",
    "Statement",
    "WaitHistogram",
    "Waiter",
]
