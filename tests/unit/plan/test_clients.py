"""Clients, as they are named on the command line."""

import pytest

from forebay.plan.clients import Clients, mix, parse_clients, parse_duration_s


def test_all_of_it() -> None:
    web = parse_clients("web=10x10, hold = 8ms, think=1.5s")
    assert (web.name, web.processes, web.connections, web.count) == ("web", 10, 10, 100)
    assert (web.hold_s, web.think_s, web.assumed) == (0.008, 1.5, [])


def test_what_is_not_given_is_assumed() -> None:
    functions = parse_clients("audit consumer=100")
    assert (functions.name, functions.count) == ("audit consumer", 100)
    assert functions.assumed == ["hold", "think"]
    assert functions.load == pytest.approx(5.0)
    assert parse_clients("a=1×2,think=0s").assumed == ["hold"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "clients are NAME="),
        ("web", "clients are NAME="),
        ("=10", "clients are NAME="),
        ("web=ten", "clients are NAME="),
        ("web=10x10x10", "clients are NAME="),
        ("web=-1", "clients are NAME="),
        ("web=0x10", "from 1 to 100000 clients"),
        ("web=1000x1000", "from 1 to 100000 clients"),
        ("web=10,wait=5ms", "'wait=5ms' is neither"),
        ("web=10,hold=5ms,hold=6ms", "'hold=6ms' is neither"),
        ("web=10,hold=5", "a time is a number with"),
        ("web=10,hold=0ms", "a hold time of 0"),
        ("web=10,hold=25h", "from 1us to 24h"),
        ("web=10,", "'' is neither"),
    ],
)
def test_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_clients(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5ms", 0.005),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("1.5 s", 1.5),
        ("2min", 120),
        ("24h", 86_400),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "ms", "-1s", "1e3s", "0.1us", "5 hours", "infs"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"time is a number|from 1us"):
        parse_duration_s(text)


def test_a_mix_offers_the_same_load_by_as_many_transactions() -> None:
    groups = [
        Clients(name="a", processes=10, connections=10, hold_s=0.005, think_s=0.095),
        Clients(name="b", processes=50, hold_s=0.1, think_s=0.4),
    ]
    together = mix(groups)
    assert together.count == 150
    assert together.load == pytest.approx(15)
    assert together.load / together.hold_s == pytest.approx(1000 + 100)
    alone = mix(groups[:1])
    assert (alone.hold_s, alone.think_s) == pytest.approx((0.005, 0.095))
