"""Where values come from."""

from hypothesis import given
from hypothesis import strategies as st

from forebay.channel.figures import Histogram, PoolFigures
from forebay.metrics.readers import (
    MAX_WORDS,
    OTHERS,
    borrow_latency,
    field,
    histogram,
    limit,
    mean,
    number,
    part,
    pool_mean,
)
from tests.unit.metrics.made import WAITS, proxy_figures


def test_a_number_that_is_not_there_is_not_told() -> None:
    assert number("borrows")(proxy_figures()) == 5
    assert number("nonsense")(proxy_figures()) is None


def test_a_limit_of_0_is_not_known_yet() -> None:
    proxy = proxy_figures(numbers={"max": 0, "other": 3})
    assert limit("max")(proxy) is None
    assert limit("other")(proxy) == 3
    assert number("max")(proxy) == 0


def test_who_got_a_connection_at_once_has_waited_for_no_time() -> None:
    latency = borrow_latency(proxy_figures())
    assert latency == Histogram(5, 1_000.0, {0: 2, 10: 1, 40: 2})
    assert borrow_latency(proxy_figures(numbers={"borrows": 3})) == WAITS
    assert borrow_latency(proxy_figures(numbers={}, histograms={})) == Histogram()


def test_means_have_a_sum_and_a_count() -> None:
    assert mean("transaction_us", "transactions")(proxy_figures()) == Histogram(4, 6_000.0)
    pool = PoolFigures(database="d", user="u", wait_us=3.0, borrows=2)
    assert pool_mean("wait_us", "borrows")(pool) == Histogram(2, 3.0)
    assert field("borrows")(pool) == 2


def test_a_histogram_that_is_not_there_is_empty() -> None:
    assert histogram("borrow_wait")(proxy_figures()) == WAITS
    assert histogram("borrow_wait")(proxy_figures(histograms={})) == Histogram()


@given(st.dictionaries(st.text(max_size=200), st.integers(0, 1000), max_size=300))
def test_words_are_bounded_and_nothing_of_them_is_lost(words: dict[str, int]) -> None:
    told = part("words")(proxy_figures(parts={"words": words}))
    assert isinstance(told, dict)
    assert len(told) <= MAX_WORDS + 1
    assert sum(told.values()) == sum(words.values())
    assert (OTHERS in told) or len(told) <= MAX_WORDS


def test_words_that_are_not_utf8_are_told_as_escapes() -> None:
    proxy = proxy_figures(parts={"words": {"a\udcff": 1, "a\\udcff": 2}})
    assert part("words")(proxy) == {"a\\udcff": 3}
