"""What becomes of a client whose database connection is lost: what it hears, and whether it stays.

Sources: "Message Flow" in PostgreSQL's protocol chapter (a request is acknowledged by ReadyForQuery
alone: a CommandComplete may be followed by a failing commit); appendix A for the SQLSTATEs. A
connection may be lost before a commit or behind it, and nobody can tell which from outside.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Literal

InTransactionError = Literal["close", "retryable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a client and its connection had to do with each other when that was lost.

    Attributes:
        sent: Something that the client has sent went to the connection, and is not answered to its
            end. False: it waits for what is not its own, or for nothing.
        refused_at_startup: No connection could be opened: the server refused the login (57P03,
            53300), or nobody listened there (08001).
        forwarded: A part of the answer has gone to the client.
        half_forwarded: ... which ends within a message.
        read_only: The first message of the answer says that the server does not write (25006).
        several: What was sent may be more than one statement.
        in_transaction: The last ReadyForQuery said so.
        begins: What was sent begins a transaction, and nothing came before that.
        begin_alone: ... nor behind it, and it can be sent again.
        ends: What was sent may have ended the transaction other than by rolling it back.
        hides: What was sent may begin a transaction in its middle, so that what the client sends
            next may belong to that.
        pinned: The session has what belongs to the connection.
        unknown_session: ... or may have: the database was not asked yet.
        outlasting: ... and what a rollback does not take back was done in the open transaction.
    """

    sent: bool = True
    refused_at_startup: bool = False
    forwarded: bool = False
    half_forwarded: bool = False
    read_only: bool = False
    several: bool = False
    in_transaction: bool = False
    begins: bool = False
    begin_alone: bool = False
    ends: bool = False
    hides: bool = False
    pinned: bool = False
    unknown_session: bool = False
    outlasting: bool = False

    @property
    def is_aborted(self) -> bool:
        """Whether a transaction is open of which it is certain that it was never committed."""
        return (self.in_transaction or self.begins) and not self.ends and not self.hides


class Reason(StrEnum):
    """Why a request is sent again on another connection, or is not. A closed list: metrics are
    keyed by it. ``is_safe``: it is sent again."""

    is_safe: bool
    text: str

    def __new__(cls, code: str, is_safe: bool, text: str) -> "Reason":
        member = str.__new__(cls, code)
        member._value_ = code
        member.is_safe, member.text = is_safe, text
        return member

    NOTHING_SENT = "NOTHING_SENT", True, "nothing of it had been sent"
    REFUSED_AT_STARTUP = (
        "REFUSED_AT_STARTUP",
        True,
        "the server refused the login, and read nothing",
    )
    # PostgreSQL checks this before a statement begins to run. Whoever sends it again has to be sure
    # that the server refuses everybody: a user may have set default_transaction_read_only.
    READ_ONLY_FIRST_REPLY = "READ_ONLY_FIRST_REPLY", True, "the server says that it does not write"
    # Whatever it has done went with its connection. Whoever sends it again has to be sure that the
    # client's next statement has not gone the same way.
    BEGIN_ALONE = "BEGIN_ALONE", True, "it began a transaction, and nothing was done in it"
    SENT = "SENT", False, "it was sent, and may have run"
    IN_TRANSACTION = "IN_TRANSACTION", False, "what came before it in its transaction is lost"
    PINNED = "PINNED", False, "the session had what belonged to the connection"
    MULTI_STATEMENT = "MULTI_STATEMENT", False, "a part of it may have run"
    FORWARDED = "FORWARDED", False, "a part of its answer has gone to the client"
    SWITCHED_OFF = "SWITCHED_OFF", False, "`replay` is off"


def may_replay(exchange: Exchange, *, is_on: bool = True) -> Reason:
    """Whether what the client waits for may be sent on another connection, and why.

    Args:
        exchange: What was lost.
        is_on: The setting ``replay``.
    """
    if exchange.pinned or exchange.unknown_session:
        return Reason.PINNED
    if exchange.in_transaction:
        return Reason.IN_TRANSACTION
    if not exchange.sent or exchange.refused_at_startup:
        if not is_on:
            return Reason.SWITCHED_OFF
        return Reason.REFUSED_AT_STARTUP if exchange.refused_at_startup else Reason.NOTHING_SENT
    if exchange.forwarded or exchange.half_forwarded:
        return Reason.FORWARDED
    if exchange.several:
        return Reason.MULTI_STATEMENT
    if exchange.read_only:
        return Reason.READ_ONLY_FIRST_REPLY
    if exchange.begin_alone and is_on:
        return Reason.BEGIN_ALONE
    return Reason.SENT


class Fate(Enum):
    """What becomes of the client.

    WAITS           for another connection, and hears nothing
    UNKNOWN         an ERROR says that the outcome is unknown (08007); it stays
    RETRYABLE       an ERROR says that its transaction was rolled back (40001); it stays, and its
                    transaction is an aborted one until it ends it
    CLOSED          a FATAL error says that the connection was lost (08006)
    CLOSED_UNKNOWN  ... and that the outcome is unknown (08007)
    CLOSED_PINNED   ... and what its session has lost with it (08006)
    CUT_OFF         it is closed without a word, for one would stand within a message
    """

    WAITS = "waits"
    UNKNOWN = "unknown"
    RETRYABLE = "retryable"
    CLOSED = "closed"
    CLOSED_UNKNOWN = "closed_unknown"
    CLOSED_PINNED = "closed_pinned"
    CUT_OFF = "cut_off"

    @property
    def stays(self) -> bool:
        """Whether the client stays connected."""
        return self in (Fate.WAITS, Fate.UNKNOWN, Fate.RETRYABLE)


def fate(
    exchange: Exchange, *, in_transaction_error: InTransactionError = "close", replays: bool = True
) -> Fate:
    """What becomes of a client whose connection is lost.

    What is not certain closes the client: no statement may run outside the transaction in which the
    client has put it, and none may be told to have run, or not to have run, if nobody knows.

    Args:
        exchange: What was lost.
        in_transaction_error: The setting of this name.
        replays: The setting ``replay``.
    """
    if exchange.half_forwarded:
        return Fate.CUT_OFF
    reason = may_replay(exchange, is_on=replays)
    if reason.is_safe:
        return Fate.WAITS
    if reason is Reason.PINNED:
        return Fate.CLOSED_PINNED
    if reason is Reason.SWITCHED_OFF:
        return Fate.CLOSED
    if exchange.is_aborted:
        if in_transaction_error == "retryable" and not exchange.outlasting:
            return Fate.RETRYABLE
        return Fate.CLOSED
    if exchange.hides or (exchange.in_transaction and exchange.outlasting):
        return Fate.CLOSED_UNKNOWN
    return Fate.UNKNOWN
