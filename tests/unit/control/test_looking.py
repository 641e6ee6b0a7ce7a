from collections.abc import AsyncIterator

import pytest

from forebay.channel import ClientRow, PoolFigures, ProxyView
from forebay.control.looking import ROWS_AT_ONCE, gathered, in_words, look, named, parts
from forebay.control.messages import (
    ClientsRequest,
    EventsRequest,
    FiguresRequest,
    LookAnswer,
    LookRequest,
    PoolsRequest,
    ViewRequest,
)
from tests.unit.control.fakes import FakeObserver


def client(number: int) -> ClientRow:
    return ClientRow(id=number, database="d", user="u", identity="u", state="idle")


@pytest.fixture
def observer() -> FakeObserver:
    found = FakeObserver()
    found.views = {"app": ProxyView(holders_count=1), "other": ProxyView(holders_count=2)}
    pools = [PoolFigures(database=str(number), user="u") for number in range(ROWS_AT_ONCE + 1)]
    found.pools = {"app": pools, "other": pools[:1]}
    found.rows = {"app": [client(each) for each in range(ROWS_AT_ONCE + 1)], "other": []}
    return found


async def answers(observer: FakeObserver, request: LookRequest) -> list[LookAnswer]:
    found = [each async for each in look(observer, ["app", "other"], request)]
    assert {each.id for each in found} == {7}
    assert [getattr(each, "more", False) for each in found] == [True] * (len(found) - 1) + [False]
    return found


async def test_views_come_proxy_by_proxy(observer: FakeObserver) -> None:
    found = await answers(observer, ViewRequest(id=7))
    assert [list(each.views) for each in found] == [["app"], ["other"]]
    (found,) = await answers(observer, ViewRequest(id=7, proxy="other"))
    assert found.views["other"].holders_count == 2
    observer.views = {}
    (found,) = await answers(observer, ViewRequest(id=7))
    assert found.views == {}


async def test_rows_come_in_parts(observer: FakeObserver) -> None:
    found = await answers(observer, PoolsRequest(id=7))
    assert [(each.proxy, len(each.pools)) for each in found] == [
        ("app", ROWS_AT_ONCE),
        ("app", 1),
        ("other", 1),
        ("", 0),
    ]
    found = await answers(observer, ClientsRequest(id=7, proxy="app"))
    assert [(each.proxy, len(each.clients)) for each in found] == [
        ("app", ROWS_AT_ONCE),
        ("app", 1),
        ("", 0),
    ]


async def test_figures_and_events(observer: FakeObserver) -> None:
    (found,) = await answers(observer, FiguresRequest(id=7))
    assert found.figures.counted.proxies["app"].pools == []
    observer.events.add("INFO", "one")
    observer.events.add("WARNING", "two")
    (found,) = await answers(observer, EventsRequest(id=7, after=1))
    assert [each.text for each in found.events] == ["two"]


async def test_a_proxy_that_is_not_there(observer: FakeObserver) -> None:
    for kind in (ViewRequest, PoolsRequest, ClientsRequest):
        with pytest.raises(ValueError, match="there is no proxy 'x': there is app, other"):
            await answers(observer, kind(id=7, proxy="x"))


def test_names() -> None:
    assert named(["a", "b"], "") == ["a", "b"]
    assert named(["a", "b"], "b") == ["b"]
    assert (in_words(["b", "a"]), in_words([])) == ("a, b", "none")


async def test_parts_are_bounded() -> None:
    async def rows(count: int) -> AsyncIterator[int]:
        for each in range(count):
            yield each

    for count in (0, 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1):
        expected = [
            list(range(count))[at : at + ROWS_AT_ONCE] for at in range(0, count, ROWS_AT_ONCE)
        ]
        assert parts(range(count)) == expected
        assert [each async for each in gathered(rows(count))] == expected
