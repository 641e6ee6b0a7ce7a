"""CloudWatch by PutMetricData (its API reference), with botocore: it comes with ``forebay[aws]``.
Credentials, region and endpoint are found by the usual variables and files.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from forebay.config.settings import CloudWatchSettings
from forebay.identity.sources.aws import (
    BAD_CREDENTIALS,
    DENIED,
    EXPIRED,
    THROTTLED,
    make_client,
)
from forebay.metrics.intervals import Sample
from forebay.metrics.lane import DeliveryError

MAX_DATA: Final = 500
"""In one request. AWS takes 1,000 and 1 MB: one has 1.2 kB at most, mostly 300 bytes."""
MISSING: Final = 'PutMetricData needs botocore: pip install "forebay[aws]"'

_CODE: Final = re.compile(r"[A-Za-z.]{1,64}")
# By the name of the class in botocore.exceptions.
_FAILURES: Final = {
    "NoCredentialsError": "there are no AWS credentials: set both keys, or give it a role",
    "PartialCredentialsError": "the AWS credentials lack a part: set both keys",
    "ProfileNotFound": "there is no profile as AWS_PROFILE names",
    "NoRegionError": "there is no region: set AWS_REGION, or node.cloudwatch.region",
    "EndpointConnectionError": "it can't be reached: no connection",
    "ConnectTimeoutError": "it can't be reached: no connection in time",
    "ReadTimeoutError": "it did not answer in time",
}

Datum = dict[str, Any]


def data(samples: Iterable[Sample], at: float) -> list[list[Datum]]:
    """What is sent for one interval, which is called ``at`` (Unix time), in parts that fit into a
    request: one value for each metric and dimension set."""
    found = list(_data(samples, datetime.fromtimestamp(at, UTC)))
    return [found[begin : begin + MAX_DATA] for begin in range(0, len(found), MAX_DATA)]


def _data(samples: Iterable[Sample], at: datetime) -> Iterator[Datum]:
    for sample in samples:
        for names in sample.sets:
            yield {
                "MetricName": sample.metric.name,
                "Dimensions": [{"Name": name, "Value": sample.dimensions[name]} for name in names],
                "Timestamp": at,
                "Value": float(sample.value),
                "Unit": sample.metric.unit,
            }


class CloudWatch:
    """PutMetricData in one region. For one thread."""

    def __init__(self, settings: CloudWatchSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        # botocore knows no AWS_REGION.
        self._region = settings.region or environ.get("AWS_REGION") or None
        self._client: Any = None

    def deliver(self, part: list[Datum]) -> None:
        """Send a part. Raises DeliveryError."""
        try:
            if self._client is None:
                endpoint_url = self._settings.endpoint_url or None
                self._client = make_client(self._region, "cloudwatch", endpoint_url)
            self._client.put_metric_data(Namespace=self._settings.namespace, MetricData=part)
        except ImportError:
            raise DeliveryError(MISSING, transient=False) from None
        except Exception as error:  # noqa: BLE001 - botocore lets through what its libraries raise
            found = explain(error)
            if not found.transient:
                self._client = None  # credentials are looked for anew
            raise found from None  # a traceback would show botocore's message


def explain(error: Exception) -> DeliveryError:
    """A failure of botocore's as a sentence. What was answered is repeated but for its code: an
    endpoint can answer anything."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
        return _explain_answer(response)
    name = type(error).__name__
    text = _FAILURES.get(name, f"the request failed ({name})")
    is_about_us = any(word in name for word in ("Credential", "Profile", "Region", "Param"))
    return DeliveryError(text, transient=not is_about_us)


def _explain_answer(response: Mapping[str, Any]) -> DeliveryError:
    code = str(response["Error"].get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in DENIED:
        text = "AWS denies it: allow cloudwatch:PutMetricData to this role"
        return DeliveryError(text, transient=False)
    if code in EXPIRED:
        text = "the AWS credentials have expired: log in again, or renew them"
        return DeliveryError(text, transient=False)
    if code in BAD_CREDENTIALS:
        text = "AWS does not take the credentials: see the access key, its secret and the clock"
        return DeliveryError(text, transient=False)
    if code in THROTTLED or status == 429:
        return DeliveryError("it takes no more requests for now: throttled")
    name = code if _CODE.fullmatch(code) else "no error that it has"
    is_transient = not isinstance(status, int) or status >= 500
    return DeliveryError(
        f"it answered with an error ({name}, HTTP {status})", transient=is_transient
    )
