"""Why a verdict is what it is, in plain words, with the bound that decided it."""

from __future__ import annotations

from edgekit.bench.accuracy import mcnemar_p
from edgekit.bench.gate.evidence import Evidence, LostShare
from edgekit.bench.gate.verdict import Outcome

# Metric -> what a change above 0 means, and one below.
DIRECTIONS = {
    "latency": ("slower", "faster"),
    "load": ("slower to load", "faster to load"),
    "rss": ("more memory", "less memory"),
    "size": ("larger", "smaller"),
    "accuracy": ("lost", "gained"),
}


def reason(metric: str, evidence: Evidence, threshold: float, *, outcome: Outcome, alpha: float) -> str:
    """`at least 4.8 % slower; 2.5 % is allowed`, and what would settle it where that is open.

    alpha: the chance of each bound to be wrong, on its side.
    """
    low, high, allowed = evidence.low(alpha), evidence.high(alpha), f"{_amount(metric, threshold)} is allowed"
    counts = _counts(evidence)
    if evidence.pairs == 0:
        return f"{_change(metric, evidence.value)}; {allowed}"
    if outcome is Outcome.FAIL:
        return f"at least {_change(metric, low)}; {allowed}{counts}"
    if outcome is Outcome.PASS:
        bound = "at most" if high >= 0 else "at least"
        return f"{bound} {_change(metric, high)}; {allowed}{counts}"
    open_question = f"between {_change(metric, low)} and {_change(metric, high)}; {allowed}"
    if low > threshold:
        open_question += ", which it exceeds on its own, but not surely so as one of several metrics"
    needed = evidence.needed(threshold, alpha)
    what = "samples" if metric == "accuracy" else "sessions"
    return open_question + (f"; about {needed} {what} would tell" if needed is not None else "") + counts


def _change(metric: str, change: float) -> str:
    worse, better = DIRECTIONS[metric]
    return f"{_amount(metric, abs(change))} {worse if change >= 0 else better}"


def _amount(metric: str, change: float) -> str:
    return f"{change:.4f}" if metric == "accuracy" else f"{change * 100:.1f} %"


def _counts(evidence: Evidence) -> str:
    """How many samples each side alone got right, with the exact test of their being equally many."""
    if not isinstance(evidence, LostShare):
        return ""
    p = mcnemar_p(evidence.gained, evidence.lost)
    return f" ({evidence.lost} samples lost, {evidence.gained} gained: exact McNemar p = {p:.3g})"
