"""The tripwire ends a connection exactly where it is armed to."""

from collections.abc import Iterator

import pytest

from forebay.protocol import messages
from tests.harness.raw import RawClient, run
from tests.nemesis.load import insert
from tests.nemesis.pair import LOGIN, Pair, Template
from tests.nemesis.tripwire import Point, Tripwire

pytestmark = pytest.mark.nemesis


@pytest.fixture(scope="module")
def both(template: Template) -> Iterator[Pair]:
    with Pair(template) as pair:
        yield pair


SEEN: dict[tuple[bool, Point], str] = {
    (False, "sent"): "",
    (False, "executed"): "",
    (False, "begun"): "T",
    (False, "complete"): "TDC",
    (True, "sent"): "",
    (True, "executed"): "",
    (True, "begun"): "1",
    (True, "complete"): "12TDC",
}


@pytest.mark.parametrize(("extended", "point"), SEEN)
def test_it_ends_there(both: Pair, extended: bool, point: Point) -> None:
    seq = list(SEEN).index((extended, point))
    sql = f"{insert(9, seq)} /* the one */"
    struck = []
    with Tripwire(both.primary.port) as wire, RawClient(wire.port, LOGIN) as client:
        assert client.query("SELECT 1") == [["1"]]
        wire.arm("the one", point, lambda: struck.append(1))
        client.send(run(sql) + messages.sync() if extended else messages.query(sql))
        seen = "".join(message.kind for message in client.until_end())
    assert seen == SEEN[extended, point]
    assert struck == [1]
    assert wire.sprung == 1
    assert both.primary.rows().get((9, seq, 0), 0) == (point != "sent")


def test_what_is_not_marked_passes(both: Pair) -> None:
    with Tripwire(both.primary.port) as wire, RawClient(wire.port, LOGIN) as client:
        wire.arm("the one", "sent")
        assert client.query("SELECT 'another'") == [["another"]]
        assert wire.sprung == 0
        client.send(messages.query("SELECT 'the one'"))
        assert client.until_end() == []
    assert wire.sprung == 1
