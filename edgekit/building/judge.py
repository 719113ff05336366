"""Which variant ships: within the accuracy budget, and measured faster than the best plain float one, or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.backends.execution import Execution
from edgekit.bench.accuracy import Accuracy, Drop, samples_needed
from edgekit.bench.measure import Measurement
from edgekit.bench.statistics import Ratio, compare
from edgekit.building.variants import PRECISION_ORDER, REFERENCE, Variant
from edgekit.errors import BackendError
from edgekit.recipes.recipe import Budget

TIE = 0.01  # variants of one precision whose latencies differ by less are told apart by accuracy, then size


@dataclass(frozen=True)
class Trial:
    """What is known of a variant once it has been tried.

    files: what the compiler made, by role; empty if `failure` says why it could not.
    left_out: why it was not even compiled.
    accuracy, drop: on the evaluation data; None without such data. The drop is against the float reference.
    measurement: None where the target cannot be run here.
    execution: what the runtime executes; None where nothing was measured, or `not_inspected` says why.
    """

    variant: Variant
    files: Mapping[str, Path]
    failure: str = ""
    left_out: str = ""
    accuracy: Accuracy | None = None
    drop: Drop | None = None
    measurement: Measurement | None = None
    execution: Execution | None = None
    not_inspected: str = ""

    @property
    def runs(self) -> bool:
        """Whether it was compiled and has not failed so far."""
        return not self.failure and not self.left_out


@dataclass(frozen=True)
class Verdict:
    """What becomes of a variant, and why, in words.

    ratio: its latency over that of the variant it had to beat.
    float_ratio: its latency over that of the fastest float variant; None for that one.
    barred: whether it could not have shipped whatever its speed.
    on_front: no other one is at once as fast, as accurate and as small, and better in one of these.
    """

    name: str
    ships: bool
    reason: str
    ratio: Ratio | None = None
    float_ratio: Ratio | None = None
    on_front: bool = False
    barred: bool = False


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
    best_float, front = fastest_float(trials), pareto_front(trials)
    return tuple(
        replace(
            _verdict(trial, barred[trial.variant], holders),
            float_ratio=ratio_of(trial, best_float) if best_float and trial is not best_float else None,
            on_front=trial.variant in front,
            barred=bool(barred[trial.variant]),
        )
        for trial in trials
    )


def shipped(
    trials: Sequence[Trial], verdicts: Sequence[Verdict], *, alternatives: int = 0
) -> list[tuple[Trial, Verdict]]:
    """What goes into the bundle, best first: the winner, the next fastest, and the portable reference at the end.

    alternatives: how many of the next fastest that could have shipped.
    """
    pairs = list(zip(trials, verdicts, strict=True))
    winner = next(pair for pair in pairs if pair[1].ships)
    others = [pair for pair in pairs if not pair[1].barred and pair is not winner and pair[0].measurement is not None]
    others.sort(key=lambda pair: pair[1].ratio.value if pair[1].ratio else math.inf)
    reference = next(pair for pair in pairs if pair[0].variant == REFERENCE)
    chosen = [winner, *[pair for pair in others if pair is not reference][:alternatives]]
    return chosen if reference is winner else [*chosen, reference]


def fastest_float(trials: Sequence[Trial]) -> Trial | None:
    """The variant that a compressed one must beat to be worth anything: f32, or bf16 where the CPU has it."""
    floats = [trial for trial in trials if trial.variant.precision in ("f32", "bf16") and trial.measurement is not None]
    if not floats:
        return None
    ratios = {trial.variant: ratio_of(trial, floats[0]) for trial in floats}
    return min(floats, key=lambda trial: getattr(ratios[trial.variant], "value", math.inf))


def pareto_front(trials: Sequence[Trial]) -> frozenset[Variant]:
    """The variants that no other one beats in latency, accuracy or size without losing in another of them."""
    known = [trial for trial in trials if trial.measurement is not None and trial.drop is not None]
    if not known:
        return frozenset()
    points = {}
    for trial in known:
        ratio = ratio_of(trial, known[0])
        latency = 1.0 if trial is known[0] or ratio is None else ratio.value
        points[trial.variant] = (latency, trial.drop.value if trial.drop else math.inf, size_bytes(trial))
    return frozenset(
        variant for variant, point in points.items() if not any(_beats(other, point) for other in points.values())
    )


def _beats(one: tuple[float, float, int], other: tuple[float, float, int]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _fastest(tier: Sequence[Trial]) -> Trial:
    """The fastest by the estimator that judges ratios; of those within `TIE` of it the most accurate, then smallest.

    Both are the same in every run, so that a draw is not decided by noise. Unmeasured trials cannot be told apart: the
    portable reference goes first among them.
    """
    first = next((trial for trial in tier if trial.variant == REFERENCE), tier[0])
    if first.measurement is None:
        return first
    ratios = {trial.variant: ratio_of(trial, first) for trial in tier}
    quickest = min(tier, key=lambda trial: getattr(ratios[trial.variant], "value", math.inf))
    tied = [trial for trial in tier if (ratio := ratio_of(trial, quickest)) is not None and ratio.value <= 1 + TIE]
    return min(tied, key=lambda trial: (trial.drop.value if trial.drop else math.inf, size_bytes(trial)))


def size_bytes(trial: Trial) -> int:
    """Bytes of what the compiler made."""
    return sum(path.stat().st_size for path in trial.files.values() if path.exists())


def _takes_over(challenger: Trial, holders: Sequence[Trial]) -> bool:
    if not holders:
        return True
    ratio = ratio_of(challenger, holders[-1])
    return ratio is not None and ratio.high < 1


def _why_not(trial: Trial, budget: Budget) -> str:
    """Why this variant cannot ship whatever its speed; empty if it can."""
    if not trial.runs:
        return trial.left_out or f"failed: {trial.failure}"
    if trial.variant.precision == "f32":
        return ""
    if trial.measurement is None:
        return "not measured on this target, so not shown to be faster"
    if trial.drop is None:
        return "no evaluation data, so its accuracy cannot be shown"
    if trial.drop.upper95 > budget.max_drop:
        return _outside(trial.drop, budget)
    return ""


def _outside(drop: Drop, budget: Budget) -> str:
    """A drop that is too large, or one that these samples cannot show to be small enough."""
    found = f"up to {drop.upper95:.4f} lost (95 %, {drop.samples} samples)"
    needed = samples_needed(drop, budget.max_drop)
    if needed is None:
        return f"outside the budget of {budget.max_drop:g}: {drop.value:.4f} lost, {found}"
    return f"not shown to be within the budget of {budget.max_drop:g}: {found}; at this rate it would take {needed}"


def _verdict(trial: Trial, barred: str, holders: Sequence[Trial]) -> Verdict:
    name = trial.variant.name
    if barred:
        return Verdict(name, False, barred)
    winner = holders[-1]
    if trial is winner:
        return _winner(holders)
    ratio = ratio_of(trial, winner)
    if ratio is None:
        return Verdict(name, False, f"not measured on this target; {winner.variant.name} stands for its precision")
    return Verdict(name, False, f"{_comparison(ratio)} what ships: {_interval(ratio)}", ratio)


def _comparison(ratio: Ratio) -> str:
    if ratio.low > 1:
        return "slower than"
    if ratio.high < 1:  # the winner stood within `TIE` of it
        return f"within {TIE:.0%} of, and less accurate or larger than,"
    return "not shown to be faster than"


def _winner(holders: Sequence[Trial]) -> Verdict:
    *beaten, winner = holders
    name = winner.variant.name
    if winner.measurement is None:
        return Verdict(name, True, "the portable float variant: this target cannot be measured here")
    ratio = ratio_of(winner, beaten[-1]) if beaten else None
    if ratio is None:
        return Verdict(name, True, "the fastest f32 variant; nothing compressed is within the budget and faster")
    return Verdict(name, True, f"within the budget, and faster than {beaten[-1].variant.name}: {_times(ratio)}", ratio)


def _times(ratio: Ratio) -> str:
    return f"{_interval(ratio)} of its latency"


def _interval(ratio: Ratio) -> str:
    return f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def ratio_of(trial: Trial, other: Trial) -> Ratio | None:
    """The latency of one over that of the other, where both were measured in one run."""
    if trial.measurement is None or other.measurement is None:
        return None
    return compare(trial.measurement.calls_ns, other.measurement.calls_ns)
