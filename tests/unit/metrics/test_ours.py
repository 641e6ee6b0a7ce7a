"""What RDS Proxy does not tell: nothing that worker and node count is left out."""

import inspect
import re
from typing import Any

from forebay.channel.figures import ProxyFigures
from forebay.metrics.catalogue import CATALOGUE
from forebay.metrics.metric import PROXY, Scope
from forebay.metrics.micropools import COUNTERS
from forebay.metrics.ours import CLIENTS, CREDENTIALS, DATABASE, SESSIONS
from forebay.node import standing
from forebay.session.pins import PinCounts
from forebay.worker import figures as counted
from forebay.worker.sessions.losses import Losses

# What is no metric of its own: it is computed of one, or the sum of one.
DERIVED = {"borrow_wait_us_p50", "borrow_wait_us_p99", "pins", "query_us", "wait_us"}


class Asked(dict[str, Any]):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.keys_asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_asked.add(key)
        return default


def keys_in(*sources: Any) -> set[str]:
    """The keys of the dictionaries that these make."""
    text = "".join(inspect.getsource(each) for each in sources)
    return set(re.findall(r'^ +"(\w+)":', text, re.MULTILINE))


def asked() -> tuple[set[str], set[str], set[str]]:
    numbers, parts, histograms = Asked(), Asked(), Asked()
    proxy = ProxyFigures(target="", numbers=numbers, parts=parts, histograms=histograms)
    for each in CATALOGUE:
        if each.scope is Scope.PROXY:
            each.read(proxy)
    return numbers.keys_asked, parts.keys_asked, histograms.keys_asked


def test_every_number_has_a_metric_or_can_be_computed() -> None:
    numbers, _, _ = asked()
    told = keys_in(counted.numbers_of, counted._of_clients, counted._of_connections)
    told |= keys_in(counted._of_traffic, standing.figures_of) | set(COUNTERS)
    told |= {"certificate_expires_s"}
    assert told - DERIVED == numbers


def test_every_part_and_histogram_has_a_metric() -> None:
    _, parts, histograms = asked()
    assert parts == keys_in(counted.parts_of, PinCounts.figures, Losses.figures)
    assert histograms == keys_in(counted.figures_of)


def test_cloudwatch_gets_them_by_proxy() -> None:
    for each in (*CLIENTS, *DATABASE, *SESSIONS, *CREDENTIALS):
        assert each.dimensions == (PROXY,)
        assert not each.is_rds
