"""The table of what clients send is that of PostgreSQL's protocol."""

import pytest

from forebay.protocol import messages
from forebay.relay.kinds import rows
from tests.playbooks import wording
from tests.unit.relay.ledgers import CONSTANTS

# "Message Formats": all that a frontend sends once it has logged in.
FRONTEND = {
    "B": "Bind",
    "C": "Close",
    "d": "CopyData",
    "c": "CopyDone",
    "f": "CopyFail",
    "D": "Describe",
    "E": "Execute",
    "H": "Flush",
    "F": "FunctionCall",
    "P": "Parse",
    "Q": "Query",
    "S": "Sync",
    "X": "Terminate",
}
# PQ_SMALL_MESSAGE_LIMIT and PQ_LARGE_MESSAGE_LIMIT (libpq/libpq.h), and the type's byte.
SHORT, LONG = 10_000, 0x3FFFFFFE
EXTENDED = set("PBDECH")


def true_of(kind: str) -> set[str]:
    return rows()[kind][3]


def having(fact: str) -> set[str]:
    return {kind for kind in rows() if fact in true_of(kind)}


def test_each_message_of_a_frontend_has_a_row_and_no_other() -> None:
    assert rows().keys() == FRONTEND.keys()


@pytest.mark.parametrize("kind", sorted(FRONTEND))
def test_limits_are_those_of_the_server(kind: str) -> None:
    # SocketBackend in tcop/postgres.c
    assert rows()[kind][0] == (LONG if kind in "QPBdF" else SHORT)


def test_replies_are_those_that_the_ledger_knows() -> None:
    replies = {kind: row[1] for kind, row in rows().items() if row[1]}
    assert replies == {
        "Q": CONSTANTS.QUERY,
        "F": CONSTANTS.FUNCTION,
        "S": CONSTANTS.SYNC,
        "P": CONSTANTS.PARSE,
        "B": CONSTANTS.BIND,
        "D": CONSTANTS.DESCRIBE,
        "E": CONSTANTS.EXECUTE,
        "C": CONSTANTS.CLOSE,
        "c": CONSTANTS.COPY_END,
        "f": CONSTANTS.COPY_END,
    }


def test_what_is_looked_into_is_there_as_a_whole_and_needs_a_connection() -> None:
    looked_into = {kind for kind, row in rows().items() if row[2]}
    assert looked_into == having("is_whole") == having("borrows") == set("QFPBDEC")


def test_a_batch_is_opened_by_the_extended_protocol_and_ended_by_what_is_answered_at_once() -> None:
    assert having("opens_batch") == EXTENDED
    assert having("ends_batch") == {"S", "Q", "F"}


def test_terminate_alone_ends_the_client() -> None:
    assert having("ends_client") == {"X"}


def test_the_examples_of_the_playbooks_are_of_the_types_they_are_called_by() -> None:
    for example in ("Query 'x'", "Parse s 'x'", "Bind s", "Execute", "Sync", "Flush", "CopyDone"):
        kind = wording.encode(example)[:1].decode()
        assert FRONTEND[kind] == example.split()[0]
    assert messages.query("x")[:1] == b"Q"
