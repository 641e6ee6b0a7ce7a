"""What becomes of clients whose connections are lost: the whole matrix."""

import itertools
from typing import Any

import pytest

from forebay.session.fate import Exchange, Fate, Reason, fate, may_replay

UNSENT = Exchange(sent=False)
AUTOCOMMIT = Exchange()
COMMITTING = Exchange(in_transaction=True, ends=True)
IN_TRANSACTION = Exchange(in_transaction=True)
IDLE_IN_TRANSACTION = Exchange(sent=False, in_transaction=True)
BEGINNING = Exchange(begins=True)
BEGIN_ALONE = Exchange(begins=True, begin_alone=True)


class TestReplay:
    @pytest.mark.parametrize(
        ("exchange", "reason"),
        [
            (UNSENT, Reason.NOTHING_SENT),
            (Exchange(refused_at_startup=True), Reason.REFUSED_AT_STARTUP),
            (AUTOCOMMIT, Reason.SENT),
            (COMMITTING, Reason.IN_TRANSACTION),
            (IN_TRANSACTION, Reason.IN_TRANSACTION),
            (IDLE_IN_TRANSACTION, Reason.IN_TRANSACTION),
            (BEGINNING, Reason.SENT),
            (BEGIN_ALONE, Reason.BEGIN_ALONE),
            (Exchange(begins=True, begin_alone=True, pinned=True), Reason.PINNED),
            (Exchange(sent=False, pinned=True), Reason.PINNED),
            (Exchange(sent=False, unknown_session=True), Reason.PINNED),
            (Exchange(several=True), Reason.MULTI_STATEMENT),
            (Exchange(several=True, read_only=True), Reason.MULTI_STATEMENT),
            (Exchange(forwarded=True), Reason.FORWARDED),
            (Exchange(read_only=True, forwarded=True), Reason.FORWARDED),
            (Exchange(read_only=True), Reason.READ_ONLY_FIRST_REPLY),
            (Exchange(read_only=True, in_transaction=True), Reason.IN_TRANSACTION),
            (Exchange(read_only=True, pinned=True), Reason.PINNED),
        ],
    )
    def test_each_decision_has_a_reason(self, exchange: Exchange, reason: Reason) -> None:
        assert may_replay(exchange) is reason
        assert reason.text

    def test_what_has_done_nothing_may_be_sent(self) -> None:
        safe = {reason for reason in Reason if reason.is_safe}
        assert safe == {
            Reason.NOTHING_SENT,
            Reason.REFUSED_AT_STARTUP,
            Reason.READ_ONLY_FIRST_REPLY,
            Reason.BEGIN_ALONE,
        }

    @pytest.mark.parametrize("exchange", [UNSENT, Exchange(refused_at_startup=True)])
    def test_it_can_be_switched_off(self, exchange: Exchange) -> None:
        assert may_replay(exchange, is_on=False) is Reason.SWITCHED_OFF
        assert fate(exchange, replays=False) is Fate.CLOSED

    def test_a_begin_is_as_any_other_where_it_is_switched_off(self) -> None:
        assert may_replay(BEGIN_ALONE, is_on=False) is may_replay(BEGINNING)
        assert fate(BEGIN_ALONE, replays=False) is Fate.CLOSED

    def test_switched_off_it_changes_nothing_else(self) -> None:
        for exchange in every_exchange(sent=True, refused_at_startup=False, begin_alone=False):
            assert may_replay(exchange, is_on=False) is may_replay(exchange)
            assert fate(exchange, replays=False) is fate(exchange)


class TestFate:
    @pytest.mark.parametrize(
        ("exchange", "expected"),
        [
            (UNSENT, Fate.WAITS),
            (AUTOCOMMIT, Fate.UNKNOWN),
            (Exchange(forwarded=True), Fate.UNKNOWN),
            (COMMITTING, Fate.UNKNOWN),
            (Exchange(several=True, ends=True), Fate.UNKNOWN),
            (IN_TRANSACTION, Fate.CLOSED),
            (IDLE_IN_TRANSACTION, Fate.CLOSED),
            (BEGINNING, Fate.CLOSED),
            (BEGIN_ALONE, Fate.WAITS),
            (Exchange(begins=True, hides=True), Fate.CLOSED_UNKNOWN),
            (Exchange(begins=True, ends=True), Fate.UNKNOWN),
            (Exchange(in_transaction=True, ends=True, hides=True), Fate.CLOSED_UNKNOWN),
            (Exchange(in_transaction=True, ends=True, outlasting=True), Fate.CLOSED_UNKNOWN),
            (Exchange(pinned=True), Fate.CLOSED_PINNED),
            (Exchange(sent=False, pinned=True), Fate.CLOSED_PINNED),
            (Exchange(unknown_session=True), Fate.CLOSED_PINNED),
            (Exchange(half_forwarded=True), Fate.CUT_OFF),
            (Exchange(half_forwarded=True, pinned=True), Fate.CUT_OFF),
        ],
    )
    def test_by_default(self, exchange: Exchange, expected: Fate) -> None:
        assert fate(exchange) is expected

    @pytest.mark.parametrize("exchange", [IN_TRANSACTION, IDLE_IN_TRANSACTION, BEGINNING])
    def test_a_lost_transaction_may_be_tried_again(self, exchange: Exchange) -> None:
        assert fate(exchange, in_transaction_error="retryable") is Fate.RETRYABLE

    def test_but_not_if_something_is_lost_that_would_outlast_it(self) -> None:
        exchange = Exchange(in_transaction=True, outlasting=True)
        assert fate(exchange, in_transaction_error="retryable") is Fate.CLOSED

    def test_nothing_waits_of_which_anything_was_sent(self) -> None:
        for exchange, error in every_case():
            if fate(exchange, in_transaction_error=error) is Fate.WAITS:
                refused = exchange.refused_at_startup or exchange.read_only
                assert not exchange.sent or refused or exchange.begin_alone
                assert not exchange.in_transaction

    def test_nothing_is_called_rolled_back_that_may_be_committed(self) -> None:
        for exchange, error in every_case():
            if fate(exchange, in_transaction_error=error) is Fate.RETRYABLE:
                assert exchange.in_transaction or exchange.begins
                assert not exchange.ends
                assert error == "retryable"

    def test_nobody_stays_who_may_believe_to_be_in_a_transaction(self) -> None:
        """Or what comes next would run outside it."""
        for exchange, error in every_case():
            found = fate(exchange, in_transaction_error=error)
            if found is Fate.UNKNOWN:
                assert not exchange.hides
                assert exchange.ends or not (exchange.in_transaction or exchange.begins)

    def test_nobody_stays_whose_session_has_lost_something(self) -> None:
        for exchange, error in every_case():
            if exchange.pinned or exchange.unknown_session or exchange.half_forwarded:
                assert not fate(exchange, in_transaction_error=error).stays


FIELDS = tuple(Exchange.__dataclass_fields__)


def every_exchange(**fixed: bool) -> list[Exchange]:
    free = [name for name in FIELDS if name not in fixed]
    values = itertools.product((False, True), repeat=len(free))
    return [Exchange(**dict(zip(free, each, strict=True)), **fixed) for each in values]


def every_case() -> list[tuple[Exchange, Any]]:
    return list(itertools.product(every_exchange(), ("close", "retryable")))
