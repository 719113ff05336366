"""Draws a verdict's interval as a line of text, on a scale that runs in thresholds so that all lines compare."""

from __future__ import annotations

import math

from edgekit.bench.gate.verdict import Verdict
from edgekit.bench.statistics import Interval

LEGEND = "* estimate, [ ] interval, 0 no change, T the most that is allowed, < > beyond the scale; rightward is worse"

# The scale in thresholds: as far below the threshold as above it.
LEFT, RIGHT = -1, 3


def in_thresholds(verdict: Verdict) -> tuple[Interval, float] | None:
    """The change and its threshold as multiples of the threshold, which thus is 1; None where nothing was compared.

    A threshold of 0 stays 0, and the largest finite number of the change becomes 1.
    """
    if verdict.effect is None:
        return None
    numbers = (verdict.effect.value, verdict.effect.low, verdict.effect.high)
    unit = abs(verdict.threshold) or max((abs(x) for x in numbers if math.isfinite(x)), default=0.0) or 1.0
    return Interval(*(x / unit for x in numbers)), verdict.threshold / unit


def interval_bar(verdict: Verdict, *, columns: int = 10) -> str:
    """`|---------0---------T--[=*=]-------------|`; the interval is beside T or around it, as it truly is.

    columns: characters for one threshold, at least 5; the bar is 4 of these and 1 wide.
    """
    scaled = in_thresholds(verdict)
    last = (RIGHT - LEFT) * columns
    if scaled is None:
        return f"|{' not compared '.center(last - 1, '-')}|"
    effect, limit = scaled
    mark = min(max(_column(limit, columns), 4), last - 4)
    low, value, high = _placed(effect, limit, mark=mark, columns=columns)
    line = ["|", *"-" * (last - 1), "|"]
    line[_column(0.0, columns)] = "0"
    line[low : high + 1] = "=" * (high + 1 - low)
    line[mark] = "T"
    line[low] = "<" if effect.low < LEFT else "["
    line[high] = ">" if effect.high > RIGHT else "]"
    line[value] = "*"
    return "".join(line)


def scale_line(*, columns: int = 10) -> str:
    """What stands above bars: which side is which."""
    return "better" + "worse".rjust((RIGHT - LEFT) * columns + 1 - len("better"))


def _column(x: float, columns: int) -> int:
    return round(columns * (min(max(x, LEFT), RIGHT) - LEFT))


def _placed(effect: Interval, limit: float, *, mark: int, columns: int) -> tuple[int, int, int]:
    """Columns of the bounds and of the estimate between them: one column if all are the same, else three."""
    last = (RIGHT - LEFT) * columns
    if effect.low > RIGHT:
        return last - 1, last - 1, last
    if effect.high < LEFT:
        return 0, 1, 1
    value = min(max(_column(effect.value, columns), 1), last - 1)
    if effect.low == effect.high:
        value = max(value, mark + 1) if effect.value > limit else min(value, mark - 1)
        return value, value, value
    low, high = _column(effect.low, columns), _column(effect.high, columns)
    if effect.high <= limit:
        high = max(min(high, mark - 1), 2)
        value = min(value, high - 1)
    elif effect.low > limit:
        low = min(max(low, mark + 1), last - 2)
        value = max(value, low + 1)
    else:
        value = value if value != mark else mark + (1 if effect.value > limit else -1)
        low, high = min(low, mark - 1), max(high, mark + 1)
    return _around(low, value, high)


def _around(low: int, value: int, high: int) -> tuple[int, int, int]:
    return min(low, value - 1), value, max(high, value + 1)
