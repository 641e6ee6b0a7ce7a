"""Asks the database what a client's session holds, and takes that over."""

import logging
from dataclasses import dataclass, replace
from functools import partial

from forebay.protocol.errors import PgError
from forebay.protocol.messages import parse_data_row
from forebay.relay import Client, Command, Server
from forebay.session.audit import VALUE_CHARACTERS, audit_query, read_audit
from forebay.session.causes import PinReason
from forebay.session.pins import Notes
from forebay.session.settings import (
    RESET_BY_CLIENT,
    WITHOUT_TIMEOUT,
    InternTable,
    Values,
)
from forebay.session.special import is_asked_by_name, is_unset
from forebay.sql.settings import makes_temporary
from forebay.worker.agenda import Agenda
from forebay.worker.kept import changeover_of, notes_of, settings_of, startup_of
from forebay.worker.sessions.pinner import Pinner
from forebay.worker.sessions.texts import Texts

logger = logging.getLogger("forebay.session")


# How often the same is asked at once if the question is cut short, and how much later again.
ASKED_LIMIT = 5
ASK_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class _Question:
    """What was asked, and how often."""

    notes: Notes
    query: bytes
    causes: frozenset[PinReason]
    times: int = 1


class Auditor:
    """Knows what the sessions of one proxy's clients hold when their transactions are over."""

    def __init__(self, agenda: Agenda, intern: InternTable, texts: Texts, pinner: Pinner) -> None:
        self._agenda = agenda
        self._intern = intern
        self._texts = texts
        self._pinner = pinner

    def ask(self, client: Client) -> None:
        """Ask the database what the client's session holds, now that its transaction is over."""
        notes = notes_of(client)
        causes = notes.take_doubts()
        # The database must also be asked for those it was logged in with: what the answer lacks is
        # taken to be gone from the connection, which the next client gets.
        custom = notes.custom.union(name for name, _ in settings_of(client).values if "." in name)
        # What the answer lacks of those it logged in with is taken to be as it was at the login.
        custom |= {name for name, _ in startup_of(client).values if is_asked_by_name(name)}
        query = audit_query(client.pool.user, causes, frozenset(custom))
        if client.server is not None:
            client.server.ask(
                query, partial(self._answered, client, _Question(notes, query, causes))
            )

    def _answered(
        self, client: Client, question: "_Question", server: Server, command: Command
    ) -> None:
        if server.client is not client:
            return
        if command.error is None or not PgError.parse(command.error).is_interrupted:
            self._note_answer(client, question.notes, server, command)
        elif question.times < ASKED_LIMIT:
            # A cancel or a timeout has hit the question, which says nothing about the session.
            again = replace(question, times=question.times + 1)
            server.ask(
                WITHOUT_TIMEOUT.encode() + question.query, partial(self._answered, client, again)
            )
        else:
            question.notes.doubts |= question.causes
            question.notes.held |= {PinReason.SETTING}  # until the next answer
            self._pinner.update(client, question.notes)
            self._agenda.later(ASK_AGAIN_S, self._ask_again, client, server, question.notes)

    def _ask_again(self, client: Client, server: Server, notes: Notes) -> None:
        """Ask what could not be asked for lately, unless something else has."""
        if server.client is client and PinReason.SETTING in notes.held:
            client.suspect = True
            server.look_again()

    def _note_answer(self, client: Client, notes: Notes, server: Server, command: Command) -> None:
        """The session's state is known: take over its settings, and begin and end pins."""
        notes.count_discards(server.lease.sequences_discarded)
        server.lease.sequences_discarded = 0
        try:
            if command.error is not None:
                raise ValueError(PgError.parse(command.error).message)
            values, notes.held = read_audit(parse_data_row(row) for row in command.rows)
            if command.is_cut:
                notes.lasting.add(PinReason.TOO_MANY_SETTINGS)
                raise ValueError("there is more of it than is read")
            path = dict(values).get("search_path", "")
            if makes_temporary(path) and path != server.search_path:
                notes.lasting.add(PinReason.SETTING)  # any CREATE TABLE, any SELECT INTO may do so
            if any(len(value) > VALUE_CHARACTERS for _, value in values):
                notes.lasting.add(PinReason.TOO_MANY_SETTINGS)
                values = tuple(pair for pair in values if len(pair[1]) <= VALUE_CHARACTERS)
        except ValueError as error:
            logger.warning("The state of a session is not known, so it is pinned: %s", error)
            notes.lasting.add(PinReason.SETTING)
        else:
            self._take_over(client, notes, server, values)
        self._pinner.update(client, notes)
        notes.causes.clear()

    def _take_over(self, client: Client, notes: Notes, server: Server, values: Values) -> None:
        """Know the settings that the session has by now."""
        again = (
            RESET_BY_CLIENT if notes.resets and changeover_of(client.pool).has_init_query else ()
        )
        notes.resets = False
        server.settings = self._intern.settings(values + again)
        # What was reset is again what the client asked for at its login.
        restored, notes.restored = notes.restored, {}
        merged = dict(startup_of(client).values)
        merged |= {
            name: value
            for name, value in values
            if name not in restored or not is_unset(name, value)
        }
        before = settings_of(client).literals, client.parameters.reading
        client.settings = self._intern.settings(tuple(sorted(merged.items())))
        client.parameters = server.parameters
        now = settings_of(client).literals, client.parameters.reading
        if client.statements and now != before:
            for name, old in list(client.statements.items()):
                client.redefine(name, self._texts.again(client, old))
