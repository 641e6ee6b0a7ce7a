"""PutMetricData: what is sent, and what its failures mean."""

import builtins
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from forebay.config.settings import CloudWatchSettings
from forebay.embedded.surroundings import free_port
from forebay.identity.sources.aws import make_client
from forebay.metrics import cloudwatch
from forebay.metrics.cloudwatch import CloudWatch, data, explain
from forebay.metrics.intervals import Intervals, Sample
from forebay.metrics.lane import DeliveryError
from forebay.metrics.metric import ENDPOINT, PROXY, Kind, Metric
from tests.unit.metrics.made import node_figures

AT = 1_700_000_040.0
SETTINGS = CloudWatchSettings(put_metric_data=True, region="eu-west-1")


def sample(number: int, sets: tuple[tuple[str, ...], ...] = (PROXY,)) -> Sample:
    metric = Metric(f"M{number}", Kind.GAUGE, lambda _: 0, "")
    return Sample(metric, number, sets, {"ProxyName": "app", "EndpointName": "default"})


def test_there_is_a_value_for_each_dimension_set() -> None:
    (part,) = data([sample(7, (PROXY, ENDPOINT))], AT)
    both = {
        "MetricName": "M7",
        "Timestamp": datetime.fromtimestamp(AT, UTC),
        "Value": 7.0,
        "Unit": "Count",
    }
    name = {"Name": "ProxyName", "Value": "app"}
    assert part == [
        {**both, "Dimensions": [name]},
        {**both, "Dimensions": [name, {"Name": "EndpointName", "Value": "default"}]},
    ]


def test_many_are_sent_in_parts() -> None:
    parts = data([sample(number) for number in range(1200)], AT)
    assert [len(each) for each in parts] == [500, 500, 200]
    assert [each["Value"] for part in parts for each in part] == list(range(1200))


def test_aws_would_take_all_that_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore checks it against the model of its API."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    client = make_client("eu-west-1", "cloudwatch")
    monkeypatch.setattr(cloudwatch, "make_client", lambda *_: client)
    parts = data(Intervals().next(node_figures()), AT)
    sender = CloudWatch(SETTINGS, {})
    with Stubber(client) as stubber:
        for part in parts:
            assert len(repr(part)) < 1 << 20
            expected = {"Namespace": "Forebay", "MetricData": ANY}
            stubber.add_response("put_metric_data", {}, expected)
            sender.deliver(part)
        stubber.assert_no_pending_responses()


class Client:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def put_metric_data(self, **_: object) -> None:
        raise self.error


def refusal(code: str, status: int | None = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "arn:secret"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "PutMetricData")


@pytest.mark.parametrize(
    ("error", "text", "transient"),
    [
        (refusal("ThrottlingException"), "it takes no more requests for now: throttled", True),
        (refusal("Anything", 429), "it takes no more requests for now: throttled", True),
        (
            refusal("AccessDenied", 403),
            "AWS denies it: allow cloudwatch:PutMetricData to this role",
            False,
        ),
        (
            refusal("ExpiredToken", 403),
            "the AWS credentials have expired: log in again, or renew them",
            False,
        ),
        (
            refusal("InvalidClientTokenId", 403),
            "AWS does not take the credentials: see the access key, its secret and the clock",
            False,
        ),
        (
            refusal("InternalFailure", 500),
            "it answered with an error (InternalFailure, HTTP 500)",
            True,
        ),
        (refusal("Bad", 400), "it answered with an error (Bad, HTTP 400)", False),
        (
            refusal("<html>", None),
            "it answered with an error (no error that it has, HTTP None)",
            True,
        ),
        (
            botocore.exceptions.NoRegionError(),
            "there is no region: set AWS_REGION, or node.cloudwatch.region",
            False,
        ),
        (
            botocore.exceptions.NoCredentialsError(),
            "there are no AWS credentials: set both keys, or give it a role",
            False,
        ),
        (
            botocore.exceptions.EndpointConnectionError(endpoint_url="https://secret"),
            "it can't be reached: no connection",
            True,
        ),
        (OSError("secret"), "the request failed (OSError)", True),
    ],
)
def test_failures_are_sentences_without_what_was_answered(
    error: Exception, text: str, transient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = explain(error)
    assert (str(found), found.transient) == (text, transient)
    made: list[tuple[object, ...]] = []

    def make(*arguments: object) -> Client:
        made.append(arguments)
        return Client(error)

    monkeypatch.setattr(cloudwatch, "make_client", make)
    sender = CloudWatch(SETTINGS, {})
    for _ in range(2):
        with pytest.raises(DeliveryError) as caught:
            sender.deliver([])
        assert str(caught.value) == text
        assert caught.value.__cause__ is None
    assert made[0] == ("eu-west-1", "cloudwatch", None)
    assert len(made) == (1 if transient else 2)  # credentials are looked for anew


@pytest.mark.parametrize(
    ("settings", "environ", "region"),
    [
        ({"region": "us-east-1"}, {"AWS_REGION": "eu-west-1"}, "us-east-1"),
        ({}, {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({}, {}, None),
    ],
)
def test_region_and_endpoint_are_the_settings_or_awss(
    settings: dict[str, str],
    environ: Mapping[str, str],
    region: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[object, ...]] = []

    def make(*arguments: object) -> Client:
        made.append(arguments)
        return Client(OSError())

    monkeypatch.setattr(cloudwatch, "make_client", make)
    own = CloudWatchSettings(put_metric_data=True, endpoint_url="http://127.0.0.1:1", **settings)
    with pytest.raises(DeliveryError):
        CloudWatch(own, environ).deliver([])
    assert made == [(region, "cloudwatch", "http://127.0.0.1:1")]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")


def at(url: str) -> CloudWatch:
    settings = CloudWatchSettings(put_metric_data=True, region="eu-west-1", endpoint_url=url)
    return CloudWatch(settings, {})


class Throttling(BaseHTTPRequestHandler):
    """Answers as AWS does who has asked too often."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("keys")
def test_a_cloudwatch_that_throttles() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Throttling) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            sender = at(f"http://127.0.0.1:{server.server_address[1]}")
            with pytest.raises(DeliveryError, match="throttled") as caught:
                sender.deliver(data([sample(1)], AT)[0])
            assert caught.value.transient
            sender._client.close()
        finally:
            server.shutdown()
            thread.join(30)


@pytest.mark.usefixtures("keys")
def test_a_cloudwatch_that_is_away() -> None:
    with pytest.raises(DeliveryError, match="it can't be reached: no connection") as caught:
        at(f"http://127.0.0.1:{free_port()}").deliver(data([sample(1)], AT)[0])
    assert caught.value.transient


def test_without_botocore_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.startswith("botocore"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DeliveryError, match=r"forebay\[aws\]"):
        CloudWatch(SETTINGS, {}).deliver([])
