"""The compiled folder: what touches every byte between clients and the database.

poller     one epoll set and the owners of its descriptors
selector   Relay: asyncio's selector, which serves relayed sockets inside select()
openssl    what Python's ssl module cannot be asked for; handshakes: threads for its handshakes
peer       a relayed socket: buffers and back-pressure; records: TLS under it
ledger     which replies are owed, and to whom they go
micropool  idle connections and the queue of one (database, user)
application  what is known of all clients of one kind
census     all micro-pools together: counts, and who has waited longest
tally      what a micro-pool has counted; histogram: how long things took
belief     what is believed of a session before the database has answered
states     the states of clients and connections, and the moves between them
kinds      what happens to each type of message that clients send

A database connection and its client:
    lease       one borrow: all that is known of it, from its beginning to its end
    connection  what both know of each other
    replay      the connection changes over to its client's settings
    lending     who has it, and what is done before the next client gets it
    turn        its client's turns begin and end
    server      what the database sends; noting: what is taken note of in it
    client      what is asked of an established client
    walk        what it sends; examine: read before it is sent
    borrowing   how it stands with its connection
    losing      its connection is lost; loss: what is known of that
    leaving     its end

statements/  prepared statements
    statement   one of them, as its clients mean it
    entries     what stands for it with a client, and on a connection
    names       what a client has prepared; portals: what its portals were bound of
    prepared    what a connection has prepared, and what hangs on messages to it
    repair      sees that a connection has a statement
    use         Parse, Bind, Describe and Close with a name; unnamed: without one; binding: what a
                Bind may do to the session
    telling     what a client was told holds on every connection

ports      all that is called and read of Python objects, as Protocols
assembly   what goes to a connection in one write
refusal    errors of Forebay's own in the middle of a batch
scan/      glance: a fast look at a statement: does it certainly leave the session alone?
           names: does it name a function that the operator lists?
           control: what does it do to a transaction?
"""

from forebay.relay.application import Application
from forebay.relay.census import Census, Group
from forebay.relay.client import Client
from forebay.relay.command import Command
from forebay.relay.histogram import Histogram
from forebay.relay.lease import Lease
from forebay.relay.ledger import Ledger
from forebay.relay.loss import Loss
from forebay.relay.micropool import MicroPool, Waiter
from forebay.relay.poller import Poller
from forebay.relay.selector import Relay
from forebay.relay.server import Server
from forebay.relay.statements.statement import PREFIX, Statement
from forebay.relay.tally import Tally

__all__ = [
    "PREFIX",
    "Application",
    "Census",
    "Client",
    "Command",
    "Group",
    "Histogram",
    "Lease",
    "Ledger",
    "Loss",
    "MicroPool",
    "Poller",
    "Relay",
    "Server",
    "Statement",
    "Tally",
    "Waiter",
]
