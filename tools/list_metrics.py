"""Lists the metrics in docs/metrics.md: ``list_metrics.py [--check]``.

What is listed is the catalogue in forebay/metrics/catalogue.py, between the lines that name it.
With --check nothing is written, and the exit code is 1 if the file is not up to date.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from forebay.metrics import CATALOGUE, Metric, Scope
from forebay.metrics.metric import snake
from forebay.metrics.ours import CLIENTS, CREDENTIALS, DATABASE, SERVERS, SESSIONS
from forebay.metrics.rds import RDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
TABLES: dict[str, Sequence[Metric]] = {
    "RDS Proxy's": RDS,
    "clients": CLIENTS,
    "database connections": DATABASE,
    "servers": SERVERS,
    "sessions": SESSIONS,
    "credentials": CREDENTIALS,
    "micro-pools": [each for each in CATALOGUE if each.scope is Scope.MICRO_POOL],
    "processes": [each for each in CATALOGUE if each.scope in (Scope.PROCESS, Scope.NODE)],
}


def listed(metrics: Sequence[Metric]) -> Iterator[str]:
    """The lines of a table."""
    yield "| CloudWatch | unit | dimensions | Prometheus | kind | meaning |"
    yield "|---|---|---|---|---|---|"
    for each in metrics:
        sets = [
            *each.dimensions,
            *([(*each.dimensions[0], each.label)] if _has_words(each) else []),
        ]
        told = "; ".join(", ".join(names) or "none" for names in sets)
        cells = [
            f"`{each.name}`" if sets else "not sent",
            each.unit if sets else "",
            told,
            f"`{_prometheus(each)}`",
            each.kind.value,
            each.meaning,
        ]
        yield f"| {' | '.join(cells)} |"


def _has_words(metric: Metric) -> bool:
    return bool(metric.label and metric.dimensions)


def _prometheus(metric: Metric) -> str:
    labels = [*metric.labels, *([snake(metric.label)] if metric.label else [])]
    return f"{metric.prometheus}{{{', '.join(labels)}}}" if labels else metric.prometheus


def relisted(page: str) -> str:
    """The page with the metrics as they are in the catalogue."""
    for name, metrics in TABLES.items():
        begin, end = f"<!-- metrics: {name} -->\n", "<!-- end of metrics -->\n"
        block = begin + "\n".join(listed(metrics)) + "\n" + end
        page, count = re.subn(
            re.escape(begin) + ".*?" + re.escape(end),
            lambda _, block=block: block,
            page,
            flags=re.S,
        )
        if count != 1:
            raise SystemExit(f"{PAGE.name} must have one {begin.strip()}, and has {count}")
    return page


def main() -> int:
    page = PAGE.read_text()
    new = relisted(page)
    if "--check" in sys.argv[1:]:
        return int(new != page)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
