"""Prometheus' text format (0.0.4), and OpenMetrics' (1.0).

    text = exposition(await node.observer.figures(pools=True), openmetrics=False)

prometheus-client makes an object of each sample: a scrape of 500 micro-pools takes several times as
long with it (bench/measures/scrape.py). The tests read what is written here with its parsers.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple

from forebay.channel.figures import Histogram, Number
from forebay.metrics.catalogue import CATALOGUE
from forebay.metrics.labels import escaped
from forebay.metrics.metric import Kind, Metric, snake
from forebay.metrics.micropools import MicroPools
from forebay.metrics.sources import Source, sources
from forebay.node.processes import NodeFigures

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

BOUNDS_US: Final = tuple(2.0**power for power in range(4, 28))
"""Upper bounds of histograms' buckets, 16 µs to 134 s: the counts in powers of two are exact."""

_TYPES: Final = {
    Kind.GAUGE: "gauge",
    Kind.COUNTER: "counter",
    Kind.SHARE: "counter",
    Kind.LATENCY: "histogram",
    Kind.MEAN: "summary",
}


def wants_openmetrics(accept: str) -> bool:
    """Whether a request with this Accept header is to be answered in OpenMetrics."""
    return "application/openmetrics-text" in accept.lower()


def content_type(*, openmetrics: bool) -> str:
    """What Content-Type says of an exposition."""
    return OPENMETRICS if openmetrics else TEXT


def exposition(
    figures: NodeFigures, *, openmetrics: bool = False, micro_pools: MicroPools | None = None
) -> bytes:
    """All metrics, as a scraper reads them, in UTF-8.

    ``micro_pools``: who is scraped keeps one, so that of more than 500 micro-pools the same ones
    are told apart each time. None: they are chosen anew.
    """
    by_scope = sources(figures, micro_pools or MicroPools())
    lines: list[str] = []
    for family in _families():
        begin = len(lines)
        for source in by_scope[family.metric.scope]:
            value = family.metric.read(source.of)
            if isinstance(value, Histogram):
                lines += _distribution(family, _text(source, family.labels), value)
            elif isinstance(value, Mapping):
                lines += _by_word(family, _text(source, family.labels), value)
            elif value is not None:
                lines.append(
                    f"{family.name}{_braces(source, family.labels)} {_told(family, value)}"
                )
        if len(lines) > begin:
            lines.insert(begin, family.openmetrics_head if openmetrics else family.head)
    lines.append("# EOF\n" if openmetrics else "")
    return "\n".join(lines).encode()


class _Family(NamedTuple):
    """A metric, with what is the same in each of its lines."""

    metric: Metric
    name: str
    labels: tuple[str, ...]
    factor: float
    head: str
    openmetrics_head: str


@cache
def _families() -> tuple[_Family, ...]:
    return tuple(
        _Family(
            metric,
            metric.prometheus,
            metric.labels,
            metric.in_base_units,
            _head(metric, metric.prometheus),
            _head(metric, metric.family, unit=metric.base_unit),
        )
        for metric in CATALOGUE
    )


def _head(metric: Metric, name: str, unit: str = "") -> str:
    lines = [f"# HELP {name} {metric.meaning}.", f"# TYPE {name} {_TYPES[metric.kind]}"]
    return "\n".join([*lines, f"# UNIT {name} {unit}"] if unit else lines)


def _text(source: Source, names: tuple[str, ...]) -> str:
    """The labels without braces."""
    text = source.texts.get(names)
    if text is None:
        text = ",".join(f'{name}="{escaped(source.labels[name])}"' for name in names)
        source.texts[names] = text
    return text


def _braces(source: Source, names: tuple[str, ...]) -> str:
    return f"{{{_text(source, names)}}}" if names else ""


def _told(family: _Family, value: Number) -> Number:
    return value if family.factor == 1.0 else value * family.factor


def _by_word(family: _Family, text: str, words: Mapping[str, Number]) -> Iterator[str]:
    label, comma = snake(family.metric.label), "," if text else ""
    for word, value in words.items():
        labels = f'{text}{comma}{label}="{escaped(word)}"'
        yield f"{family.name}{{{labels}}} {_told(family, value)}"


def _distribution(family: _Family, text: str, of: Histogram) -> Iterator[str]:
    comma, braces = ("," if text else ""), (f"{{{text}}}" if text else "")
    if family.metric.kind is Kind.LATENCY:
        for le, count in zip(_LES, of.cumulative(BOUNDS_US), strict=True):
            yield f'{family.name}_bucket{{{text}{comma}le="{le}"}} {count}'
        yield f'{family.name}_bucket{{{text}{comma}le="+Inf"}} {of.count}'
    yield f"{family.name}_sum{braces} {_told(family, of.sum_us)}"
    yield f"{family.name}_count{braces} {of.count}"


_LES: Final = tuple(repr(bound / 1e6) for bound in BOUNDS_US)
