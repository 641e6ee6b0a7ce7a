"""The ports, played: each fake does the simplest thing, and keeps what it was told.

Whatever a test wants otherwise it sets on the fake. See `forebay.relay.ports` for what is promised.
"""

from dataclasses import dataclass, field
from typing import Any

from forebay.protocol import errors
from forebay.protocol.errors import Severity
from forebay.protocol.messages import message, parameter_status, parse_parameter_status, query
from forebay.relay import Application, Client, Command, Loss, MicroPool, Server, Statement
from forebay.relay.loss import CUT_OFF, ENDS, WAITS
from forebay.relay.ports import MeaningPort, ParametersPort, ReadingPort, SettingsPort
from forebay.relay.statements.statement import Account, Statements, Text, digest


@dataclass(frozen=True)
class Reading:
    client_encoding: str = "UTF8"
    standard_conforming_strings: bool = True


@dataclass(eq=False)
class Settings:
    """Known by a name. `at_rest`: what a connection changes to when nobody uses it."""

    name: str
    at_rest: SettingsPort | None = None
    under_pg_temp: bool | None = None


@dataclass(eq=False)
class Parameters:
    values: dict[str, str]
    reading: ReadingPort = field(default_factory=Reading)

    def changes_from(self, old: "Parameters") -> bytes:
        return b"".join(
            parameter_status(name, value)
            for name, value in self.values.items()
            if old.values.get(name) != value
        )


@dataclass
class Notes:
    restored: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Meaning:
    reading: ReadingPort | None = None


PLAIN = Settings("plain")
PARAMETERS = Parameters({"server_version": "15.0"})
MEANING = Meaning()
NO_ROOM = errors.statements_full(0).encode()


class Texts:
    """What a text may do is told by its first word: SET, TEMP and LISTEN change the session, and so
    does what `doubtful` names. `asking`: texts that ask what was drawn from sequences."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []
        self.table = Statements(Account(1 << 30))
        self.has_room = True
        self.meaning: MeaningPort = MEANING
        self.asking: set[bytes] = set()
        self.following: set[bytes] = set()  # binding these has consequences when they execute
        self.deallocated: dict[bytes, bytes] = {}  # by text: the name that only the relay knows
        self.ends_all: set[bytes] = set()  # texts that end all prepared statements
        self.again_is: Statement | None = None
        self.pg_temp: list[bool] = []  # as `binds` was told
        self.reread_is: bytes | None = None

    def of(self, what: str) -> list[bytes]:
        """The texts that one of the methods was called with."""
        return [text for called, text in self.told if called == what]

    def make(self, text: bytes, tail: bytes = b"\0\0\0") -> Statement:
        """The statement with this text."""
        found = self.table.find(digest(text), tail, self.meaning)
        source = Text(text, self.table.account)
        return found or self.table.define(digest(text), source, tail, self.meaning)

    def statement(self, client: Client, definition: bytes) -> Statement | None:
        sql, end, types = definition.partition(b"\0")
        return self.make(sql, end + types) if self.has_room else None

    def again(self, client: Client, statement: Statement) -> Statement | None:
        self.told.append(("again", statement.text))
        return self.again_is

    def no_room(self, client: Client) -> bytes:
        return NO_ROOM

    def with_types(self, statement: Statement, tail: bytes) -> Statement:
        return self.make(statement.text, tail)

    def reread(
        self, definition: bytes, before: ParametersPort, now: ParametersPort
    ) -> bytes | None:
        self.told.append(("reread", definition))
        return self.reread_is

    def undone(self, client: Client) -> None:
        self.told.append(("undone", b""))

    def binds(
        self, client: Client, text: bytes, named: bool, reading: ReadingPort | None, pg_temp: bool
    ) -> bool:
        self.told.append(("binds", text))
        self.pg_temp.append(pg_temp)
        return text in self.following

    def executes(self, client: Client, text: bytes, reading: ReadingPort | None = None) -> None:
        self.told.append(("executes", text))
        if text in self.ends_all:
            client.note_dropping()

    def examine(self, client: Client, text: bytes) -> bytes | None:
        self.told.append(("examine", text))
        client.suspect = True
        return self.deallocated.get(text)

    def is_not_read(self, client: Client, text: bytes) -> None:
        self.told.append(("is_not_read", text))

    def asks(self, client: Client, text: bytes, reading: ReadingPort | None) -> bool:
        return text in self.asking

    def announce_pin(self, client: Client, text: bytes) -> None:
        self.told.append(("announce_pin", text))


class Pinner:
    def __init__(self) -> None:
        self.pinned: list[tuple[Client, str, bytes | None]] = []
        self.nothing_ran_for: list[Client] = []
        self.temporary = False

    def pin(self, client: Client, reason: str, statement: bytes | None) -> None:
        self.pinned.append((client, reason, statement))
        client.set_pinned(True)

    def nothing_ran(self, client: Client) -> None:
        self.nothing_ran_for.append(client)

    def has_temporary(self, client: Client) -> bool:
        return self.temporary


AUDIT = b"what does the session hold?"


class Auditor:
    """A session that holds a row is kept: its client is pinned."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def ask(self, client: Client) -> None:
        assert client.server is not None
        client.server.ask(AUDIT, self._answered)

    def _answered(self, server: Server, command: Command) -> None:
        self.commands.append(command)
        if command.rows and server.client is not None:
            server.client.set_pinned(True)


class Applications:
    """All clients are of one kind."""

    def __init__(self) -> None:
        self.application = Application()

    def of(self, client: Client) -> Application:
        return self.application


class Evacuations:
    """`needing`: texts that must wait until a test calls `Client.evacuated`."""

    def __init__(self) -> None:
        self.needing: set[bytes] = set()
        self.ended: list[Client] = []

    def waits(self, client: Client, text: bytes, reading: ReadingPort | None = None) -> bool:
        return text in self.needing

    def over(self, client: Client) -> None:
        self.ended.append(client)
        client.evacuation = None


class Sessions:
    def __init__(self) -> None:
        self.texts = Texts()
        self.pinner = Pinner()
        self.auditor = Auditor()
        self.applications = Applications()
        self.evacuations = Evacuations()
        self.greeting = b""
        self.ended: list[tuple[Client, str]] = []
        self.refused: list[bytes] = []  # what the database said of settings
        self.instead: SettingsPort | None = None  # ... and the settings that are tried then
        self.interrupted = False
        self.losses: list[Loss] = []
        self.may_be_repeated = True
        self.asked_to_repeat: list[bytes] = []
        self.repeated = 0
        self.outcome: int | None = None  # of lost connections: see `forebay.relay.loss`
        self.lost_error = errors.resolution_unknown(Severity.ERROR).encode()

    def parameters_known(self, client: Client) -> None:
        client.welcome(self.greeting)

    def settings_refused(self, client: Client, body: bytes) -> bool:
        self.refused.append(body)
        if self.instead is None:
            client.fail(message(b"E", body), "its settings were refused")
            return False
        client.settings, self.instead = self.instead, None
        return True

    def is_interrupted(self, body: bytes) -> bool:
        return self.interrupted

    def violated(self, client: Client, kind: int) -> bytes:
        return errors.protocol_violation(f"type {kind}").encode()

    def may_repeat(self, client: Client, statement: bytes) -> bool:
        self.asked_to_repeat.append(statement)
        return self.may_be_repeated

    def repeats(self, client: Client) -> None:
        self.repeated += 1

    def server_lost(self, client: Client, reason: str, loss: Loss) -> tuple[int, bytes]:
        """The client ends, unless a test says otherwise, or nothing was sent."""
        self.losses.append(loss)
        if self.outcome is not None:
            return self.outcome, self.lost_error
        is_hopeful = not (loss.sent or loss.unknown_session or loss.is_hopeless or client.pinned)
        if is_hopeful and loss.status == ord("I"):
            return WAITS, b""
        return (CUT_OFF if loss.half_forwarded else ENDS), errors.server_lost(reason).encode()

    def closed(self, client: Client, reason: str) -> None:
        self.ended.append((client, reason))


class Changeover:
    """A change-over to settings is one Query with their name, behind CHANGE."""

    def __init__(self) -> None:
        self.must_confirm = False
        self.failures: list[tuple[bytes, bool]] = []
        self.unreadable = False
        self.known = [PARAMETERS]

    def replay(self, server: Server, client: Client) -> tuple[bytes, bytes, bool]:
        name = as_settings(client.settings).name
        return query(f"CHANGE {name}"), guarded(name), self.must_confirm

    def replay_failed(self, server: Server, body: bytes, confirming: bool) -> None:
        self.failures.append((body, confirming))

    def reset(self, server: Server) -> None:
        server.run(b"DISCARD ALL", self._was_reset)

    def _was_reset(self, server: Server, command: Command) -> None:
        if command.error is None:
            server.was_reset(PLAIN)
        else:
            server.shut("it could not be reset")

    def rest(self, server: Server) -> None:
        server.run(b"REST", self._rests)

    def _rests(self, server: Server, command: Command) -> None:
        assert server.settings.at_rest is not None
        server.settings = server.settings.at_rest

    def parameter_changed(self, parameters: ParametersPort, body: bytes) -> Parameters:
        if self.unreadable:
            raise ValueError
        name, value = parse_parameter_status(body)
        changed = Parameters({**as_parameters(parameters).values, name: value})
        equal = [each for each in self.known if each.values == changed.values]
        self.known += [] if equal else [changed]
        return equal[0] if equal else changed

    def announce(self, client: Client, parameters: ParametersPort) -> None:
        client.say(parameters.changes_from(client.parameters))
        client.parameters = parameters


def guarded(name: str) -> bytes:
    """A change-over that the client's messages leave with."""
    guard = b"S_forebay_guard\0"
    return (
        message(b"C", guard) + query(f"CHANGE {name}") + message(b"D", guard) + message(b"C", guard)
    )


class Manager:
    def __init__(self) -> None:
        self.wanted_by: list[MicroPool] = []
        self.refused: list[Client] = []
        self.scheduled = 0
        self.taken: list[Server] = []
        self.lost: list[tuple[Server, str]] = []
        self.last_words: list[bytes] = []
        self.left: list[tuple[Server, bool]] = []  # whether their clients have vanished
        self.copies: list[Server] = []  # ended in their clients' places
        self.changes = 0
        self.seen: list[str] = []  # what was noticed
        self.has_stopped = True  # what a connection says when it is asked whether its server writes

    def wanted(self, pool: MicroPool) -> None:
        self.wanted_by.append(pool)

    def held_too_much(self, client: Client) -> None:
        self.refused.append(client)

    def schedule(self) -> None:
        self.scheduled += 1

    def take_away(self, server: Server) -> None:
        self.taken.append(server)
        server.shut("it was taken away")

    def server_lost(self, server: Server, reason: str) -> None:
        self.lost.append((server, reason))
        if server not in self.taken:
            server.pool.drop(server)

    def ended(self, server: Server, body: bytes) -> None:
        self.last_words.append(body)

    def noticed(self, server: Server, kind: str) -> None:
        self.seen.append(kind)

    def writes_query(self) -> bytes:
        return b"WRITES?"

    def has_stopped_writing(self, server: Server, command: Command) -> bool:
        server.retired = self.has_stopped
        return self.has_stopped

    def abandoned(self, server: Server, vanished: bool) -> None:
        self.left.append((server, vanished))

    def copy_failed(self, server: Server) -> None:
        self.copies.append(server)

    def schema_changed(self, pool: MicroPool) -> None:
        self.changes += 1
        pool.schema += 1


def as_settings(settings: SettingsPort) -> Settings:
    assert isinstance(settings, Settings)
    return settings


def as_parameters(parameters: ParametersPort) -> Parameters:
    assert isinstance(parameters, Parameters)
    return parameters
