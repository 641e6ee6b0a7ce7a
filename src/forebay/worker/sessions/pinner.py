"""Lets pins begin and end, tells of them, and counts them."""

from forebay.relay import Client
from forebay.session.causes import OUTLASTING, PinReason
from forebay.session.pins import Notes, PinCounts
from forebay.session.rds import rds_explanation
from forebay.sql.digest import digest
from forebay.worker.agenda import Agenda
from forebay.worker.kept import application_of, known_notes, notes_of, reading_of
from forebay.worker.sessions import telling
from forebay.worker.sessions.pin_book import PinBook


class Pinner:
    """The pins of one proxy's clients. `as_rds`: they are told of in RDS Proxy's words."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self.counts = PinCounts()
        self.book = PinBook()
        self.as_rds = False

    def now(self) -> float:
        """Seconds, monotonic."""
        return self._agenda.now()

    def pin(self, client: Client, reason: str, statement: bytes | None) -> None:
        """Pin the client until it leaves, for a reason that is no statement's to end."""
        notes = notes_of(client)
        if self.as_rds and notes.lasting:
            return  # RDS Proxy pins once
        if statement is None:
            notes.lasting.add(PinReason.of(reason))
        else:
            notes.statement = statement
            notes.tie(PinReason.of(reason))
        client.suspect = True
        self.update(client, notes)

    def update(self, client: Client, notes: Notes, named: bool = False) -> None:
        """Begin and end pins, so that the client is pinned for the reasons in `notes` alone, and
        tell the log of each. `named`: the statement was prepared by protocol, with a name."""
        reasons = notes.reasons
        client.set_pinned(bool(reasons))
        if client.server is not None and not OUTLASTING.isdisjoint(reasons):
            client.server.retired = True
        now = self._agenda.now()
        for reason in reasons - notes.pinned_at.keys():
            notes.pinned_at[reason] = now
            self.counts.begin(reason)
            quoted = digest_of(client, notes.causes.get(reason, b""))
            application = application_of(client)
            self.book.begin(client.process_id, reason, quoted, application, now)
            if self.as_rds:
                telling.pinned(client, reason, rds_explanation(reason, named=named), quoted)
            else:
                said, until = reason.cause.sentence, notes.end_of(reason)
                telling.pinned(client, reason, said, quoted, until)
        for reason in notes.pinned_at.keys() - reasons:
            duration_s = now - notes.pinned_at.pop(reason)
            self.counts.end(reason, duration_s)
            self.book.end(client.process_id, reason, now)
            telling.no_longer_pinned(client, reason, duration_s)

    def nothing_ran(self, client: Client) -> None:
        """What the client sent last was skipped. It holds no connection: nothing pins it."""
        notes = notes_of(client)
        notes.forget()
        self.update(client, notes)

    def has_temporary(self, client: Client) -> bool:
        """Whether the client may have temporary tables, as far as texts and the database told."""
        notes = known_notes(client)
        return notes is not None and PinReason.TEMPORARY_OBJECT in notes.doubts | notes.reasons

    def closed(self, client: Client) -> None:
        """The client has ended, and its pins with it."""
        notes = known_notes(client)
        if notes is not None:
            now = self._agenda.now()
            for reason, since in notes.pinned_at.items():
                self.counts.end(reason, now - since)
                self.book.end(client.process_id, reason, now)
                if not self.as_rds:
                    telling.no_longer_pinned(client, reason, now - since, has_left=True)


def digest_of(client: Client, text: bytes) -> str:
    """The digest of a statement that the client sends now."""
    conforming = reading_of(client).standard_conforming_strings
    return digest(text, standard_conforming_strings=conforming)
