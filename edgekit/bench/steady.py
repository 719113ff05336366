"""What to know of calls before their figures are believed: were they steady, and do their tails tell the same story?

Nothing is ever trimmed: what is found is told as a tag beside the figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgekit.bench.statistics import Calls, Interval, Ratio, chunk_minimum, compare, hodges_lehmann
from edgekit.errors import MeasurementError

STEADY = 0.02  # a drift within it is harmless: as small as what ranks two variants as equal, below what a gate fails
NO_STEADY_STATE = "no-steady-state"
TAILS_DISAGREE = "tails-disagree"
TAILS = {"p50": 50, "p90": 90}


def drift(calls: Calls) -> Interval:
    """By which share calls became slower within a session; below 0 they became faster.

    For each session, the median of the chunk minima in the last third of its rounds over that in the first third;
    across sessions the Hodges-Lehmann estimate on logs with its exact 95 % interval. The interval is -1 to infinity
    where there are fewer than 6 sessions, or a session of a single round, which has no first and last.

    Raises:
        MeasurementError: there are no calls.
    """
    if not calls or not all(calls):
        raise MeasurementError("there are no calls that could have drifted; measure at least one session of one round")
    if min(len(session) for session in calls) < 2:
        return Interval(0.0, -1.0, math.inf)
    location = hodges_lehmann([_log_drift(session) for session in calls])
    return Interval(math.expm1(location.value), math.expm1(location.low), math.expm1(location.high))


def tags(calls: Calls) -> tuple[str, ...]:
    """`no-steady-state` where the whole interval of `drift` lies on one side beyond 2 %."""
    found = drift(calls)
    return (NO_STEADY_STATE,) if found.low > STEADY or found.high < -STEADY else ()


def tail_ratios(head_calls: Calls, base_calls: Calls) -> dict[str, Ratio]:
    """Head over base by the p50 and the p90 of all calls, where `compare` takes the least of each chunk.

    For each session the ratio of the two arms' percentiles, over all calls but the first of a chunk; across sessions
    as in `compare`.

    Raises:
        MeasurementError: the two were not measured in the same sessions.
    """
    if len(head_calls) != len(base_calls) or not head_calls:
        raise MeasurementError("the two arms were not measured in the same sessions; measure them together")
    pairs = [(_timed(head), _timed(base)) for head, base in zip(head_calls, base_calls, strict=True)]
    return {name: _tail_ratio(pairs, q) for name, q in TAILS.items()}


def tail_tags(head_calls: Calls, base_calls: Calls) -> tuple[str, ...]:
    """`tails-disagree` where the interval of a tail's ratio and that of the ratio of minima do not overlap."""
    minima = compare(head_calls, base_calls)
    ratios = tail_ratios(head_calls, base_calls).values()
    return (TAILS_DISAGREE,) if any(_apart(ratio, minima) for ratio in ratios) else ()


def remarks(name: str, calls: Calls, base_calls: Calls | None = None) -> list[str]:
    """A sentence for each tag of the arm `name`, with the figures behind it; none for an arm without tags.

    base_calls: of the arm that it is compared with, if there is one.
    """
    found = [_drift_remark(name, drift(calls))] if tags(calls) else []
    if base_calls is not None and tail_tags(calls, base_calls):
        tails = ", ".join(f"{_shown(ratio)} by {q}" for q, ratio in tail_ratios(calls, base_calls).items())
        minima = _shown(compare(calls, base_calls))
        found.append(f"{TAILS_DISAGREE}: {name} takes {minima} times the base's time by chunk minima, but {tails}.")
    return found


def _drift_remark(name: str, found: Interval) -> str:
    bounds = f"{found.value:+.1%} [{found.low:+.1%}, {found.high:+.1%}]".replace("%", " %")
    return f"{NO_STEADY_STATE}: the calls of {name} changed by {bounds} within sessions; nothing was left out."


def _log_drift(session: Sequence[Sequence[int]]) -> float:
    minima = [chunk_minimum(chunk) for chunk in session]
    third = max(1, len(minima) // 3)
    return math.log(float(np.median(minima[-third:])) / float(np.median(minima[:third])))


def _timed(session: Sequence[Sequence[int]]) -> list[int]:
    return [max(1, ns) for chunk in session for ns in (chunk[1:] or chunk)]


def _tail_ratio(pairs: Sequence[tuple[list[int], list[int]]], q: float) -> Ratio:
    location = hodges_lehmann([math.log(np.percentile(head, q) / np.percentile(base, q)) for head, base in pairs])
    return Ratio(math.exp(location.value), math.exp(location.low), math.exp(location.high), len(pairs))


def _apart(a: Ratio, b: Ratio) -> bool:
    return a.low > b.high or a.high < b.low


def _shown(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
