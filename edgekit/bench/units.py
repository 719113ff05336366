"""Writes quantities the way people read them: three digits and the unit that fits."""

from __future__ import annotations

import math

from edgekit.bench.accuracy import PERCENT_METRICS, Accuracy
from edgekit.bench.statistics import Interval, Ratio, Withheld

NOTHING = "-"

_DURATIONS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_ENERGIES = ((1e6, "J"), (1e3, "mJ"), (1.0, "µJ"))
_RATES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))

Cell = tuple[str, str]
"""A value, and its interval or an empty string."""


def duration(ns: float) -> str:
    """`6.13 µs`."""
    scale, unit = _scale(ns, _DURATIONS)
    return f"{digits(ns / scale)} {unit}"


def round_duration(ns: float) -> str:
    """`5 µs`, for times that are round already, such as an axis's."""
    scale, unit = _scale(ns, _DURATIONS)
    return f"{ns / scale:g} {unit}"


def duration_cell(interval: Interval | None) -> Cell:
    """`6.13 µs` and `[6.02, 6.31]`, bounds in the value's unit."""
    if interval is None:
        return NOTHING, ""
    scale, _ = _scale(interval.value, _DURATIONS)
    return duration(interval.value), _bounds(interval, scale)


def percentile_cell(interval: Interval | None, withheld: Withheld | None) -> Cell:
    """As `duration_cell`; where there are too few calls, `withheld` and `384 of 662, ≤ 12.1 µs`: calls, and a bound."""
    if interval is not None or withheld is None:
        return duration_cell(interval)
    bound = f", ≤ {duration(withheld.upper)}" if withheld.upper is not None else ""
    return "withheld", f"{withheld.count} of {withheld.needed}{bound}"


def size(size_bytes: float | None) -> str:
    """`56.2 MB`, in powers of 1000."""
    if size_bytes is None:
        return NOTHING
    scale, unit = _scale(size_bytes, _SIZES)
    return f"{size_bytes:.0f} B" if unit == "B" else f"{digits(size_bytes / scale)} {unit}"


def rate(per_s: float | None) -> str:
    """`163k/s`."""
    if per_s is None:
        return NOTHING
    scale, unit = _scale(per_s, _RATES)
    return f"{digits(per_s / scale)}{unit}/s"


def rate_cell(interval: Interval | None) -> Cell:
    """`163k/s` and `[160, 166]`, bounds in the value's unit."""
    if interval is None:
        return NOTHING, ""
    scale, _ = _scale(interval.value, _RATES)
    return rate(interval.value), _bounds(interval, scale)


def share_cell(interval: Interval | None) -> Cell:
    """`50.1 %` and `[48.0, 52.3]`."""
    if interval is None:
        return NOTHING, ""
    return f"{digits(100 * interval.value)} %", _bounds(interval, 0.01)


def energy_cell(interval: Interval | None) -> Cell:
    """`1.20 mJ` and `[1.18, 1.22]` of microjoules; `unavailable` where this machine does not tell."""
    if interval is None:
        return "unavailable", ""
    scale, unit = _scale(interval.value, _ENERGIES)
    return f"{digits(interval.value / scale)} {unit}", _bounds(interval, scale)


def accuracy_cell(accuracy: Accuracy | None) -> Cell:
    """`97.8 %` and `[96.0, 98.8]` for a share, else the score in the metric's own unit."""
    if accuracy is None:
        return NOTHING, ""
    if accuracy.metric in PERCENT_METRICS:
        return f"{accuracy.value:.1%}".replace("%", " %"), f"[{accuracy.low * 100:.1f}, {accuracy.high * 100:.1f}]"
    return f"{accuracy.value:.4g}", f"[{accuracy.low:.4g}, {accuracy.high:.4g}]"


def ratio_cell(ratio: Ratio | None) -> Cell:
    """`0.52` and `[0.50, 0.54]`; `no interval` where there were too few sessions; `base` for the base."""
    if ratio is None:
        return "base", ""
    if ratio.low == 0.0:
        return f"{ratio.value:.2f}", "no interval"
    return f"{ratio.value:.2f}", f"[{ratio.low:.2f}, {ratio.high:.2f}]"


def digits(value: float) -> str:
    """Three significant digits without an exponent: `6.13`, `61.3`, `613`, `6130`."""
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"


def _bounds(interval: Interval, scale: float) -> str:
    """`[6.02, 6.31]`, or `no interval` where a bound is infinite."""
    if math.isinf(interval.high):
        return "no interval"
    return f"[{digits(interval.low / scale)}, {digits(interval.high / scale)}]"


def _scale(value: float, scales: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    """The largest unit of which there is at least one, after rounding to three digits: 999.6 µs is 1.00 ms."""
    return next((found for found in scales if abs(value) >= 0.9995 * found[0]), scales[-1])
