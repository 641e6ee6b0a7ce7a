"""Where metrics go, as it may be configured."""

from typing import Any

import pytest

from forebay.config.checks import CHECKS
from forebay.config.export_checks import check_cloudwatch, check_otel
from forebay.config.settings import CloudWatchSettings, OtelSettings


def cloudwatch(**changed: Any) -> list[tuple[Any, str]]:
    return list(check_cloudwatch(CloudWatchSettings(**{"put_metric_data": True, **changed})))


def test_they_are_checked_where_a_configuration_is_read() -> None:
    assert CHECKS[CloudWatchSettings] is check_cloudwatch
    assert CHECKS[OtelSettings] is check_otel


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"namespace": "my-team/Forebay.1"},
        {"namespace": "AWSome"},
        {"emf": "stdout", "put_metric_data": False},
        {"emf": "file:metrics.log"},
        {"emf": "tcp://127.0.0.1:25888"},
        {"emf": "udp://[::1]:25888"},
        {"region": "eu-west-1"},
        {"region": "us-gov-west-1"},
        {"endpoint_url": "http://127.0.0.1:4566"},
    ],
)
def test_what_is_right(changed: dict[str, Any]) -> None:
    assert cloudwatch(**changed) == []


@pytest.mark.parametrize("namespace", ["AWS/RDS", "aws/rds", "AWS/"])
def test_awss_namespaces_are_awss(namespace: str) -> None:
    ((path, text),) = cloudwatch(namespace=namespace)
    assert path == ("namespace",)
    assert "which AWS reserves for its services: choose another" in text


@pytest.mark.parametrize("namespace", ["a b", "ü", ":a", "a\n"])
def test_other_names_that_cloudwatch_does_not_take(namespace: str) -> None:
    ((path, text),) = cloudwatch(namespace=namespace)
    assert path == ("namespace",)
    assert "is no name that CloudWatch takes" in text


@pytest.mark.parametrize(
    "emf",
    [
        "stderr",
        "file:",
        "file:a\0b",
        "tcp:127.0.0.1:1",
        "tcp://",
        "tcp://h:x",
        "udp:///a:1",
        "ftp://h:1",
    ],
)
def test_places_that_are_none(emf: str) -> None:
    ((path, text),) = cloudwatch(emf=emf)
    assert path == ("emf",)
    assert '"stdout", "file:PATH", "tcp://HOST:PORT" or "udp://HOST:PORT"' in text


def test_a_table_that_sends_nothing() -> None:
    ((path, text),) = cloudwatch(put_metric_data=False)
    assert path == ()
    assert text == "sends nothing: set emf, or put_metric_data = true"


@pytest.mark.parametrize("region", ["Ireland", "eu west 1", "eu", "-"])
def test_regions_that_are_none(region: str) -> None:
    ((path, _),) = cloudwatch(region=region)
    assert path == ("region",)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:4318", "ftp://h", "http://", "http://h:0", "http://h:x"]
)
def test_urls_that_are_none(url: str) -> None:
    ((path, text),) = cloudwatch(endpoint_url=url)
    assert path == ("endpoint_url",)
    assert text == "must be a URL, as http://127.0.0.1:4566"
    ((path, text),) = check_otel(OtelSettings(endpoint=url))
    assert path == ("endpoint",)
    assert text == "must be a URL, as http://127.0.0.1:4318"


def test_urls_have_no_passwords_in_them() -> None:
    ((_, text),) = check_otel(OtelSettings(endpoint="https://u:hunter2@h/v1/metrics"))
    assert text == "has a user or password in it; it must have none"
    assert list(check_otel(OtelSettings(endpoint="https://h/v1/metrics"))) == []
