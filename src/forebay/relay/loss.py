"""What is known of a client's exchange with its database connection when that is lost."""

# What becomes of the client: see ``SessionsPort.server_lost``.
WAITS = 0  # another connection does
STAYS = 1  # what is unanswered is answered with an error, and no transaction is open
STAYS_ABORTED = 2  # ... and a transaction is, which can only be ended
ENDS = 3  # it is told why
CUT_OFF = 4  # it is not told


class Loss:
    """What is known, when the client has no connection any more.

    Attributes:
        sent: Something that the client has sent is not answered to its end.
        kinds: The messages that are not (see `ledger`), in order.
        status: Of the last ReadyForQuery.
        control: What was sent may do to a transaction (see scan/control).
        half_forwarded: A part of the answer has gone to the client, and ends within a message.
        failed: The client has had an error for the first of its requests.
        unsynced: The Sync of its batch is still to come.
        unknown_session: The database was not asked yet what the client's session has.
        parameters_told: Those that the client was told last, or None.
        word: The body of the FATAL error with which the database has ended the connection, or None.
        waits: The client has something to send.
        is_held: ... and had borrowed the connection for that, or waits for its greeting.
        is_hopeless: Too many connections were lost in a row before anything was sent.
        begin: All that the connection had of the client's: a BEGIN alone, which is kept. Else None.
    """

    __slots__ = (
        "begin",
        "control",
        "failed",
        "half_forwarded",
        "is_held",
        "is_hopeless",
        "kinds",
        "parameters_told",
        "sent",
        "status",
        "unknown_session",
        "unsynced",
        "waits",
        "word",
    )

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.sent = False
        self.status = ord("I")
        self.control = 0
        self.half_forwarded = False
        self.failed = False
        self.unsynced = False
        self.unknown_session = False
        self.parameters_told: object = None
        self.waits = False
        self.is_held = False
        self.word: bytes | None = None
        self.is_hopeless = False
        self.begin: bytes | None = None
