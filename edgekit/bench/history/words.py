"""How a series reads: its metric's title, and a value in its unit."""

from __future__ import annotations

from edgekit.bench.accuracy import PERCENT_METRICS
from edgekit.bench.history.series import Series
from edgekit.bench.units import duration, size

METRIC_TITLES = {"latency": "p50", "load": "load", "rss": "peak RSS", "size": "size"}


def value_text(series: Series, value: float) -> str:
    """A value in the series' unit: `6.13 µs`, `56.2 MB`, `97.8 %`."""
    if series.unit == "ns":
        return duration(value)
    if series.unit == "bytes":
        return size(value)
    return f"{value:.2%}".replace("%", " %") if series.unit in PERCENT_METRICS else f"{value:.4g}"


def metric_title(series: Series) -> str:
    """`p50`, or the name of the accuracy metric."""
    return METRIC_TITLES.get(series.metric, series.unit)
