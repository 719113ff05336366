"""Which variant ships: within the accuracy budget, and measured faster than the best plain float one, or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.bench.accuracy import Accuracy, Drop
from edgekit.bench.measure import Measurement
from edgekit.bench.statistics import Ratio, compare, timed_calls
from edgekit.building.variants import PRECISION_ORDER, REFERENCE, Variant
from edgekit.errors import BackendError
from edgekit.recipes.recipe import Budget

TIE = 0.02  # variants of one precision whose latencies differ by less are told apart by their tails


@dataclass(frozen=True)
class Trial:
    """What is known of a variant once it has been tried.

    files: what the compiler made, by role; empty if `failure` says why it could not.
    accuracy, drop: on the evaluation data; None without such data. The drop is against the float reference.
    measurement: None where the target cannot be run here.
    """

    variant: Variant
    files: Mapping[str, Path]
    failure: str = ""
    accuracy: Accuracy | None = None
    drop: Drop | None = None
    measurement: Measurement | None = None


@dataclass(frozen=True)
class Verdict:
    """What becomes of a variant, and why, in words. ratio: its latency over that of the variant it had to beat."""

    name: str
    ships: bool
    reason: str
    ratio: Ratio | None = None


def judge(trials: Sequence[Trial], budget: Budget) -> tuple[Verdict, ...]:
    """A verdict for each trial; exactly one ships.

    The best f32 variant holds the place to begin with. bf16, then int8, takes it only if its drop is within the budget
    (one-sided 95 %) and the whole 95 % interval of its latency ratio to the holder is below 1.

    Raises:
        BackendError: the float reference failed: there is nothing to judge the others by.
    """
    for trial in trials:
        if trial.variant == REFERENCE and trial.failure:
            raise BackendError(f"the float reference {REFERENCE.name} failed: {trial.failure}")
    barred = {trial.variant: _why_not(trial, budget) for trial in trials}
    holders: list[Trial] = []
    for precision in PRECISION_ORDER:
        tier = [trial for trial in trials if trial.variant.precision == precision and not barred[trial.variant]]
        if better := [trial for trial in tier if _takes_over(trial, holders)]:
            holders.append(_fastest(better))
    return tuple(_verdict(trial, barred[trial.variant], holders) for trial in trials)


def shipped(trials: Sequence[Trial], verdicts: Sequence[Verdict]) -> list[tuple[Trial, Verdict]]:
    """What goes into the bundle, best first: the winner, then the portable reference where that is another."""
    pairs = [pair for pair in zip(trials, verdicts, strict=True) if pair[1].ships or pair[0].variant == REFERENCE]
    return sorted(pairs, key=lambda pair: not pair[1].ships)


def _fastest(tier: Sequence[Trial]) -> Trial:
    """The fastest by the estimator that judges ratios; of those within `TIE` of it, the one with the lowest p90.

    Unmeasured trials cannot be told apart: the portable reference goes first among them.
    """
    first = next((trial for trial in tier if trial.variant == REFERENCE), tier[0])
    if first.measurement is None:
        return first
    ratios = {trial.variant: _ratio(trial, first) for trial in tier}
    quickest = min(tier, key=lambda trial: getattr(ratios[trial.variant], "value", math.inf))
    tied = [trial for trial in tier if (ratio := _ratio(trial, quickest)) is not None and ratio.value <= 1 + TIE]
    return min(tied, key=_p90_ns)


def _p90_ns(trial: Trial) -> float:
    return math.inf if trial.measurement is None else float(np.percentile(timed_calls(trial.measurement.calls_ns), 90))


def _takes_over(challenger: Trial, holders: Sequence[Trial]) -> bool:
    if not holders:
        return True
    ratio = _ratio(challenger, holders[-1])
    return ratio is not None and ratio.high < 1


def _why_not(trial: Trial, budget: Budget) -> str:
    """Why this variant cannot ship whatever its speed; empty if it can."""
    if trial.failure:
        return f"failed: {trial.failure}"
    if trial.variant.precision == "f32":
        return ""
    if trial.measurement is None:
        return "not measured on this target, so not shown to be faster"
    if trial.drop is None:
        return "no evaluation data, so its accuracy cannot be shown"
    if trial.drop.upper95 > budget.max_drop:
        return (
            f"outside the budget: the drop is {trial.drop.value:.4f}, up to {trial.drop.upper95:.4f} (95 %) on "
            f"{trial.drop.samples} samples; {budget.max_drop:.4f} is allowed"
        )
    return ""


def _verdict(trial: Trial, barred: str, holders: Sequence[Trial]) -> Verdict:
    name = trial.variant.name
    if barred:
        return Verdict(name, False, barred)
    winner = holders[-1]
    if trial is winner:
        return _winner(holders)
    ratio = _ratio(trial, winner)
    if ratio is None:
        return Verdict(name, False, f"not measured on this target; {winner.variant.name} stands for its precision")
    return Verdict(name, False, f"{_comparison(ratio)} {winner.variant.name}: {_times(ratio)}", ratio)


def _comparison(ratio: Ratio) -> str:
    if ratio.low > 1:
        return "slower than"
    if ratio.high < 1:  # the winner stood within `TIE` of it and has the shorter tail
        return f"within {TIE:.0%} of, but with a higher p90 than,"
    return "not shown to be faster than"


def _winner(holders: Sequence[Trial]) -> Verdict:
    *beaten, winner = holders
    name = winner.variant.name
    if winner.measurement is None:
        return Verdict(name, True, "the portable float variant: this target cannot be measured here")
    ratio = _ratio(winner, beaten[-1]) if beaten else None
    if ratio is None:
        return Verdict(name, True, "the fastest f32 variant; nothing compressed is within the budget and faster")
    return Verdict(name, True, f"within the budget and faster than {beaten[-1].variant.name}: {_times(ratio)}", ratio)


def _times(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} times its latency [{ratio.low:.2f}, {ratio.high:.2f}]"


def _ratio(trial: Trial, other: Trial) -> Ratio | None:
    if trial.measurement is None or other.measurement is None:
        return None
    return compare(trial.measurement.calls_ns, other.measurement.calls_ns)
