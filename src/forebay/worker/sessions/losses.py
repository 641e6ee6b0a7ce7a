"""Decides what becomes of clients whose database connections are lost, and counts it."""

import re
from collections import Counter

from forebay.protocol import errors
from forebay.protocol.errors import PgError, Severity
from forebay.relay import Client, Loss
from forebay.relay.loss import CUT_OFF, ENDS, STAYS, STAYS_ABORTED, WAITS
from forebay.relay.scan.control import BEGINS_BIT, ENDS_BIT, HIDES_BIT, SEVERAL_BIT
from forebay.session.causes import PinReason
from forebay.session.fate import Exchange, Fate, InTransactionError, Reason, fate, may_replay
from forebay.worker.kept import known_notes

# What a rollback does not take back, of what the database is asked for.
OUTLASTING_ROLLBACK = frozenset({PinReason.ADVISORY_LOCK, PinReason.PREPARED_STATEMENT})

# What is counted of those who are told, and stay or not. PINNED: 08006, with what was lost.
OUTCOMES = {
    Fate.UNKNOWN: "08007",
    Fate.CLOSED_UNKNOWN: "08007",
    Fate.RETRYABLE: "40001",
    Fate.CLOSED: "08006",
    Fate.CUT_OFF: "08006",
    Fate.CLOSED_PINNED: "PINNED",
}
_WRITES = re.compile(
    rb"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)*"
    rb"(?:(?:insert|update|delete|merge|create|alter|drop|truncate|grant|revoke|comment)\b"
    rb'|copy\s+(?:binary\s+)?[\w."$]+\s*(?:\([^()]*\)\s*)?from\b)',
    re.IGNORECASE,
)
_HOW = {
    Fate.WAITS: WAITS,
    Fate.UNKNOWN: STAYS,
    Fate.RETRYABLE: STAYS_ABORTED,
    Fate.CUT_OFF: CUT_OFF,
    Fate.CLOSED: ENDS,
    Fate.CLOSED_UNKNOWN: ENDS,
    Fate.CLOSED_PINNED: ENDS,
}


class Losses:
    """Of one proxy. `in_transaction_error`, `replays`: its settings of these names (the second is
    ``replay``)."""

    def __init__(self) -> None:
        self.in_transaction_error: InTransactionError = "close"
        self.replays = True
        self._replayed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    def decide(self, client: Client, reason: str, loss: Loss) -> tuple[int, PgError | None]:
        """What becomes of the client (see `forebay.relay.loss`), and what it is told.

        Args:
            client: It has no connection any more.
            reason: Why the connection is gone, in words.
            loss: What is known of their exchange.
        """
        exchange = exchange_of(client, loss)
        found = fate(
            exchange,
            in_transaction_error=self.in_transaction_error,
            replays=self.replays or not loss.waits or not client.greeted,
        )
        if found is Fate.WAITS and loss.is_hopeless:
            found = Fate.CLOSED
        if found is Fate.WAITS:
            self._replayed[may_replay(exchange)] += loss.waits
            return WAITS, None
        self._lost[OUTCOMES[found]] += 1
        return _HOW[found], _error(found, client, reason, loss)

    def may_repeat(self, client: Client, statement: bytes) -> bool:
        """Whether a statement outside of a transaction, the only one of its request, is sent again
        if the server refuses it at once since it does not write."""
        exchange = Exchange(read_only=True, several=not is_write(statement), pinned=client.pinned)
        return self.replays and may_replay(exchange).is_safe

    def repeats(self) -> None:
        """Such a statement is sent again."""
        self._replayed[Reason.READ_ONLY_FIRST_REPLY] += 1

    def figures(self) -> dict[str, dict[str, int | float]]:
        """Requests that went to another connection, by reason, and those that were lost."""
        counted = (Reason.NOTHING_SENT, Reason.READ_ONLY_FIRST_REPLY, Reason.BEGIN_ALONE)
        return {
            "requests_replayed": {reason.value: self._replayed[reason] for reason in counted},
            "requests_lost": {each: self._lost[each] for each in dict.fromkeys(OUTCOMES.values())},
        }


def is_write(statement: bytes) -> bool:
    """Whether PostgreSQL refuses it, where it does not write, before anything of it has run: as far
    as its first words tell. (What calls functions that write may be refused in their midst.)"""
    return _WRITES.match(statement) is not None


def exchange_of(client: Client, loss: Loss) -> Exchange:
    """The same, as what decides knows it."""
    notes = known_notes(client)
    doubts = notes.doubts if notes is not None and client.suspect else ()
    return Exchange(
        sent=loss.sent,
        half_forwarded=loss.half_forwarded,
        several=bool(loss.control & SEVERAL_BIT),
        in_transaction=loss.status != ord("I"),
        begins=bool(loss.control & BEGINS_BIT),
        begin_alone=loss.begin is not None,
        ends=bool(loss.control & ENDS_BIT),
        hides=bool(loss.control & HIDES_BIT),
        pinned=client.pinned,
        unknown_session=loss.unknown_session,
        outlasting=not OUTLASTING_ROLLBACK.isdisjoint(doubts),
    )


def _error(found: Fate, client: Client, reason: str, loss: Loss) -> PgError:
    """What the client is told. If all it has lost is its transaction, the database's own last word
    says it best."""
    word = None if loss.word is None else PgError.parse(loss.word)
    detail = f"Reason: {reason}."
    if word is not None:
        detail = f"The database says: {word.message} (SQLSTATE {word.sqlstate})."
    if found is Fate.UNKNOWN:
        return errors.resolution_unknown(Severity.ERROR, detail)
    if found is Fate.RETRYABLE:
        return errors.transaction_lost(detail)
    if found is Fate.CLOSED_UNKNOWN:
        return errors.resolution_unknown(Severity.FATAL, detail)
    if found is Fate.CLOSED_PINNED:
        return errors.server_lost_with(_what(client), detail)
    return word or errors.server_lost(reason)


def _what(client: Client) -> str:
    """What the session has lost, in the words of its pins."""
    notes = known_notes(client)
    reasons = [] if notes is None else [each for each in PinReason if each in notes.reasons]
    if not reasons:
        return "What its last statements had set up was not known yet."
    return " ".join(f"{each.value}: {each.cause.sentence}" for each in reasons)
