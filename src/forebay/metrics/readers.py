"""Where the values of metrics come from: functions that take one from what its scope has."""

from collections.abc import Callable
from typing import Final

from forebay.channel.figures import Histogram, Number, PoolFigures, ProxyFigures
from forebay.metrics.labels import clean
from forebay.metrics.metric import Value

OTHERS: Final = "(others)"
"""What is too many to be told apart, together."""
MAX_WORDS: Final = 100
"""So many words are told apart: SQLSTATEs are the database's to choose."""

Reader = Callable[[ProxyFigures], Value]


def number(key: str) -> Reader:
    """What a proxy has under this name; None if there is nothing."""
    return lambda proxy: proxy.numbers.get(key)


def limit(key: str) -> Reader:
    """What is 0 until the database has told it: None then."""
    return lambda proxy: proxy.numbers.get(key) or None


def part(key: str) -> Reader:
    """What a proxy tells apart by a word; the first MAX_WORDS, which stay the first as long as the
    worker lives, and the rest under OTHERS."""

    def read(proxy: ProxyFigures) -> dict[str, Number]:
        found: dict[str, Number] = {}
        for text, value in proxy.parts.get(key, {}).items():
            word = clean(text)
            word = word if word in found or len(found) < MAX_WORDS else OTHERS
            found[word] = found.get(word, 0) + value
        return found

    return read


def histogram(key: str) -> Callable[[ProxyFigures], Histogram]:
    """How long something took in a proxy, each time."""
    return lambda proxy: proxy.histograms.get(key) or Histogram()


def borrow_latency(proxy: ProxyFigures) -> Histogram:
    """Of all borrows: only those that had to wait were measured, the others took no time."""
    waits = proxy.histograms.get("borrow_wait") or Histogram()
    at_once = int(proxy.numbers.get("borrows", 0)) - waits.count
    return waits + Histogram(at_once, 0.0, {0: at_once}) if at_once > 0 else waits


def mean(sum_us: str, count: str) -> Callable[[ProxyFigures], Histogram]:
    """How long something took in a proxy, of which there is only the sum."""
    return lambda proxy: Histogram(
        int(proxy.numbers.get(count, 0)), float(proxy.numbers.get(sum_us, 0.0))
    )


def pool_mean(sum_us: str, count: str) -> Callable[[PoolFigures], Histogram]:
    """The same of a micro-pool."""
    return lambda pool: Histogram(getattr(pool, count), getattr(pool, sum_us))


def field(name: str) -> Callable[[object], Number]:
    """What stands in a field of this name."""

    def read(of: object) -> Number:
        value: Number = getattr(of, name)
        return value

    return read
