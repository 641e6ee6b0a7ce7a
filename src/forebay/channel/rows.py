"""What a worker tells people: clients, connections and pins, one row each.

Names that clients have chosen are cut and made text (`name_as_text`) but not changed otherwise: who
shows them escapes them. There is no text of a statement in them, only digests.
"""

import msgspec

# What PostgreSQL keeps of a name, in bytes; here characters.
NAME_CHARACTERS = 63


def name_as_text(name: str) -> str:
    """A name that a client has chosen, of a bounded length. Bytes that are no UTF-8 (surrogates
    here) are replaced: a message could not carry them, and one client's name would keep all others
    from being told of."""
    return name[:NAME_CHARACTERS].encode("utf-8", "replace").decode()


class ClientRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One client that has logged in.

    ``state``: "active" (it is served), "waiting" (in the queue), "idle", or what its connection
    does meanwhile: "idle in transaction", "idle in transaction (aborted)", "idle, pinned",
    "stalled in a request".
    """

    id: int  # process id that it was told: clientConnection in the log
    database: str
    user: str
    identity: str  # whose connections it shares
    application: str = ""
    address: str = ""  # host:port; empty on a Unix socket
    tls: str = ""  # the version; empty without TLS
    state: str
    state_s: float = 0.0  # for how long
    connected_s: float = 0.0
    connection: int = 0  # dbConnection that it holds (its backend's process id); 0: none
    pins: list[str] = []  # reasons
    statements: int = 0  # prepared with a name


class ConnectionRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One database connection. ``state``: "unused" (free), or as a client's, or "being cleaned"."""

    id: int  # the backend's process id: dbConnection in the log, pid in pg_stat_activity
    database: str
    user: str
    state: str
    state_s: float = 0.0
    held_s: float = 0.0  # by its client
    opened_s: float = 0.0
    tls: str = ""
    is_retired: bool = False  # closes when it comes free
    server: str = ""  # where it leads: host:port
    client: int = 0  # 0: nobody has it
    application: str = ""
    address: str = ""
    pins: list[str] = []


class PinRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Pins of one kind: the same reason, digest of the statement, and application."""

    reason: str
    digest: str = ""
    application: str = ""
    count: int = 0  # since the worker started
    now: int = 0  # of them not over yet
    total_s: float = 0.0  # how long they lasted
    longest_s: float = 0.0
    sentence: str = ""
    hint: str = ""  # how to avoid it


class ProxyView(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on in one proxy, as far as one can take in.

    ``holders``: connections in use, the one held longest first, of which there are
    ``holders_count``; ``states``: how many do what. ``waiters``: the clients that have waited
    longest. ``held_sentence`` and ``hint`` say in words who holds and what helps.
    """

    holders: list[ConnectionRow] = []
    holders_count: int = 0
    states: dict[str, int] = {}
    waiters: list[ClientRow] = []
    waiters_count: int = 0
    pins: list[PinRow] = []  # those that have taken most time first
    sentence: str = ""
    hint: str = ""
