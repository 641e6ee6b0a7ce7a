"""The reply ledger: what is owed, and when nothing is owed any more."""

from typing import Any

import pytest

from tests.unit.relay.ledgers import CONSTANTS, LEDGERS

QUERY, FUNCTION, SYNC, PARSE = (
    CONSTANTS.QUERY,
    CONSTANTS.FUNCTION,
    CONSTANTS.SYNC,
    CONSTANTS.PARSE,
)
BIND, DESCRIBE, EXECUTE, CLOSE = (
    CONSTANTS.BIND,
    CONSTANTS.DESCRIBE,
    CONSTANTS.EXECUTE,
    CONSTANTS.CLOSE,
)
COPY_END = CONSTANTS.COPY_END
FORWARD, SWALLOW, FAKE, REPLACE, DESYNC = (
    CONSTANTS.FORWARD,
    CONSTANTS.SWALLOW,
    CONSTANTS.FAKE,
    CONSTANTS.REPLACE,
    CONSTANTS.DESYNC,
)


@pytest.fixture(params=LEDGERS)
def ledger(request: pytest.FixtureRequest) -> Any:
    return LEDGERS[request.param]()


def push(ledger: Any, *kinds: int, action: int = FORWARD) -> None:
    for kind in kinds:
        ledger.push(kind, action)


def replies(ledger: Any, messages: str) -> list[int]:
    return [ledger.reply(ord(each)) for each in messages]


def test_a_query_ends_at_ready_for_query(ledger: Any) -> None:
    push(ledger, QUERY)
    assert replies(ledger, "TDDC") == [FORWARD] * 4
    assert ledger.count == 1
    assert replies(ledger, "TDCZ") == [FORWARD] * 4
    assert ledger.count == 0


def test_an_error_in_a_query_ends_nothing(ledger: Any) -> None:
    push(ledger, QUERY, QUERY)
    assert replies(ledger, "EZ") == [FORWARD] * 2
    assert ledger.count == 1
    assert replies(ledger, "CZ") == [FORWARD] * 2
    assert ledger.count == 0


def test_a_batch_in_order(ledger: Any) -> None:
    push(ledger, PARSE, DESCRIBE, BIND, DESCRIBE, EXECUTE, CLOSE, SYNC)
    assert replies(ledger, "1tT2nDDC3Z") == [FORWARD] * 10
    assert ledger.count == 0


@pytest.mark.parametrize("end", "CIs")
def test_ends_of_an_execution(ledger: Any, end: str) -> None:
    push(ledger, EXECUTE, SYNC)
    assert replies(ledger, f"{end}Z") == [FORWARD] * 2
    assert ledger.count == 0


def test_an_error_skips_to_the_sync(ledger: Any) -> None:
    push(ledger, PARSE, BIND, QUERY, EXECUTE, SYNC, PARSE, SYNC)
    assert replies(ledger, "E") == [FORWARD]
    assert ledger.head_kind() == SYNC
    assert replies(ledger, "Z1Z") == [FORWARD] * 3
    assert ledger.count == 0


def test_after_an_error_nothing_is_owed_until_the_sync_is_sent(ledger: Any) -> None:
    push(ledger, PARSE)
    replies(ledger, "E")
    assert ledger.failed
    assert not ledger.push(QUERY, FORWARD)
    assert not ledger.push(EXECUTE, FORWARD)
    assert ledger.count == 0
    assert ledger.push(SYNC, FORWARD)
    assert not ledger.failed
    assert replies(ledger, "Z") == [FORWARD]
    assert ledger.count == 0


def test_an_error_at_the_sync_keeps_it(ledger: Any) -> None:
    push(ledger, EXECUTE, SYNC)
    assert replies(ledger, "CEZ") == [FORWARD] * 3
    assert ledger.count == 0


def test_what_forebay_asked_is_swallowed(ledger: Any) -> None:
    push(ledger, QUERY, action=SWALLOW)
    push(ledger, QUERY)
    assert ledger.action() == SWALLOW
    assert replies(ledger, "TDCZ") == [SWALLOW] * 4
    assert ledger.action() == FORWARD
    assert replies(ledger, "CZ") == [FORWARD] * 2


def test_whose_turn_ends_next(ledger: Any) -> None:
    assert not ledger.is_own_turn()
    push(ledger, CLOSE, QUERY, DESCRIBE, action=SWALLOW)
    push(ledger, PARSE)
    assert ledger.is_own_turn()
    replies(ledger, "3CZ")
    assert not ledger.is_own_turn()  # though what Forebay has asked in it is not answered
    push(ledger, QUERY, action=FAKE)
    push(ledger, SYNC)
    assert not ledger.is_own_turn()


def test_copy_in_ignores_syncs_sent_before_its_end(ledger: Any) -> None:
    push(ledger, PARSE, BIND, EXECUTE, SYNC, SYNC)
    assert replies(ledger, "12G") == [FORWARD] * 3
    assert ledger.copy_in
    assert ledger.count == 1
    assert not ledger.push(SYNC, FORWARD)
    push(ledger, COPY_END, SYNC)
    assert not ledger.copy_in
    assert replies(ledger, "CZ") == [FORWARD] * 2
    assert ledger.count == 0


def test_copy_in_whose_data_was_sent_ahead(ledger: Any) -> None:
    push(ledger, EXECUTE, SYNC, COPY_END, SYNC, QUERY)
    assert replies(ledger, "GCZ") == [FORWARD] * 3
    assert ledger.head_kind() == QUERY
    assert replies(ledger, "CZ") == [FORWARD] * 2
    assert ledger.count == 0


def test_two_copies_in_one_query(ledger: Any) -> None:
    push(ledger, QUERY)
    replies(ledger, "G")
    push(ledger, COPY_END)
    replies(ledger, "CG")
    assert ledger.copy_in, "the first copy's end is not the second's"
    push(ledger, COPY_END)
    assert not ledger.copy_in
    replies(ledger, "CZ")
    assert ledger.count == 0


def test_a_failed_copy_that_had_a_sync_leaves_a_doubt(ledger: Any) -> None:
    push(ledger, EXECUTE, SYNC)
    assert replies(ledger, "GE") == [FORWARD] * 2
    assert ledger.doubtful
    assert replies(ledger, "Z") == [FORWARD], "the Sync may not have been ignored"
    assert ledger.count == 0
    assert not ledger.failed


def test_a_failed_copy_without_a_sync_leaves_none(ledger: Any) -> None:
    push(ledger, QUERY)
    replies(ledger, "GEZ")
    push(ledger, EXECUTE)
    replies(ledger, "GE")
    assert not ledger.doubtful
    assert replies(ledger, "Z") == [DESYNC]


def test_stray_ends_of_copies_owe_nothing(ledger: Any) -> None:
    push(ledger, COPY_END)
    assert ledger.count == 0
    push(ledger, QUERY, COPY_END, COPY_END)
    replies(ledger, "CZ")
    assert ledger.count == 0


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (PARSE, "2"),
        (BIND, "1"),
        (DESCRIBE, "C"),
        (EXECUTE, "Z"),
        (CLOSE, "1"),
        (QUERY, "1"),
        (QUERY, "V"),
        (FUNCTION, "C"),
        (SYNC, "D"),
        (PARSE, "G"),
        (QUERY, "W"),
        (QUERY, "R"),
        (QUERY, "K"),
        (EXECUTE, "V"),
        (BIND, "t"),
        (FUNCTION, "H"),
    ],
)
def test_replies_that_nothing_asked_for(ledger: Any, kind: int, message: str) -> None:
    push(ledger, kind)
    assert replies(ledger, message) == [DESYNC]


@pytest.mark.parametrize("message", "ZTDC123nGHdc")
def test_nothing_is_owed(ledger: Any, message: str) -> None:
    assert replies(ledger, message) == [DESYNC]


def test_an_error_may_always_come(ledger: Any) -> None:
    assert replies(ledger, "E") == [FORWARD]
    assert ledger.count == 0
    assert not ledger.failed


def test_fakes_are_taken_in_their_turn(ledger: Any) -> None:
    push(ledger, PARSE)
    ledger.push(CLOSE, FAKE)
    ledger.push(PARSE, FAKE)
    push(ledger, SYNC)
    assert ledger.fakes == 2
    assert ledger.take_fake() == 0
    replies(ledger, "1")
    assert [ledger.take_fake(), ledger.take_fake(), ledger.take_fake()] == [CLOSE, PARSE, 0]
    assert ledger.fakes == 0
    replies(ledger, "Z")
    assert ledger.count == 0


def test_fakes_are_skipped_with_the_rest(ledger: Any) -> None:
    push(ledger, PARSE)
    ledger.push(CLOSE, FAKE)
    push(ledger, SYNC)
    replies(ledger, "E")
    assert (ledger.fakes, ledger.take_fake()) == (0, 0)
    replies(ledger, "Z")
    assert ledger.count == 0


def test_what_is_to_be_undone_is_counted(ledger: Any) -> None:
    ledger.push(PARSE, FORWARD, True)
    ledger.push(PARSE, SWALLOW, True)
    ledger.push(PARSE, REPLACE, True)
    push(ledger, SYNC)
    replies(ledger, "1")
    assert (ledger.settled, ledger.dropped) == (1, 0)
    replies(ledger, "E")
    assert (ledger.settled, ledger.dropped) == (1, 2)
    assert not ledger.failed


def test_it_grows(ledger: Any) -> None:
    for _ in range(3):
        push(ledger, *[PARSE, BIND, EXECUTE] * 1000, SYNC)
        for _ in range(1000):
            assert replies(ledger, "12C") == [FORWARD] * 3
        assert replies(ledger, "Z") == [FORWARD]
        assert ledger.count == 0
