"""What compiled code calls and reads of Python objects, each as a Protocol: nothing else.

A client calls its `sessions` (SessionsPort), a micro-pool and its connections their `manager` and
`changeover`. What these put on clients and connections (settings, parameters, notes, the meaning of
a statement) is handed back to them as it came; compiled code reads the attributes that are declared
here, and compares the rest by identity. Arguments are given by position.

The implementations stand in `worker` and `session`. They are checked where they are handed over: by
the types of the parameters of `Client`, `Server`, `MicroPool` and `Statements.define` in the stubs.
"""

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from forebay.relay.application import Application
    from forebay.relay.client import Client
    from forebay.relay.command import Command
    from forebay.relay.loss import Loss
    from forebay.relay.micropool import MicroPool
    from forebay.relay.server import Server
    from forebay.relay.statements.statement import Statement


# ---- values ----


class ReadingPort(Protocol):
    """How a text is read, on which its meaning depends. Compiled code reads nothing of it: what it
    was given with a text it gives back with the same text."""

    @property
    def client_encoding(self) -> str: ...
    @property
    def standard_conforming_strings(self) -> bool: ...


class SettingsPort(Protocol):
    """The settings that a client asks for, or that a connection has. Equal ones are one object."""

    @property
    def at_rest(self) -> "SettingsPort | None":
        """What a connection has instead once nobody uses it; None if all of them may stay."""

    @property
    def under_pg_temp(self) -> bool | None:
        """Whether its search_path names pg_temp; None if it has no search_path of its own."""


class ParametersPort(Protocol):
    """What a database reports (ParameterStatus). Equal ones are one object."""

    @property
    def reading(self) -> ReadingPort:
        """How a database that reports this reads a text."""

    def changes_from(self, old: Self) -> bytes:
        """The ParameterStatus messages for what differs from `old`; empty if nothing does."""


class NotesPort(Protocol):
    """What else is known of a client's session."""

    # The start-up settings that what is under way takes back, by name; emptied if that has failed.
    # (Any: a dict takes the type of its values from both sides.)
    restored: dict[str, Any]


class MeaningPort(Protocol):
    """What the meaning of a prepared statement depends on. Equal ones have equal hashes."""

    @property
    def reading(self) -> ReadingPort | None:
        """How its text was read when it was prepared; None if that makes no difference to it."""


# ---- a client's sessions ----


class TextsPort(Protocol):
    """What the texts of statements mean, and may do to their client's session.

    `reading`: how the text was read when it was prepared; None if that makes no difference to it,
    or if it is read now.
    """

    def statement(self, client: "Client", definition: bytes) -> "Statement | None":
        """The statement that a Parse with a name defines. `definition`: its body behind the name.
        Returns None if there is no room for it."""

    def again(self, client: "Client", statement: "Statement") -> "Statement | None":
        """The statement as which one that the client has defined earlier is to be prepared now.
        Returns None if it cannot be."""

    def no_room(self, client: "Client") -> bytes:
        """`statement` has returned None. Returns the ErrorResponse for the client."""

    def with_types(self, statement: "Statement", tail: bytes) -> "Statement":
        """The statement with the same text and meaning, and other types of parameters. `tail`: what
        stands behind the text in its Parse."""

    def reread(
        self, definition: bytes, before: ParametersPort, now: ParametersPort
    ) -> bytes | None:
        """The body of Parse behind the name that means under the parameters of `now` what
        `definition` meant under those of `before`. Returns None if there is none."""

    def undone(self, client: "Client") -> None:
        """Something in the client's transaction has changed what names or literals mean, or has
        taken such a change back, and it is not known to what."""

    def binds(
        self,
        client: "Client",
        text: bytes,
        named: bool,
        reading: ReadingPort | None,
        pg_temp: bool,
    ) -> bool:
        """A portal of a statement that may change the session is bound. `named`: the statement has
        a name. `pg_temp`: that may stand in the values. Returns whether `executes` is to be called
        when the portal is executed."""

    def executes(self, client: "Client", text: bytes, reading: ReadingPort | None = None) -> None:
        """A statement that may change the session is executed: a portal's, or a simple Query."""

    def examine(self, client: "Client", text: bytes) -> bytes | None:
        """A simple Query is about to run that may change the session, or whose client is pinned.
        Returns the name in a DEALLOCATE of what the client has prepared with Parse, which must not
        be sent; else None."""

    def is_not_read(self, client: "Client", text: bytes) -> None:
        """A statement is about to run whose client has all read, and it is too long for that.
        `text`: its beginning."""

    def asks(self, client: "Client", text: bytes, reading: ReadingPort | None) -> bool:
        """Whether a statement that is about to run may ask what its session has drawn from a
        sequence (currval, lastval)."""

    def announce_pin(self, client: "Client", text: bytes) -> None:
        """A statement is prepared without a name by a client that is pinned as RDS Proxy pins."""


class PinnerPort(Protocol):
    """Which clients keep their connections between transactions, and why."""

    def pin(self, client: "Client", reason: str, statement: bytes | None) -> None:
        """Pin the client until it leaves. `reason`: the code of a cause. `statement`: what has
        pinned it; None if that is no text."""

    def nothing_ran(self, client: "Client") -> None:
        """What the client has sent last was skipped by the database, and it holds no connection."""

    def has_temporary(self, client: "Client") -> bool:
        """Whether the client may have temporary tables."""


class AuditorPort(Protocol):
    """Finds out what a session holds."""

    def ask(self, client: "Client") -> None:
        """The client's transaction is over, and may have changed the session: ask the database, by
        `Server.ask`. The connection stays the client's until that is answered."""


class ApplicationsPort(Protocol):
    """What is known of clients of one kind."""

    def of(self, client: "Client") -> "Application":
        """The client's application, by its settings of now."""


class EvacuationsPort(Protocol):
    """Databases that statements need for themselves (DROP DATABASE and others)."""

    def waits(self, client: "Client", text: bytes, reading: ReadingPort | None = None) -> bool:
        """A statement is about to run. Returns whether it must wait until others have left a
        database; if so, `Client.evacuated` is called when it may be tried again."""

    def over(self, client: "Client") -> None:
        """The client's `evacuation` is not None, and its transaction is over."""


class SessionsPort(Protocol):
    """All clients of one proxy."""

    @property
    def texts(self) -> TextsPort: ...
    @property
    def pinner(self) -> PinnerPort: ...
    @property
    def auditor(self) -> AuditorPort: ...
    @property
    def applications(self) -> ApplicationsPort: ...
    @property
    def evacuations(self) -> EvacuationsPort: ...

    def parameters_known(self, client: "Client") -> None:
        """The client's `parameters` are known, so its login can be answered: call
        `Client.welcome`."""

    def settings_refused(self, client: "Client", body: bytes) -> bool:
        """A connection could not take the client's settings; `body` is that of the ErrorResponse.
        Returns True if the client's `settings` are others by now, which are tried next; False if
        the client was told."""

    def is_interrupted(self, body: bytes) -> bool:
        """Whether an ErrorResponse with this body says that a cancel request or a timeout has cut
        something short."""

    def violated(self, client: "Client", kind: int) -> bytes:
        """The client has sent a message of this type that no client may send, or with an impossible
        length. Returns the FATAL ErrorResponse for it."""

    def may_repeat(self, client: "Client", statement: bytes) -> bool:
        """Whether nothing of a statement has happened to which the database has said at once that
        it does not write, so that it may be sent again (see repeating.pyx). It is the only one of
        its request, and no command of transactions."""

    def repeats(self, client: "Client") -> None:
        """Such a statement is about to be sent again."""

    def server_lost(self, client: "Client", reason: str, loss: "Loss") -> tuple[int, bytes]:
        """The client's connection is gone, and it has none. Returns what becomes of the client (see
        `loss`), and the ErrorResponse for it."""

    def closed(self, client: "Client", reason: str) -> None:
        """The client has ended. Called once."""


# ---- a micro-pool's connections ----


class ChangeoverPort(Protocol):
    """What is put in place on a connection, and taken off it, between clients."""

    def replay(self, server: "Server", client: "Client") -> tuple[bytes, bytes, bool]:
        """The messages that change the connection over to the client's settings: one simple Query,
        and the same with a guard (see replay.pyx). True: the success of the first must be known
        before the client's messages are sent."""

    def replay_failed(self, server: "Server", body: bytes, confirming: bool) -> None:
        """The change-over has failed; `body` is that of the ErrorResponse. `confirming`: nothing of
        the client was sent behind it."""

    def reset(self, server: "Server") -> None:
        """Take all of its last client's session off a connection that nobody has, by `Server.run`
        and `Server.was_reset`."""

    def rest(self, server: "Server") -> None:
        """Let a connection that nobody has change from its settings to their `at_rest`, by
        `Server.run`."""

    def parameter_changed(self, parameters: ParametersPort, body: bytes) -> ParametersPort:
        """What the database reports from now on, after a ParameterStatus with this body. Raises
        ValueError if that cannot be read."""

    def announce(self, client: "Client", parameters: ParametersPort) -> None:
        """The client's connection reports other parameters than the client's own: tell the client,
        and let them be its own."""


class ManagerPort(Protocol):
    """All micro-pools before one database server."""

    def wanted(self, pool: "MicroPool") -> None:
        """A client waits in `pool`, and a connection could be opened, or too many wait."""

    def held_too_much(self, client: "Client") -> None:
        """A client has begun to wait, and those who wait hold as much as they may: it is to be
        refused."""

    def schedule(self) -> None:
        """A connection has become idle while clients wait in other micro-pools."""

    def take_away(self, server: "Server") -> None:
        """A connection that came free, and is in no micro-pool any more, is to be closed: it is
        retired, or its place is needed."""

    def server_lost(self, server: "Server", reason: str) -> None:
        """A connection is closed. Called once."""

    def ended(self, server: "Server", body: bytes) -> None:
        """The database ends a connection; `body` is that of its FATAL ErrorResponse, which no
        client gets."""

    def noticed(self, server: "Server", kind: str) -> None:
        """What concerns the database server was seen on a connection. `kind`, as in HintKind
        (topology/reports.py): "lost" (it ended without a word), "terminated", "crashed", "starting"
        (57P01, 57P02, 57P03 came, as an error or a notice) or "read_only" (25006 came, or
        in_hot_standby is reported). Anybody can bring most of these about for one connection: it is
        no more than a reason to ask the server. May be called often."""

    def writes_query(self) -> bytes:
        """What asks a connection whether writes there are refused to everybody."""

    def has_stopped_writing(self, server: "Server", command: "Command") -> bool:
        """Whether the answer to ``writes_query`` says so; then nobody is lent a connection until it
        is known which server writes."""

    def abandoned(self, server: "Server", vanished: bool) -> None:
        """A connection has lost its client, and is not answered yet. `vanished`: the client has
        left without Terminate."""

    def copy_failed(self, server: "Server") -> None:
        """A connection has lost its client in the middle of COPY FROM STDIN, which Forebay has
        ended with CopyFail."""

    def schema_changed(self, pool: "MicroPool") -> None:
        """What prepared statements take and return may have changed in the database of `pool`."""
