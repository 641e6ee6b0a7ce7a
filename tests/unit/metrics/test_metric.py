"""Names and units that are derived from a row."""

import pytest

from forebay.metrics.metric import PROXY, ROLE, TARGET, Kind, Metric, Scope, Unit, snake


def metric(
    name: str,
    kind: Kind = Kind.GAUGE,
    unit: Unit = "Count",
    scope: Scope = Scope.PROXY,
    dimensions: tuple[tuple[str, ...], ...] = (PROXY,),
) -> Metric:
    return Metric(name, kind, lambda _: 1, "", unit=unit, scope=scope, dimensions=dimensions)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ClientConnections", "client_connections"),
        ("ClientConnectionsNoTLS", "client_connections_no_tls"),
        ("ClientTLSLogins", "client_tls_logins"),
        ("DatabaseConnectionRequestsWithTLS", "database_connection_requests_with_tls"),
        ("SQLSTATE", "sqlstate"),
        ("TLSVersion", "tls_version"),
    ],
)
def test_words_of_a_name(name: str, words: str) -> None:
    assert snake(name) == words


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (metric("ClientConnections"), "forebay_client_connections"),
        (metric("QueryRequests", Kind.COUNTER), "forebay_query_requests_total"),
        (metric("A", Kind.LATENCY, "Microseconds"), "forebay_a_seconds"),
        (metric("A", Kind.MEAN, "Microseconds"), "forebay_a_seconds"),
        (metric("SentBytes", Kind.COUNTER, "Bytes"), "forebay_sent_bytes_total"),
        (metric("SecretAge", unit="Seconds"), "forebay_secret_age_seconds"),
        (
            metric("AvailabilityPercentage", Kind.SHARE, "Percent"),
            "forebay_availability_seconds_total",
        ),
    ],
)
def test_a_name_in_prometheus_ends_with_its_unit(row: Metric, name: str) -> None:
    assert row.prometheus == name
    assert row.family == name.removesuffix("_total")


def test_what_is_not_in_the_conventions_is_called_ours_in_opentelemetry() -> None:
    assert metric("ClientLogins").opentelemetry == "forebay.client_logins"
    named = Metric("A", Kind.GAUGE, lambda _: 1, "", otel="db.client.connection.max")
    assert named.opentelemetry == "db.client.connection.max"


def test_microseconds_become_seconds() -> None:
    assert metric("A", unit="Microseconds").in_base_units == 1e-6
    assert metric("A", unit="Seconds").in_base_units == 1.0


@pytest.mark.parametrize(
    ("row", "labels"),
    [
        (metric("A"), ("proxy",)),
        (metric("A", dimensions=(PROXY, TARGET)), ("proxy", "target")),
        (metric("A", dimensions=(PROXY, TARGET, ROLE)), ("proxy", "target", "target_role")),
        (metric("A", scope=Scope.NODE), ()),
        (metric("A", scope=Scope.PROCESS), ("process",)),
        (metric("A", scope=Scope.MICRO_POOL), ("proxy", "database", "user")),
    ],
)
def test_labels_are_the_dimensions_that_tell_something_apart(
    row: Metric, labels: tuple[str, ...]
) -> None:
    assert row.labels == labels
