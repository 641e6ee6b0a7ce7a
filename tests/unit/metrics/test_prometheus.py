"""Prometheus' formats, read by prometheus-client and by promtool."""

import shutil
import subprocess

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from forebay.channel.figures import Histogram, PoolFigures, ProxyFigures
from forebay.metrics import CATALOGUE, MicroPools, exposition
from forebay.metrics.labels import clean
from forebay.metrics.prometheus import (
    BOUNDS_US,
    OPENMETRICS,
    TEXT,
    content_type,
    wants_openmetrics,
)
from tests.unit.metrics.made import NUMBERS, QUERIES, WAITS, node_figures, proxy_figures
from tests.unit.metrics.test_ours import asked

PROXY = {"proxy": "app"}
TARGET = {**PROXY, "target": "db.internal:5432", "target_role": "READ_WRITE"}
ROLE = {**PROXY, "target_role": "READ_WRITE"}
POOL = {**PROXY, "database": "shop", "user": "app"}

# Any name can come from a client.
NAMES = st.text(st.characters(), max_size=20)


def full_figures() -> ProxyFigures:
    """Something of all that any metric reads."""
    numbers, parts, _ = asked()
    return proxy_figures(
        numbers={**dict.fromkeys(sorted(numbers), 1), **NUMBERS},
        parts={**{name: {"a": 1} for name in sorted(parts)}, **proxy_figures().parts},
    )


def families(text: bytes, *, openmetrics: bool) -> dict[str, Family]:
    read = read_openmetrics if openmetrics else read_text
    return {each.name: each for each in read(text.decode())}


def value(found: dict[str, Family], sample: str, labels: dict[str, str]) -> float:
    """The only one of this name and with these labels."""
    values = [
        each.value
        for family in found.values()
        for each in family.samples
        if each.name == sample and each.labels == labels
    ]
    assert len(values) == 1, (sample, labels)
    return values[0]


@pytest.fixture(params=[False, True], ids=["text", "openmetrics"])
def openmetrics(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def found(openmetrics: bool) -> dict[str, Family]:
    figures = node_figures({"app": full_figures()})
    return families(exposition(figures, openmetrics=openmetrics), openmetrics=openmetrics)


def test_every_metric_of_the_catalogue_is_there_and_no_other(found: dict[str, Family]) -> None:
    assert found.keys() == {each.family for each in CATALOGUE}
    for each in CATALOGUE:
        assert found[each.family].documentation == f"{each.meaning}."
        assert found[each.family].samples


def test_gauges_and_counters(found: dict[str, Family]) -> None:
    assert value(found, "forebay_client_connections", PROXY) == 7
    assert value(found, "forebay_client_connections_closed_total", PROXY) == 2
    assert value(found, "forebay_availability_seconds_total", ROLE) == 50
    assert value(found, "forebay_max_database_connections_allowed", TARGET) == 90
    assert value(found, "forebay_certificate_expires_in_seconds", PROXY) == -5
    assert value(found, "forebay_worker_restarts_total", {}) == 1
    assert value(found, "forebay_process_cpu_time_seconds_total", {"process": "node"}) == 1.25
    assert value(found, "forebay_micro_pool_clients", POOL) == 7


def test_parts_by_their_words(found: dict[str, Family]) -> None:
    for method, count in (("password", 3), ("certificate", 1)):
        assert value(found, "forebay_client_logins_total", {**PROXY, "method": method}) == count
    pins = {**PROXY, "reason": "LISTEN"}
    assert value(found, "forebay_session_pins_total", pins) == 2
    assert value(found, "forebay_session_pin_time_seconds_total", pins) == 1.5


def test_histograms_are_in_seconds_and_add_up(found: dict[str, Family]) -> None:
    name = "forebay_database_connections_borrow_latency_seconds"
    assert value(found, f"{name}_count", PROXY) == 5
    assert value(found, f"{name}_sum", PROXY) == pytest.approx(0.001)
    buckets = {
        float(each.labels["le"]): each.value
        for each in found[name].samples
        if each.name == f"{name}_bucket"
    }
    assert list(buckets) == sorted(buckets) == [*(b / 1e6 for b in BOUNDS_US), float("inf")]
    assert [buckets[16 / 1e6], buckets[32 / 1e6], buckets[64 / 1e6]] == [3, 3, 5]
    assert buckets[float("inf")] == 5
    waits = "forebay_database_connections_borrow_wait_seconds"
    assert value(found, f"{waits}_count", PROXY) == WAITS.count
    late = "forebay_worker_lateness_seconds"
    assert value(found, f"{late}_count", {}) == QUERIES.count


def test_means_are_summaries(found: dict[str, Family]) -> None:
    name = "forebay_transaction_latency_seconds"
    assert found[name].type == "summary"
    assert value(found, f"{name}_sum", PROXY) == pytest.approx(0.006)
    assert value(found, f"{name}_count", PROXY) == 4


def test_types_are_told(found: dict[str, Family]) -> None:
    assert found["forebay_client_connections"].type == "gauge"
    assert found["forebay_client_connections_closed"].type == "counter"
    assert found["forebay_query_response_latency_seconds"].type == "histogram"


def test_openmetrics_tells_units_and_its_end() -> None:
    text = exposition(node_figures(), openmetrics=True)
    assert text.endswith(b"\n# EOF\n")
    assert (
        families(text, openmetrics=True)["forebay_query_response_latency_seconds"].unit == "seconds"
    )


def test_what_is_not_known_is_left_out(openmetrics: bool) -> None:
    proxy = proxy_figures(numbers={"max_database_connections_allowed": 0}, parts={})
    text = exposition(node_figures({"app": proxy}), openmetrics=openmetrics)
    found = families(text, openmetrics=openmetrics)
    assert "forebay_max_database_connections_allowed" not in found
    assert "forebay_client_connections" not in found
    assert "forebay_client_logins" not in found


def test_a_node_without_proxies_tells_of_itself(openmetrics: bool) -> None:
    text = exposition(node_figures({}), openmetrics=openmetrics)
    assert "forebay_worker_restarts" in families(text, openmetrics=openmetrics)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=6), st.booleans())
def test_any_name_of_a_client_can_be_read_back(
    names: list[tuple[str, str]], openmetrics: bool
) -> None:
    pools = [PoolFigures(database=database, user=user, clients=1) for database, user in names]
    proxy = proxy_figures(pools=pools, parts={"logins": dict.fromkeys((n for n, _ in names), 1)})
    text = exposition(node_figures({"app": proxy}), openmetrics=openmetrics)
    found = families(text, openmetrics=openmetrics)
    told = found.get("forebay_micro_pool_clients")
    read_back = [(s.labels["database"], s.labels["user"]) for s in told.samples] if told else []
    assert len(read_back) == len(set(read_back))
    assert set(read_back) == {(clean(database), clean(user)) for database, user in names}


def test_micro_pools_are_bounded() -> None:
    pools = [PoolFigures(database=f"d{number}", user="u", clients=1) for number in range(600)]
    figures = node_figures({"app": proxy_figures(pools=pools)})
    clients = families(exposition(figures), openmetrics=False)["forebay_micro_pool_clients"]
    assert len(clients.samples) == 501
    assert clients.samples[-1].labels == {**PROXY, "database": "(others)", "user": "(others)"}
    assert clients.samples[-1].value == 100
    few = exposition(figures, micro_pools=MicroPools(3))
    assert len(families(few, openmetrics=False)["forebay_micro_pool_clients"].samples) == 4


@given(st.dictionaries(st.integers(0, 543), st.integers(1, 9), max_size=9))
def test_any_histogram_can_be_read(buckets: dict[int, int]) -> None:
    """prometheus-client refuses those whose buckets do not rise, or do not end with the count."""
    of = Histogram(sum(buckets.values()), 1e6, buckets)
    text = exposition(node_figures({}, lateness=of), openmetrics=True)
    assert value(
        families(text, openmetrics=True), "forebay_worker_lateness_seconds_count", {}
    ) == sum(buckets.values())


def test_promtool_has_no_objection() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian's package prometheus)")
    pools = [PoolFigures(database='d"\\\n\udcff', user="ü", clients=1)]
    proxy = msgspec.structs.replace(full_figures(), pools=pools)
    text = exposition(node_figures({"app": proxy, "other": proxy_figures()}))
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_who_asks_for_openmetrics_gets_it() -> None:
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    assert wants_openmetrics(prometheus)
    assert not wants_openmetrics("text/plain, */*")
    assert not wants_openmetrics("")
    assert content_type(openmetrics=True) == OPENMETRICS
    assert content_type(openmetrics=False) == TEXT
