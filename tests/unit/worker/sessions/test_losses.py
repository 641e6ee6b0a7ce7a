"""What clients are told whose connections are lost, and what is counted."""

from typing import Any, cast

import pytest

from forebay.protocol.errors import Severity
from forebay.relay import Client, Loss
from forebay.relay.loss import CUT_OFF, ENDS, STAYS, STAYS_ABORTED, WAITS
from forebay.relay.scan.control import BEGINS_BIT, ENDS_BIT, HIDES_BIT
from forebay.session.causes import PinReason
from forebay.session.pins import Notes
from forebay.worker.sessions.losses import Losses

NOTHING_SENT = {"NOTHING_SENT": 1, "READ_ONLY_FIRST_REPLY": 0, "BEGIN_ALONE": 0}
WORD = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"


class Someone:
    """As much of a client as is asked for."""

    def __init__(self) -> None:
        self.greeted = True
        self.pinned = False
        self.suspect = False
        self.notes: Notes | None = None


def someone(**facts: Any) -> Client:
    found = Someone()
    for name, value in facts.items():
        setattr(found, name, value)
    return cast(Client, found)


def loss(**facts: Any) -> Loss:
    found = Loss()
    for name, value in facts.items():
        setattr(found, name, value)
    return found


@pytest.fixture
def losses() -> Losses:
    return Losses()


def lost(losses: Losses, name: str) -> float:
    return losses.figures()["requests_lost"][name]


def test_who_has_sent_nothing_waits(losses: Losses) -> None:
    assert losses.decide(someone(), "it is gone", loss(waits=True)) == (WAITS, None)
    assert losses.figures()["requests_replayed"] == NOTHING_SENT
    losses.decide(someone(), "it is gone", loss())  # and had nothing to send
    assert losses.figures()["requests_replayed"] == NOTHING_SENT


def test_so_does_who_has_only_begun_a_transaction(losses: Losses) -> None:
    begun = loss(sent=True, waits=True, control=BEGINS_BIT, begin=b"...")
    assert losses.decide(someone(), "it is gone", begun) == (WAITS, None)
    assert losses.figures()["requests_replayed"]["BEGIN_ALONE"] == 1
    losses.replays = False
    assert losses.decide(someone(), "it is gone", begun)[0] == ENDS


def test_not_for_good(losses: Losses) -> None:
    outcome, error = losses.decide(someone(), "it is gone", loss(waits=True, is_hopeless=True))
    assert outcome == ENDS
    assert error is not None
    assert error.sqlstate == "08006"


def test_without_replay_only_who_logs_in_does(losses: Losses) -> None:
    losses.replays = False
    outcome, error = losses.decide(someone(), "it is gone", loss(waits=True))
    assert (outcome, error and error.sqlstate) == (ENDS, "08006")
    assert losses.decide(someone(greeted=False), "", loss(waits=True)) == (WAITS, None)


def test_an_unknown_outcome(losses: Losses) -> None:
    outcome, error = losses.decide(someone(), "it is gone", loss(sent=True))
    assert outcome == STAYS
    assert error is not None
    assert (error.severity, error.sqlstate) == (Severity.ERROR, "08007")
    assert error.detail == "Reason: it is gone."
    assert lost(losses, "08007") == 1


def test_the_database_s_word_is_the_detail_of_who_stays(losses: Losses) -> None:
    _, error = losses.decide(someone(), "it is gone", loss(sent=True, word=WORD))
    assert error is not None
    assert error.detail == "The database says: terminating connection (SQLSTATE 57P01)."


def test_and_the_last_word_of_who_has_lost_a_transaction(losses: Losses) -> None:
    found = loss(sent=True, status=ord("T"), word=WORD)
    outcome, error = losses.decide(someone(), "it is gone", found)
    assert outcome == ENDS
    assert error is not None
    assert error.encode()[5:] == WORD
    assert lost(losses, "08006") == 1


def test_a_transaction(losses: Losses) -> None:
    outcome, error = losses.decide(someone(), "it is gone", loss(sent=True, status=ord("T")))
    assert (outcome, error and error.sqlstate) == (ENDS, "08006")
    losses.in_transaction_error = "retryable"
    outcome, error = losses.decide(someone(), "it is gone", loss(sent=True, status=ord("T")))
    assert (outcome, error and error.sqlstate) == (STAYS_ABORTED, "40001")
    assert lost(losses, "40001") == 1


@pytest.mark.parametrize("word", [None, WORD])
def test_one_that_hides_another(losses: Losses, word: bytes | None) -> None:
    """Whatever the database says: that nobody knows the outcome is what the client has to hear."""
    found = loss(sent=True, status=ord("T"), control=ENDS_BIT | HIDES_BIT, word=word)
    outcome, error = losses.decide(someone(), "it is gone", found)
    assert outcome == ENDS
    assert error is not None
    assert (error.severity, error.sqlstate) == (Severity.FATAL, "08007")


@pytest.mark.parametrize("reason", [PinReason.ADVISORY_LOCK, PinReason.PREPARED_STATEMENT])
def test_one_with_what_a_rollback_leaves(losses: Losses, reason: PinReason) -> None:
    losses.in_transaction_error = "retryable"
    client = someone(suspect=True, notes=Notes(doubts={reason}))
    outcome, _ = losses.decide(client, "it is gone", loss(sent=True, status=ord("T")))
    assert outcome == ENDS


def test_one_with_what_a_rollback_takes_back(losses: Losses) -> None:
    losses.in_transaction_error = "retryable"
    client = someone(suspect=True, notes=Notes(doubts={PinReason.LISTEN}))
    outcome, _ = losses.decide(client, "it is gone", loss(sent=True, status=ord("T")))
    assert outcome == STAYS_ABORTED


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (None, "Reason: it is gone."),
        (WORD, "The database says: terminating connection (SQLSTATE 57P01)."),
    ],
)
def test_a_pinned_client_hears_what_it_has_lost(
    losses: Losses, word: bytes | None, why: str
) -> None:
    client = someone(pinned=True, notes=Notes(held=frozenset({PinReason.TEMPORARY_OBJECT})))
    outcome, error = losses.decide(client, "it is gone", loss(word=word))
    assert outcome == ENDS
    assert error is not None
    assert error.sqlstate == "08006"
    assert error.detail == (
        f"TEMPORARY_OBJECT: A temporary table, view or sequence was created. {why}"
    )
    assert lost(losses, "PINNED") == 1


def test_who_was_not_asked_about_yet_may_have_lost_something(losses: Losses) -> None:
    _, error = losses.decide(someone(), "it is gone", loss(unknown_session=True))
    assert error is not None
    assert error.detail is not None
    assert error.detail.startswith("What its last statements had set up was not known yet.")


def test_within_a_message_nothing_can_be_said(losses: Losses) -> None:
    outcome, _ = losses.decide(someone(), "it is gone", loss(sent=True, half_forwarded=True))
    assert outcome == CUT_OFF


@pytest.mark.parametrize(
    ("statement", "is_repeated"),
    [
        (b"INSERT INTO t VALUES (1)", True),
        (b" -- a comment\n/* another; */ update t SET a = 1", True),
        (b"delete from t", True),
        (b"MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", True),
        (b"CREATE TABLE t ()", True),
        (b"copy t FROM STDIN", True),
        (b'COPY "a"."t" (a, b) FROM STDIN', True),
        (b"COPY t TO STDOUT", False),
        (b"COPY t TO PROGRAM 'copy t from'", False),
        (b"COPY (SELECT f() from s) TO STDOUT", False),
        (b"SELECT f()", False),
        (b"WITH a AS (SELECT f()) SELECT 1", False),
        (b"CALL p()", False),
        (b"DO 'BEGIN END'", False),
        (b"insertion", False),
        (b"/* a /* b */ insert */ SELECT f()", False),
        (b"/* insert", False),
        (b"-- insert", False),
        (b"", False),
    ],
)
def test_what_a_server_refuses_that_does_not_write_is_repeated_if_nothing_ran(
    losses: Losses, statement: bytes, is_repeated: bool
) -> None:
    assert losses.may_repeat(someone(), statement) is is_repeated
    assert not losses.may_repeat(someone(pinned=True), statement)
    losses.replays = False
    assert not losses.may_repeat(someone(), statement)


def test_what_was_repeated_is_counted(losses: Losses) -> None:
    losses.repeats()
    assert losses.figures()["requests_replayed"]["READ_ONLY_FIRST_REPLY"] == 1
