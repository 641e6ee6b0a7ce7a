"""What a client's statements mean and what they may do to its session, by their texts.

The relay's clients call in here for what is rare or slow (see relay/ports.py).
"""

import math
from itertools import groupby
from operator import attrgetter

from forebay.protocol import errors
from forebay.relay import PREFIX, Client, Statement
from forebay.relay.ports import ParametersPort, ReadingPort
from forebay.relay.scan.glance import glance_text
from forebay.relay.statements.statement import Account
from forebay.session.causes import STATEMENT_LIMIT_BYTES, PinReason
from forebay.session.deallocation import drops_all, drops_ours
from forebay.session.meaning import Context, changes_plans, changes_since, unlike_others
from forebay.session.pins import note_effects
from forebay.session.rds import rds_explanation, rds_pin
from forebay.session.restoration import follow_up, taken_back
from forebay.sql.databases import may_use_databases
from forebay.sql.effects import Command, Effect, Effects
from forebay.sql.facts import Facts, FactsCache, too_long
from forebay.sql.sequences import may_ask, may_draw, only_draws
from forebay.sql.settings import SettingChange
from forebay.worker.kept import (
    as_parameters,
    as_reading,
    known_notes,
    notes_of,
    reading_of,
    settings_of,
    startup_of,
)
from forebay.worker.sessions import telling
from forebay.worker.sessions.applications import Applications
from forebay.worker.sessions.functions import NOTHING_SOUGHT, SoughtFunctions
from forebay.worker.sessions.pinner import Pinner, digest_of
from forebay.worker.sessions.statements import StatementTable, reread_definition

# Longer statements are not read by the lexer, which would hold up all other clients.
EXAMINED_BYTES = STATEMENT_LIMIT_BYTES
# Of a statement, for the log.
KEPT_BYTES = 1024
# How often it is told that there is no room for more statements.
TELL_AGAIN_S = 60.0


class Texts:
    """Reads the statements of one proxy's clients."""

    def __init__(self, pinner: Pinner, applications: Applications) -> None:
        self._pinner = pinner
        self._applications = applications
        self._facts = FactsCache()
        self._statements = StatementTable()
        self._listed = NOTHING_SOUGHT
        self._refused = 0  # statements for which there was no room, since that was told
        self._tell_refused_at = -math.inf

    def look_for(self, listed: SoughtFunctions) -> None:
        """Know that these functions do what the operator says."""
        self._listed = listed
        self._facts = FactsCache(functions=listed.functions)
        self._statements.look_for(listed.names)

    # ---- prepared statements ----

    def statement(self, client: Client, definition: bytes) -> Statement | None:
        """Returns the statement that the client's Parse defines; None if there is no room for
        it."""
        statement = self._statements.statement(definition, self._context(client))
        if self._pinner.as_rds and not client.pinned and statement is not None:
            self.announce_pin(client, statement.text, named=True)
        return statement

    def again(self, client: Client, statement: Statement) -> Statement | None:
        """Returns the statement as which one that the client has defined before is to be prepared
        now; None if it cannot be."""
        return self._statements.again(statement, self._context(client))

    def no_room(self, client: Client) -> bytes:
        """The error for a client whose statement there is no room for."""
        limit = self.account.limit
        self._refused += 1
        if self._pinner.now() >= self._tell_refused_at:
            telling.no_room_for_statements(client, limit, self._refused)
            self._refused, self._tell_refused_at = 0, self._pinner.now() + TELL_AGAIN_S
        return errors.statements_full(limit).encode()

    def with_types(self, statement: Statement, tail: bytes) -> Statement:
        """The statement that means the same as `statement`, but has other types of parameters, in
        what is behind its text."""
        return self._statements.with_tail(statement, tail)

    @property
    def account(self) -> Account:
        """The account of the prepared statements of all clients of this process, those of other
        proxies too."""
        return self._statements.account

    def reread(
        self, definition: bytes, before: ParametersPort, now: ParametersPort
    ) -> bytes | None:
        """The definition that means the same where the database reports these parameters now; None:
        there is none."""
        return reread_definition(
            definition, as_parameters(before).reading, as_parameters(now).reading
        )

    def _context(self, client: Client) -> Context:
        """What the client's texts depend on now."""
        notes = known_notes(client)
        held = notes is not None and PinReason.TEMPORARY_OBJECT in notes.held
        # As RDS Proxy, Forebay does not follow what a client sets once it is pinned.
        is_own = held or (client.pinned and self._pinner.as_rds)
        own = client.process_id if is_own else None
        pool = client.pool.database, client.pool.user
        return Context(pool, settings_of(client), client.meanwhile, own, reading_of(client))

    def undone(self, client: Client) -> None:
        """Note that it is not known any more what the client has changed in its transaction."""
        client.meanwhile = unlike_others()

    # ---- what runs ----

    def binds(
        self,
        client: Client,
        text: bytes,
        named: bool,
        reading: ReadingPort | None = None,
        pg_temp: bool = True,
    ) -> bool:
        """As ``examine``, for a portal that is bound. Returns whether anything follows when it is
        executed (``executes``)."""
        self.examine(client, text, named, reading, pg_temp)
        if len(text) > EXAMINED_BYTES:
            return False
        return bool(self.facts(client, text, reading).effects) or may_use_databases(text)

    def executes(self, client: Client, text: bytes, reading: ReadingPort | None = None) -> None:
        """A statement runs that may change the session: tell the client what follows for what it
        sends behind it, before it is answered."""
        if len(text) <= EXAMINED_BYTES:
            self._note_consequences(client, self.facts(client, text, reading).effects)

    def examine(
        self,
        client: Client,
        text: bytes,
        named: bool = False,
        reading: ReadingPort | None = None,
        pg_temp: bool = True,
    ) -> bytes | None:
        """A statement is about to run that may change the session, or whose client is pinned.

        `named`: it was prepared by protocol, with a name. `reading`: as the text was read when it
        was prepared, if that matters. `pg_temp`: that may stand in what is bound. Returns the name
        in a DEALLOCATE of a statement that the client has prepared so: the database knows it by
        another name. Else None.
        """
        if len(text) > EXAMINED_BYTES:
            if client.reads_all:
                self.is_not_read(client, text)
            if not (client.pinned or client.reads_all) or not self._listed.is_certain(text):
                self._pinner.pin(client, PinReason.STATEMENT_TOO_LONG, text[:KEPT_BYTES])
            return None
        facts = self.facts(client, text, reading)
        self._note_sequences(client, facts)
        if self._pinner.as_rds:
            return self._examine_as_rds(client, facts, named)
        if not client.under_pg_temp and _goes_under_pg_temp(client, facts.effects, pg_temp):
            client.under_pg_temp = client.reads_all = True
            facts = self.facts(client, text, reading)
        effects = tuple(
            effect for effect in facts.effects if not (effect.is_contained or only_draws(effect))
        )
        if not effects and not _may_end_pin(client, text):
            return None
        if client.statements and facts.deallocated in client.statements:
            return facts.deallocated
        client.suspect = True
        if effects:
            notes = notes_of(client)
            for number, its in groupby(effects, attrgetter("statement")):
                notes.statement = facts.statement(number)[:KEPT_BYTES]
                note_effects(notes, tuple(its), self._listed)
            self._pinner.update(client, notes)
        return None

    def is_not_read(self, client: Client, text: bytes) -> None:
        """A statement that is too long to be read runs where all statements are to be."""
        text = text[:KEPT_BYTES]
        if client.under_pg_temp:
            client.suspect = True
            notes = notes_of(client)
            notes.statement = text
            notes.doubt_creation()
        self._note_sequences(client, too_long(text))

    def asks(self, client: Client, text: bytes, reading: ReadingPort | None = None) -> bool:
        """Whether a statement that is about to run may ask what its session has drawn from
        sequences, as far as its text shows. `reading`: as it was read when it was prepared."""
        if len(text) > EXAMINED_BYTES:
            return may_ask(text)
        return self.facts(client, text, reading).may_ask

    def _note_sequences(self, client: Client, facts: Facts) -> None:
        """Note that a statement draws from sequences, or asks what was drawn. Clients of an
        application that asks keep their connection once they have drawn."""
        if facts.asks:
            self._applications.learn(client)
            client.reads_all = client.reads_all or not self._pinner.as_rds
        client.prefers_last = client.prefers_last or facts.draws or client.application.asks
        if not client.application.asks or self._pinner.as_rds:
            return
        if facts.draws or may_draw(facts.text):
            notes = notes_of(client)
            notes.keep_drawn(facts.text[:KEPT_BYTES])
            self._pinner.update(client, notes)

    def _note_consequences(self, client: Client, effects: Effects) -> None:
        client.meanwhile = changes_since(client.meanwhile, effects)
        if client.server is not None and changes_plans(effects):
            client.server.plans_mixed = client.server.plans_stale = True
        if any(map(drops_all, effects)):
            client.note_dropping()
        if client.server is not None and any(drops_ours(effect, PREFIX) for effect in effects):
            client.server.stale = True
        startup = startup_of(client).values
        if not startup or not effects:
            return
        before = {} if client.follow_up is None else notes_of(client).restored
        restored = taken_back(before, effects, startup)
        if restored != before:
            notes_of(client).restored = restored
            client.follow_up = follow_up(restored, startup) if restored else None

    def facts(self, client: Client, text: bytes, reading: ReadingPort | None = None) -> Facts:
        """What a text of the client shows. `reading`: as it was read when it was prepared, if that
        matters."""
        return self._facts.facts(
            text, as_reading(reading) or reading_of(client), client.under_pg_temp
        )

    def _examine_as_rds(self, client: Client, facts: Facts, named: bool) -> bytes | None:
        """Pin by the text alone, and until the client leaves: nothing has to be asked for."""
        if not client.pinned:
            reason = rds_pin(facts, named=named)
            if reason is not None:
                notes = notes_of(client)
                notes.statement = facts.text[:KEPT_BYTES]
                notes.tie(reason)
                self._pinner.update(client, notes, named)
        name = facts.deallocated
        return name if client.statements and name in client.statements else None

    def announce_pin(self, client: Client, text: bytes, *, named: bool = False) -> None:
        """Tell of a statement that is prepared that it will pin, as RDS Proxy does."""
        is_read = len(text) <= STATEMENT_LIMIT_BYTES
        facts = self.facts(client, text) if is_read else too_long(text)
        reason = rds_pin(facts, named=named)
        if reason is not None:
            said = rds_explanation(reason, named=named)
            telling.will_pin(client, reason, said, digest_of(client, text[:KEPT_BYTES]))


def _goes_under_pg_temp(client: Client, effects: Effects, pg_temp: bool) -> bool:
    """Whether the search_path names pg_temp behind a statement, or may. `pg_temp`: so may what is
    bound."""
    changes = [each.detail for each in effects if isinstance(each.detail, SettingChange)]
    if any(change.may_name_pg_temp(pg_temp) for change in changes):
        return True
    # Taken back, it is the login's, or what the connection began with.
    server = client.server
    of_old = client.startup.under_pg_temp or (server is not None and server.begins_under_pg_temp)
    return bool(of_old) and any(map(_resets_search_path, effects))


def _resets_search_path(effect: Effect) -> bool:
    detail = effect.detail
    if isinstance(detail, Command):
        return (detail.command, detail.name) == ("DISCARD", "all")
    return isinstance(detail, SettingChange) and detail.resets_search_path


def _may_end_pin(client: Client, text: bytes) -> bool:
    """Whether a statement without effects may end what pins its client (DROP, CLOSE ...)."""
    notes = known_notes(client)
    if notes is None or not notes.held:
        return False
    if PinReason.SETTING in notes.held:
        return True  # what the session holds could not be asked yet
    closes = PinReason.CURSOR in notes.held and b"close" in text.lower()
    return closes or not glance_text(text)
