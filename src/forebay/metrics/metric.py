"""What a row of the catalogue says, and the names that are derived from it."""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Literal

import msgspec

from forebay.channel.figures import Histogram, Number

Value = Number | Histogram | Mapping[str, Number] | None
"""None: not known at the moment. A mapping: by the word that the metric's ``label`` takes."""

Unit = Literal["Count", "Percent", "Microseconds", "Seconds", "Bytes"]
"""CloudWatch's: StandardUnit in the API reference of MetricDatum."""

DimensionSet = tuple[str, ...]

PREFIX: Final = "forebay"
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Prometheus and OpenTelemetry want base units; microseconds become seconds.
_SUFFIXES: Final = {"Microseconds": "seconds", "Seconds": "seconds", "Bytes": "bytes"}

# The dimension sets of RDS Proxy ("Monitoring RDS Proxy metrics with Amazon CloudWatch" in the
# Aurora user guide), and ours of the process.
PROXY: Final[DimensionSet] = ("ProxyName",)
ENDPOINT: Final[DimensionSet] = ("ProxyName", "EndpointName")
TARGET: Final[DimensionSet] = ("ProxyName", "TargetGroup", "Target")
ROLE: Final[DimensionSet] = ("ProxyName", "TargetGroup", "TargetRole")
PROCESS: Final[DimensionSet] = ("Process",)
NODE: Final[DimensionSet] = ()


class Kind(Enum):
    """How values follow each other, and so what becomes of them over an interval."""

    GAUGE = "gauge"  # what is so now
    COUNTER = "counter"  # only rises; an interval has the difference
    SHARE = "share"  # seconds in which something was so; an interval has its part in percent
    LATENCY = "latency"  # a histogram; an interval has the mean
    MEAN = "mean"  # the same without buckets


class Scope(Enum):
    """Of what there is one value each, and what `Metric.read` is given."""

    NODE = "node"  # NodeFigures
    PROCESS = "process"  # ProcessFigures
    PROXY = "proxy"  # ProxyFigures
    MICRO_POOL = "micro-pool"  # PoolFigures


class Metric(msgspec.Struct, frozen=True):
    """One metric.

    ``name``: CloudWatch's. ``meaning``: a sentence, for HELP lines and docs/metrics.md. ``read``:
    takes the value from what its scope has. ``dimensions``: the sets under which CloudWatch gets
    it; none: CloudWatch does not get it. ``label``: if `read` returns a mapping, CloudWatch's name
    for the dimension that tells its words apart; its first set has their sum. ``is_rds``: RDS Proxy
    has it. ``otel``: its name in OpenTelemetry's semantic conventions, with fixed attributes.
    """

    name: str
    kind: Kind
    read: Callable[[Any], Value]
    meaning: str
    unit: Unit = "Count"
    scope: Scope = Scope.PROXY
    dimensions: tuple[DimensionSet, ...] = (PROXY,)
    label: str = ""
    is_rds: bool = False
    otel: str = ""
    otel_attributes: Mapping[str, str] = {}

    @property
    def in_base_units(self) -> float:
        """What a value is multiplied by to be in seconds or bytes."""
        return 1e-6 if self.unit == "Microseconds" else 1.0

    @property
    def base_unit(self) -> str:
        """ "seconds", "bytes", or "" of a count."""
        return "seconds" if self.kind is Kind.SHARE else _SUFFIXES.get(self.unit, "")

    @property
    def family(self) -> str:
        """The name in Prometheus without the suffix of counters, as OpenMetrics has it."""
        words = snake(self.name.removesuffix("Percentage")).split("_")
        if self.base_unit and words[-1] != self.base_unit:
            words.append(self.base_unit)
        return "_".join([PREFIX, *words])

    @property
    def prometheus(self) -> str:
        """The name in Prometheus: forebay_client_connections_closed_total, say. Of a histogram,
        what its _bucket, _sum and _count begin with."""
        is_counter = self.kind in (Kind.COUNTER, Kind.SHARE)
        return f"{self.family}_total" if is_counter else self.family

    @property
    def opentelemetry(self) -> str:
        """The name in OpenTelemetry: that of the conventions, or forebay.client_connections, say;
        units are no part of it."""
        return self.otel or f"{PREFIX}.{snake(self.name.removesuffix('Percentage'))}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its labels in Prometheus, but for the one of `label`."""
        if self.scope is not Scope.PROXY:
            return {
                Scope.NODE: (),
                Scope.PROCESS: ("process",),
                Scope.MICRO_POOL: ("proxy", "database", "user"),
            }[self.scope]
        told = {name for names in self.dimensions for name in names}
        return ("proxy", *(LABELS[name] for name in LABELS if name in told))


# EndpointName and TargetGroup are always "default" here, so they tell nothing apart.
LABELS: Final = {"Target": "target", "TargetRole": "target_role"}


def snake(name: str) -> str:
    """``ClientConnectionsNoTLS`` → ``client_connections_no_tls``."""
    return _WORDS.sub("_", name).lower()
