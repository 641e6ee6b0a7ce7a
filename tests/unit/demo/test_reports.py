import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.demo.reports import Order, Report, percentile, total


def test_percentiles_by_nearest_rank() -> None:
    values = list(range(100))
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7], 0.99) == 7
    assert percentile([], 0.5) == 0


@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values(values: list[int], share: float) -> None:
    assert percentile(values, share) in values


def test_reports_survive_the_way() -> None:
    report = Report(connected=3, errors={"53300": 2}, latencies_us=[1, 2])
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_reports_are_added_up() -> None:
    added = total(
        [
            Report(connected=1, transactions=2, latencies_us=[1], errors={"a": 1, "b": 1}),
            Report(connected=3, failed=1, latencies_us=[2], errors={"a": 2}),
        ]
    )
    assert (added.connected, added.transactions, added.failed) == (4, 2, 1)
    assert added.latencies_us == [1, 2]
    assert added.errors == {"a": 3, "b": 1}


def test_an_order_does_not_show_its_password() -> None:
    order = Order(
        group="web", clients=1, host="h", port=1, sslmode="require", user="u",
        password="hidden", database="d", work_s=1, seed=1,
    )  # fmt: skip
    assert "hidden" not in repr(order)
    with pytest.raises(AttributeError):
        order.clients = 2  # type: ignore[misc]
