"""Capacity and clients put together."""

import pytest

from forebay.plan.clients import Clients
from forebay.plan.formulas import of_acus, of_max_connections
from forebay.plan.planning import Goal, percent_for, plan

WEB = Clients(name="web", processes=10, connections=10, hold_s=0.005, think_s=0.095)
FUNCTIONS = Clients(name="functions", processes=200, hold_s=0.005, think_s=0.095)


def test_the_decision_record() -> None:
    made = plan([WEB, FUNCTIONS], [of_acus("0.5-1"), of_acus("0.5-2")], Goal(percent=90))
    assert (made.demand, made.connections_needed) == (300, 16)
    assert made.load == pytest.approx(15)
    small, large = made.outlooks
    assert (small.limit, small.fits_without_proxy, small.suffices) == (165, False, True)
    assert (large.limit, large.fits_without_proxy, large.suffices) == (355, True, True)
    assert small.percent_needed == 9
    assert small.burst_s == pytest.approx(135 * 0.005 / 165)
    assert large.burst_s == 0


def test_too_few_connections() -> None:
    (outlook,) = plan([WEB, FUNCTIONS], [of_max_connections(18)], Goal(percent=80)).outlooks
    assert (outlook.limit, outlook.suffices) == (12, False)
    assert outlook.percent_needed is None  # 15 are not reserved, 16 would be needed
    assert any("Overloaded: clients would use 15.0" in text for text in outlook.warnings)
    assert any("times slower" in text for text in outlook.warnings)


def test_little_room() -> None:
    (outlook,) = plan([WEB, FUNCTIONS], [of_max_connections(19)], Goal()).outlooks
    assert (outlook.limit, outlook.suffices, outlook.percent_needed) == (16, True, 100)
    assert any("in use for 9" in text for text in outlook.warnings)


def test_waits_beyond_the_borrow_timeout() -> None:
    slow = Clients(name="slow", processes=100, hold_s=2.0, think_s=2.0)
    (outlook,) = plan([slow], [of_max_connections(8)], Goal(borrow_timeout_s=10)).outlooks
    assert any("wait beyond the borrow timeout (10 s)" in text for text in outlook.warnings)
    rare = Clients(name="rare", processes=1000, hold_s=1.0, think_s=3600.0)
    (outlook,) = plan([rare], [of_max_connections(8)], Goal(borrow_timeout_s=10)).outlooks
    assert any(text.startswith("If all clients ask at once") for text in outlook.warnings)


def test_clients_that_differ_much() -> None:
    quick = Clients(name="quick", processes=50, hold_s=0.002, think_s=0.1)
    slow = Clients(name="slow", processes=4, hold_s=1.0, think_s=1.0)
    (outlook,) = plan([quick, slow], [of_max_connections(7)], Goal()).outlooks
    assert any("go by the simulation" in text for text in outlook.warnings)
    (outlook,) = plan([quick], [of_max_connections(7)], Goal()).outlooks
    assert not outlook.warnings


def test_percentages() -> None:
    assert percent_for(16, 97) == 17
    assert percent_for(97, 97) == 100
    assert percent_for(98, 97) is None
    assert percent_for(1, 5000) == 1
    for needed in range(1, 98):
        percent = percent_for(needed, 97)
        assert percent is not None
        assert 97 * percent // 100 >= needed
        assert percent == 1 or 97 * (percent - 1) // 100 < needed
