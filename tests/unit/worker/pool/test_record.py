"""What has happened to a proxy's connections."""

from typing import Any, cast

import pytest

from forebay.relay import MicroPool, Tally
from forebay.worker.pool import record
from forebay.worker.pool.record import OTHERS, Record
from tests.unit.worker.pool.pools import World


def test_reached_from_the_first_connection_until_none_can_be_opened() -> None:
    kept = Record()
    assert not kept.is_reached
    assert kept.reached_s(100.0) == 0.0
    kept.note_failed(0, 100.0)
    kept.note_opened(1, 110.0)
    kept.note_opened(2, 115.0)
    kept.note_failed(2, 120.0)  # there are others: it is there
    assert kept.is_reached
    assert kept.reached_s(130.0) == 20.0
    kept.note_failed(0, 140.0)
    kept.note_failed(0, 150.0)
    assert not kept.is_reached
    assert kept.reached_s(1000.0) == 30.0
    kept.note_opened(1, 1000.0)
    assert kept.reached_s(1001.0) == 31.0
    assert (kept.opened, kept.failed, kept.peak) == (3, 4, 2)


def test_not_reached_while_requests_are_held() -> None:
    kept = Record()
    kept.note_opened(1, 100.0)
    kept.note_held(110.0)
    kept.note_held(112.0)
    assert (kept.is_reached, kept.reached_s(115.0), kept.held_s(115.0)) == (False, 10.0, 5.0)
    kept.note_switch(118.0)
    kept.note_released(118.0)
    assert (kept.switches, kept.last_switch_held_s) == (1, 8.0)
    assert (kept.is_reached, kept.reached_s(120.0), kept.held_s(120.0)) == (True, 12.0, 8.0)
    kept.note_released(121.0)
    assert kept.held_s(121.0) == 8.0


def test_what_is_lost_while_requests_are_held_is_reached_with_the_next_connection() -> None:
    kept = Record()
    kept.note_opened(1, 100.0)
    kept.note_held(110.0)
    kept.note_failed(0, 115.0)
    kept.note_released(120.0)
    assert (kept.is_reached, kept.reached_s(130.0)) == (False, 10.0)
    kept.note_opened(1, 130.0)
    assert (kept.is_reached, kept.reached_s(131.0)) == (True, 11.0)


def test_a_switch_without_a_hold() -> None:
    kept = Record()
    kept.note_held(1.0)
    kept.note_switch(3.0)
    kept.note_released(3.0)
    kept.note_switch(9.0)
    assert (kept.switches, kept.last_switch_held_s, kept.held_s(9.0)) == (2, 0.0, 2.0)


def pool(database: str, transactions: int) -> MicroPool:
    made = World().manager.pool(database, "app")
    made.tally.transactions = transactions
    return made


def test_what_is_gone_still_counts() -> None:
    kept = Record()
    kept.keep(pool("shop", 5))
    kept.keep(pool("shop", 7))
    assert kept.past["shop"].transactions == 12
    assert kept.tally([pool("shop", 100), pool("other", 1)]).transactions == 113


def test_of_too_many_databases_the_rest_counts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "DATABASES_REMEMBERED", 3)
    kept = Record()
    for number in range(10):
        kept.keep(pool(f"db{number}", 1))
    kept.keep(pool("db1", 1))
    assert {name: cast(Any, each).transactions for name, each in kept.past.items()} == {
        "db0": 1,
        "db1": 2,
        "db2": 1,
        OTHERS: 7,
    }
    assert isinstance(kept.past[OTHERS], Tally)
