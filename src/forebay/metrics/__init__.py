"""What Forebay counts, under the names and in the units of those who collect it: Prometheus,
CloudWatch, OpenTelemetry, the log. It asks the node's observer, never the worker.

`catalogue` is the only list of metrics; the exporters are loops over it.
"""

from forebay.metrics.catalogue import CATALOGUE
from forebay.metrics.metric import Kind, Metric, Scope
from forebay.metrics.micropools import MicroPools
from forebay.metrics.prometheus import exposition

__all__ = ["CATALOGUE", "Kind", "Metric", "MicroPools", "Scope", "exposition"]
