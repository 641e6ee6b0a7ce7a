"""The clients of one proxy: greets them, decides what pins them, ends them, and counts them.

The relay's clients call in here for what is rare or slow (see relay/client.pyx).
"""

import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass
from functools import partial

from forebay.config.settings import Pinning
from forebay.protocol import errors
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import backend_key_data, parse_data_row, ready_for_query
from forebay.sql.digest import digest
from forebay.sql.effects import Effects, EffectsCache
from forebay.sql.reading import Reading
from forebay.sql.settings import makes_temporary
from forebay.worker.agenda import Agenda
from forebay.worker.login import LoggedIn
from forebay.worker.relay import Client, Command, MicroPool, Server, Statement
from forebay.worker.relay.glance import glance_text
from forebay.worker.session import telling
from forebay.worker.session.audit import NOT_SET, VALUE_CHARACTERS, audit_query, read_audit
from forebay.worker.session.deallocation import deallocated, drops_all, drops_ours
from forebay.worker.session.functions import NOTHING_LISTED, Listed
from forebay.worker.session.greetings import Greetings
from forebay.worker.session.meaning import Context, Unknown, changes_since
from forebay.worker.session.pins import (
    EXPLANATIONS,
    OUTLASTING,
    Notes,
    PinCounts,
    PinReason,
    note_effects,
)
from forebay.worker.session.rds import STATEMENT_LIMIT_BYTES, rds_explanation, rds_pin
from forebay.worker.session.replays import without_refused
from forebay.worker.session.restoration import follow_up, taken_back
from forebay.worker.session.settings import (
    RESET_BY_CLIENT,
    InternTable,
    Parameters,
    Values,
)
from forebay.worker.session.statements import StatementTable, reread_definition

logger = logging.getLogger("forebay.session")

# A client that is told why it ends may take so long to receive it.
LAST_WORD_S = 5.0
# Cancel keys: four bytes in protocol 3.0, up to 256 in 3.2.
SHORT_KEY_BYTES = 4
LONG_KEY_BYTES = 32
# Longer statements are not read by the lexer, which would hold up all other clients.
EXAMINED_BYTES = STATEMENT_LIMIT_BYTES
# Of a statement, for the log.
KEPT_BYTES = 1024
# Encodings in which the second byte of a character may look like a backslash: what an escape string
# holds cannot be read with certainty.
AMBIGUOUS_ENCODINGS = frozenset(
    {"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB"}
)


@dataclass(slots=True)
class Counts:
    """What has happened to the clients of a proxy since the worker started."""

    received: int = 0
    succeeded: int = 0
    failed: int = 0
    closed: int = 0


class Sessions:
    """The logged-in clients of one proxy."""

    def __init__(self, agenda: Agenda, intern: InternTable) -> None:
        self._agenda = agenda
        self._intern = intern
        self._effects = EffectsCache()
        self.greetings = Greetings(intern)
        self._secret = secrets.token_bytes(32)
        self._next_process_id = 1 + secrets.randbelow(2**30)
        self.clients: dict[int, Client] = {}
        self.counts = Counts()
        self.pins = PinCounts()
        self._statements = StatementTable()
        self._as_rds = False
        self._listed = NOTHING_LISTED

    def apply(self, pinning: Pinning, listed: Listed = NOTHING_LISTED) -> None:
        """Pin as seldom as possible, or as RDS Proxy does, and look for the functions that are
        listed; what is pinned stays so."""
        self._as_rds = pinning == "rds"
        self._listed = listed
        self._effects = EffectsCache(functions=listed.functions)
        self._statements.look_for(listed.names)
        for client in self.clients.values():
            client.strict = self._as_rds
            client.look_for(listed.names)

    # ---- coming ----

    def admit(self, login: LoggedIn, pool: MicroPool) -> Client:
        """Hand a client that has logged in to the relay. Its greeting is sent when its parameters
        are known: from the cache, or from a connection with its settings."""
        detached = login.stream.detach()
        settings = self._intern.settings(login.settings)
        client = Client(
            self._agenda.poller,
            detached.fd,
            pool,
            self,
            self._new_process_id(),
            settings=settings,
            parameters=self.greetings.parameters(pool, login.settings),
            tls=detached.sslobj,
            incoming=detached.incoming,
            outgoing=detached.outgoing,
        )
        client.protocol_minor = login.protocol_minor
        client.strict = self._as_rds
        client.look_for(self._listed.names)
        self.clients[client.process_id] = client
        pool.clients += 1
        client.put_off(detached.unsent)
        client.start(detached.leftover)
        client.push()
        return client

    def _new_process_id(self) -> int:
        """A number that no living client has; not reused before two billion others."""
        while True:
            number = self._next_process_id
            self._next_process_id = number % (2**31 - 1) + 1
            if number not in self.clients:
                return number

    def parameters_known(self, client: Client) -> None:
        """The login can be answered."""
        self.greetings.remember(client.pool, client.settings.values, client.parameters)
        key = backend_key_data(client.process_id, self.cancel_key(client))
        self.counts.succeeded += 1
        client.welcome(client.parameters.encoded + key + ready_for_query(b"I"))

    # ---- cancelling ----

    def cancel_key(self, client: Client) -> bytes:
        """The secret that a cancel request for this client must show."""
        length = LONG_KEY_BYTES if client.protocol_minor >= 2 else SHORT_KEY_BYTES
        number = client.process_id.to_bytes(4, "big")
        return hmac.digest(self._secret, number, hashlib.sha256)[:length]

    def find(self, process_id: int, key: bytes) -> Client | None:
        """The client that a cancel request names, if it shows the right key."""
        client = self.clients.get(process_id)
        if client is None or not hmac.compare_digest(self.cancel_key(client), key):
            return None
        return client

    # ---- what the relay asks ----

    def statement(self, client: Client, definition: bytes) -> Statement:
        """The statement that the client's Parse defines."""
        statement = self._statements.statement(definition, self._context(client))
        if self._as_rds and not client.pinned:
            self.announce_pin(client, statement.text, named=True)
        return statement

    def again(self, client: Client, statement: Statement) -> Statement | None:
        """As which statement one that the client has defined is prepared now; None: as none."""
        return self._statements.again(statement, self._context(client))

    def reread(self, definition: bytes, before: Parameters, now: Parameters) -> bytes | None:
        """The definition that means the same where the database reports these parameters now; None:
        there is none."""
        return reread_definition(definition, before.reading, now.reading)

    def _context(self, client: Client) -> Context:
        """What the client's texts depend on now."""
        held = client.notes is not None and PinReason.TEMPORARY_OBJECT in client.notes.held
        own = client.process_id if held else None
        pool = client.pool.database, client.pool.user
        return Context(pool, client.settings, client.meanwhile, own, _reading(client))

    def undone(self, client: Client) -> None:
        """Some of what the client has changed in its transaction may not hold any more."""
        client.meanwhile = (Unknown(),)

    def binds(
        self, client: Client, text: bytes, named: bool, reading: Reading | None = None
    ) -> bool:
        """As ``examine``, for a portal that is bound. Returns whether anything follows when it is
        executed (``executes``)."""
        self.examine(client, text, named, reading)
        return len(text) <= EXAMINED_BYTES and bool(self._read(client, text, reading))

    def executes(self, client: Client, text: bytes, reading: Reading | None = None) -> None:
        """A statement runs that may change the session: tell the client what follows for what it
        sends behind it, before it is answered."""
        if len(text) <= EXAMINED_BYTES:
            self._note_consequences(client, text, self._read(client, text, reading))

    def examine(
        self, client: Client, text: bytes, named: bool = False, reading: Reading | None = None
    ) -> bytes | None:
        """A statement is about to run that may change the session, or whose client is pinned.

        `named`: it was prepared by protocol, with a name. `reading`: as the text was read when it
        was prepared, if that matters. Returns the name in a DEALLOCATE of a statement that the
        client has prepared so: the database knows it by another name. Else None.
        """
        if len(text) > EXAMINED_BYTES:
            if not client.pinned or not self._listed.is_certain(text):
                self.pin(client, PinReason.STATEMENT_TOO_LONG, text[:KEPT_BYTES])
            return None
        effects = self._read(client, text, reading)
        if self._as_rds:
            return self._examine_as_rds(client, effects, text, named)
        effects = tuple(effect for effect in effects if not effect.is_contained)
        if not effects and not _may_end_pin(client, text):
            return None
        name = deallocated(effects, text)
        if client.statements and name in client.statements:
            return name
        client.suspect = True
        if effects:
            notes = self._notes(client)
            notes.statement = text[:KEPT_BYTES]
            note_effects(notes, effects, self._listed)
            self._update_pins(client, notes)
        return None

    def _note_consequences(self, client: Client, text: bytes, effects: Effects) -> None:
        client.meanwhile = changes_since(client.meanwhile, text, effects)
        if any(map(drops_all, effects)):
            client.note_dropping()
        if client.server is not None and any(map(drops_ours, effects)):
            client.server.stale = True
        startup = client.startup.values
        if not startup or not effects:
            return
        before = {} if client.follow_up is None else self._notes(client).restored
        restored = taken_back(before, effects, startup)
        if restored != before:
            self._notes(client).restored = restored
            client.follow_up = follow_up(restored, startup) if restored else None

    def _read(self, client: Client, text: bytes, reading: Reading | None = None) -> Effects:
        encoding, conforming = reading or _reading(client)
        return self._effects.effects(
            text,
            standard_conforming_strings=conforming,
            ambiguous_encoding=encoding in AMBIGUOUS_ENCODINGS,
        )

    def _examine_as_rds(
        self, client: Client, effects: Effects, text: bytes, named: bool
    ) -> bytes | None:
        """Pin by the text alone, and until the client leaves: nothing has to be asked for."""
        if not client.pinned:
            conforming = _conforms(client)
            reason = rds_pin(effects, text, named=named, standard_conforming_strings=conforming)
            if reason is not None:
                notes = self._notes(client)
                notes.statement = text[:KEPT_BYTES]
                notes.lasting.add(reason)
                self._update_pins(client, notes, named)
        name = deallocated(effects, text)
        return name if client.statements and name in client.statements else None

    def announce_pin(self, client: Client, text: bytes, *, named: bool = False) -> None:
        """Tell of a statement that is prepared that it will pin, as RDS Proxy does."""
        short = text[: STATEMENT_LIMIT_BYTES + 1]
        effects = self._read(client, short) if len(text) <= STATEMENT_LIMIT_BYTES else ()
        conforming = _conforms(client)
        reason = rds_pin(effects, short, named=named, standard_conforming_strings=conforming)
        if reason is not None:
            said = rds_explanation(reason, named=named)
            telling.will_pin(client, reason, said, _digest(client, text[:KEPT_BYTES]))

    def pin(self, client: Client, reason: str, statement: bytes | None) -> None:
        """Pin the client until it leaves, for a reason that is no statement's to end."""
        notes = self._notes(client)
        if self._as_rds and notes.lasting:
            return  # RDS Proxy pins once
        if statement is not None:
            notes.statement = statement
        notes.lasting.add(PinReason(reason))
        client.suspect = True
        self._update_pins(client, notes)

    def has_temporary(self, client: Client) -> bool:
        """Whether the client may have temporary tables, as far as texts and the database told."""
        notes = client.notes
        return notes is not None and PinReason.TEMPORARY_OBJECT in notes.doubts | notes.reasons

    def ask(self, client: Client) -> None:
        """Ask the database what the client's session holds, now that its transaction is over."""
        notes = self._notes(client)
        causes = frozenset(notes.doubts | notes.held)
        notes.doubts.clear()
        # The database must also be asked for those it was logged in with: what the answer lacks is
        # taken to be gone from the connection, which the next client gets.
        custom = notes.custom.union(name for name, _ in client.settings.values if "." in name)
        # What the answer lacks of those it logged in with is taken to be as it was at the login.
        custom |= {name for name, _ in client.startup.values if "." in name or name == "role"}
        query = audit_query(client.pool.user, causes, frozenset(custom))
        server = client.server
        if server is not None:
            server.ask(query, partial(self._answered, client, notes))

    def _answered(self, client: Client, notes: Notes, server: Server, command: Command) -> None:
        """The session's state is known: take over its settings, and begin and end pins."""
        if server.client is not client:
            return
        notes.count_discards(server.sequences_discarded)
        server.sequences_discarded = 0
        try:
            if command.error is not None:
                raise ValueError(PgError.parse(command.error).message)
            values, notes.held = read_audit(parse_data_row(row) for row in command.rows)
            if makes_temporary(dict(values).get("search_path", "")):
                notes.lasting.add(PinReason.SETTING)  # any CREATE TABLE, any SELECT INTO may do so
            if any(len(value) > VALUE_CHARACTERS for _, value in values):
                notes.lasting.add(PinReason.TOO_MANY_SETTINGS)
                values = tuple(pair for pair in values if len(pair[1]) <= VALUE_CHARACTERS)
        except ValueError as error:
            logger.warning("The state of a session is not known, so it is pinned: %s", error)
            notes.lasting.add(PinReason.SETTING)
        else:
            self._take_over(client, notes, server, values)
        self._update_pins(client, notes)
        notes.causes.clear()

    def _take_over(self, client: Client, notes: Notes, server: Server, values: Values) -> None:
        """Know the settings that the session has by now."""
        again = RESET_BY_CLIENT if notes.resets and client.pool.changeover.has_init_query else ()
        notes.resets = False
        server.settings = self._intern.settings(values + again)
        # What was reset is again what the client asked for at its login.
        restored, notes.restored = notes.restored, {}
        merged = dict(client.startup.values)
        merged |= {
            name: value for name, value in values if name not in restored or value not in NOT_SET
        }
        before = client.settings.literals, client.parameters.reading
        client.settings = self._intern.settings(tuple(sorted(merged.items())))
        client.parameters = server.parameters
        now = client.settings.literals, client.parameters.reading
        if client.statements and now != before:
            for name, old in list(client.statements.items()):
                client.redefine(name, self.again(client, old))

    def _notes(self, client: Client) -> Notes:
        if client.notes is None:
            client.notes = Notes()
        return client.notes

    def _update_pins(self, client: Client, notes: Notes, named: bool = False) -> None:
        """Let pins begin and end as the reasons do, and say so."""
        reasons = notes.reasons
        client.set_pinned(bool(reasons))
        if client.server is not None and not OUTLASTING.isdisjoint(reasons):
            client.server.retired = True
        now = self._agenda.now()
        for reason in reasons - notes.pinned_at.keys():
            notes.pinned_at[reason] = now
            self.pins.begin(reason)
            said = rds_explanation(reason, named=named) if self._as_rds else EXPLANATIONS[reason]
            statement = notes.causes.get(reason, notes.statement)
            telling.pinned(client, reason, said, _digest(client, statement))
        for reason in notes.pinned_at.keys() - reasons:
            duration_s = now - notes.pinned_at.pop(reason)
            self.pins.end(reason, duration_s)
            telling.no_longer_pinned(client, reason, duration_s)

    def settings_refused(self, client: Client, body: bytes) -> bool:
        """The database did not accept the client's settings. Returns whether it asks for others by
        now; else it has heard why."""
        error = PgError.parse(body)
        kept = without_refused(client.settings.values, client.startup.values, error.message)
        if kept != client.settings.values:
            client.settings = self._intern.settings(kept)
            return True
        if client.greeted:
            client.answer(error.with_severity(Severity.ERROR).encode())
        else:
            client.fail(error.with_severity(Severity.FATAL).encode(), error.message)
        return False

    def violated(self, client: Client, kind: int) -> bytes:
        """The error for a message that PostgreSQL would not read."""
        return errors.protocol_violation(f"invalid frontend message type {kind} or length").encode()

    def server_lost(self, client: Client, reason: str) -> bytes:
        """The error for a client whose connection is gone."""
        return errors.server_lost(reason).encode()

    def closed(self, client: Client, reason: str) -> None:
        """The client has ended."""
        del self.clients[client.process_id]
        if client.notes is not None:
            now = self._agenda.now()
            for code, since in client.notes.pinned_at.items():
                self.pins.end(code, now - since)
        client.pool.clients -= 1
        self.counts.closed += 1
        telling.closed(client, reason)
        if not client.is_closed:
            self._agenda.later(LAST_WORD_S, client.drop)


def _conforms(client: Client) -> bool:
    return _reading(client).standard_conforming_strings


def _digest(client: Client, text: bytes) -> str:
    return digest(text, standard_conforming_strings=_conforms(client))


def _reading(client: Client) -> Reading:
    return client.parameters_now().reading


def _may_end_pin(client: Client, text: bytes) -> bool:
    """Whether a statement without effects may end what pins its client (DROP, CLOSE ...)."""
    if client.notes is None or not client.notes.held:
        return False
    closes = PinReason.CURSOR in client.notes.held and b"close" in text.lower()
    return closes or not glance_text(text)
