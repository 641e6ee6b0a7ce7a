import msgspec
import pytest

from forebay.demo.failover.reports import (
    SEQUENCE_SPAN,
    Order,
    Report,
    longest_gap_s,
    total,
    write_id,
)


def test_reports_are_added_up() -> None:
    added = total(
        [
            Report(connected=1, writes=2, last_write_at=5.0, acknowledged=[1, 2], errors={"a": 1}),
            Report(connected=2, failed=1, last_write_at=4.0, unknown=[3], errors={"a": 1, "b": 2}),
        ]
    )
    assert (added.connected, added.writes, added.failed) == (3, 2, 1)
    assert (added.acknowledged, added.refused, added.unknown) == ([1, 2], [], [3])
    assert added.last_write_at == 5.0
    assert added.errors == {"a": 2, "b": 2}


def test_reports_survive_the_way() -> None:
    report = Report(connected=3, acknowledged=[write_id(2, 7)], written_at=[1.5])
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_no_two_writes_have_one_number() -> None:
    assert write_id(1, SEQUENCE_SPAN - 1) < write_id(2, 0)


def test_an_order_does_not_show_its_password() -> None:
    order = Order(
        role="web", clients=1, first=0, hosts=[("h", 1)], sslmode="require", user="u",
        password="hidden", database="d", seed=1,
    )  # fmt: skip
    assert "hidden" not in repr(order)


@pytest.mark.parametrize(
    ("written_at", "gap_s"),
    [
        ([1.0, 9.0, 15.0, 16.0, 19.0], 6.0),  # from the last before to the first behind
        ([15.0, 9.0, 16.0, 12.0, 19.0], 3.0),  # in any order
        ([1.0, 8.0, 10.5, 11.0], 9.0),  # none until the end
        ([9.0], 11.0),
        ([], 10.0),  # none at all: since then
        ([1.0, 9.5, 19.5, 50.0], 10.0),  # what came after the end is none of it
    ],
)
def test_the_longest_time_without_a_write(written_at: list[float], gap_s: float) -> None:
    assert longest_gap_s(written_at, since=10.0, until=20.0) == gap_s
