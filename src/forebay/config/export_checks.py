"""What must hold of where metrics go: CloudWatch, an OpenTelemetry collector."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from forebay.config.addresses import parse_address
from forebay.config.reading import Path
from forebay.config.settings import CloudWatchSettings, OtelSettings

EMF_FORMS: Final = '"stdout", "file:PATH", "tcp://HOST:PORT" or "udp://HOST:PORT"'
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._/#-][A-Za-z0-9._/#:-]*")
_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")

Found = Iterator[tuple[Path, str]]


def check_cloudwatch(cloudwatch: CloudWatchSettings) -> Found:
    """All of [node.cloudwatch]. The namespace: PutMetricData in CloudWatch's API reference."""
    if cloudwatch.namespace.upper().startswith("AWS/"):
        text = "begins with AWS/, which AWS reserves for its services: choose another, as Forebay"
        yield ("namespace",), text
    elif not _NAMESPACE.fullmatch(cloudwatch.namespace):
        text = "is no name that CloudWatch takes: ASCII letters, digits and . - _ / # : alone"
        yield ("namespace",), text
    if cloudwatch.emf and not _is_place(cloudwatch.emf):
        yield ("emf",), f"is {cloudwatch.emf!r}; it must be {EMF_FORMS}"
    if not cloudwatch.emf and not cloudwatch.put_metric_data:
        yield (), "sends nothing: set emf, or put_metric_data = true"
    if cloudwatch.region and not _REGION.fullmatch(cloudwatch.region):
        yield ("region",), f"is {cloudwatch.region!r}, no name of a region, as eu-west-1"
    if cloudwatch.endpoint_url:
        yield from _url(cloudwatch.endpoint_url, "endpoint_url", "http://127.0.0.1:4566")


def check_otel(otel: OtelSettings) -> Found:
    """All of [node.otel]."""
    yield from _url(otel.endpoint, "endpoint", "http://127.0.0.1:4318")


def _is_place(text: str) -> bool:
    kind, _, place = text.partition(":")
    if text == "stdout":
        return True
    if kind == "file":
        return bool(place) and "\0" not in place
    if kind not in ("tcp", "udp") or not place.startswith("//"):
        return False
    try:
        return not parse_address(place.removeprefix("//"), wildcard=False).is_unix
    except ValueError:
        return False


def _url(text: str, key: str, example: str) -> Found:
    try:
        url = urlsplit(text)
        is_right = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        yield (key,), f"must be a URL, as {example}"
    elif url.username or url.password:
        # Errors name URLs.
        yield (key,), "has a user or password in it; it must have none"
