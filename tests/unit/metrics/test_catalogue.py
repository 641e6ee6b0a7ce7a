"""The list as a whole."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from forebay.channel.figures import Histogram, PoolFigures
from forebay.metrics.catalogue import CATALOGUE
from forebay.metrics.metric import Kind, Scope
from forebay.metrics.rds import RDS
from tests.unit.metrics.made import node_figures, proxy_figures

ROOT = Path(__file__).parents[3]
OF = {
    Scope.NODE: node_figures(),
    Scope.PROCESS: node_figures().node,
    Scope.PROXY: proxy_figures(),
    Scope.MICRO_POOL: PoolFigures(database="d", user="u"),
}


def test_names_are_given_once() -> None:
    for names in (
        [each.name for each in CATALOGUE],
        [each.family for each in CATALOGUE],
        [(each.opentelemetry, *each.otel_attributes.items()) for each in CATALOGUE],
    ):
        assert [name for name, count in Counter(names).items() if count > 1] == []


def test_no_metric_is_called_as_a_dimension() -> None:
    """A line of EMF has both on one level."""
    dimensions = {name for each in CATALOGUE for names in each.dimensions for name in names}
    assert not {each.name for each in CATALOGUE} & {*dimensions, *(m.label for m in CATALOGUE)}


def test_names_are_of_the_right_form() -> None:
    for each in CATALOGUE:
        assert re.fullmatch(r"[A-Z][A-Za-z]{1,254}", each.name)  # CloudWatch's, of one style
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", each.prometheus)
        assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", each.opentelemetry)
        assert each.meaning[0].isupper() or each.meaning.startswith("1 ")
        assert not each.meaning.endswith(".")


def test_kinds_and_what_is_read_fit() -> None:
    for each in CATALOGUE:
        value = each.read(OF[each.scope])
        assert isinstance(value, Histogram) == (each.kind in (Kind.LATENCY, Kind.MEAN)), each.name
        assert isinstance(value, dict) == bool(each.label), each.name


def test_latencies_are_in_microseconds_and_shares_in_percent() -> None:
    for each in CATALOGUE:
        assert (each.unit == "Microseconds") == (each.kind in (Kind.LATENCY, Kind.MEAN))
        assert (each.unit == "Percent") == (each.kind is Kind.SHARE)


def test_cloudwatch_gets_no_micro_pools_and_at_most_30_dimensions() -> None:
    for each in CATALOGUE:
        assert each.scope is not Scope.MICRO_POOL or not each.dimensions
        assert all(len(names) < 30 for names in each.dimensions)


def test_the_page_lists_them() -> None:
    command = [sys.executable, "tools/list_metrics.py", "--check"]
    listed = subprocess.run(command, cwd=ROOT, check=False, timeout=60)
    assert listed.returncode == 0, "python tools/list_metrics.py"
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert all(f"| `{each.name}` |" in page for each in CATALOGUE if each.dimensions)
    assert all(f"`{each.prometheus}" in page for each in CATALOGUE)


def test_the_page_says_what_aws_bills() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert f"come to {sum(len(each.dimensions) for each in RDS)} for each proxy" in page
    everything = sum(len(each.dimensions) for each in CATALOGUE)
    (some,) = re.findall(r"and all to some (\d+)\.", page)
    assert abs(everything - int(some)) < 10
