"""Learns what the gate can see on this machine: identical arms, and slowdowns of a known size, over and over."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.arms import Arm
from edgekit.bench.gate.evidence import PairedRatios
from edgekit.bench.gate.judge import Key, Pair, Profile, Rules, judge_pairs, settle
from edgekit.bench.gate.verdict import Outcome
from edgekit.bench.statistics import Interval, hodges_lehmann, session_log_ratios, wilson
from edgekit.errors import MeasurementError
from edgekit.progress import Progress, silent

EFFECTS = (0.0, 0.03, 0.05, 0.10)
THRESHOLDS = (0.005, 0.01, 0.02, 0.025, 0.03, 0.05, 0.10, 0.20)
RESAMPLES = 400
SURE = 0.95


@dataclass(frozen=True)
class TrialResult:
    """One run of the gate on an arm and itself, slowed by `effect` (0.05 is 5 %).

    interval: the change that was found, with the bounds that hold for all looks.
    log_ratios: of each session, raw.
    seconds: of measuring, the start of processes included.
    """

    effect: float
    outcome: Outcome
    interval: Interval
    log_ratios: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Row:
    """What became of all trials of one effect; shares with Wilson's 95 % interval.

    covered: share of trials whose interval, as the gate stopped, holds the true effect: 95 % or more.
    covered_fixed: the same for the plain 95 % interval of the sessions up to the first look: 93 to 97 %.
    seconds: median, and the time within which 95 % of the trials ended.
    """

    effect: float
    trials: int
    fail: Interval
    passed: Interval
    inconclusive: Interval
    covered: Interval
    covered_fixed: Interval
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Calibration:
    """The trials, a row for each effect, and what they advise.

    session_deviation: standard deviation of a session's log ratio, from the median absolute deviation.
    smallest_threshold: the least of `THRESHOLDS` at which these looks pass 95 % of identical arms and fail 95 % of
        slowdowns of twice its size; None if none does.
    sessions_needed: how many sessions that takes at the profile's own threshold; None if more than four times as many
        as its last look.
    """

    profile: Profile
    trials: tuple[TrialResult, ...]
    rows: tuple[Row, ...]
    session_deviation: float
    smallest_threshold: float | None
    sessions_needed: int | None


def calibrate(
    arm: Arm,
    feeds: Path,
    profile: Profile,
    *,
    trials: int = 20,
    effects: Sequence[float] = EFFECTS,
    seed: int = 0,
    timeout_s: float = 120.0,
    progress: Progress = silent,
) -> Calibration:
    """Run the gate's latency verdict on `arm` against itself, `trials` times for each effect, in a mixed order.

    Both sides run the same file; the head's calls are made longer by a busy wait of a share of their own time, so that
    the true effect is known whatever the machine does.

    Raises:
        MeasurementError: no trials, or the arm cannot be opened or run, died or hung.
    """
    if trials < 1:
        raise MeasurementError(f"trials = {trials}; expected at least one")
    plan = [effect for effect in effects for _ in range(trials)]
    random.Random(seed).shuffle(plan)  # noqa: S311 - an order, nothing secret
    results = []
    for done, effect in enumerate(plan):
        progress("trials", done, len(plan))
        results.append(run_trial(arm, feeds, profile, effect=effect, seed=seed + done, timeout_s=timeout_s))
    progress("trials", len(plan), len(plan))
    return conclude(results, profile, seed=seed)


def run_trial(
    arm: Arm, feeds: Path, profile: Profile, *, effect: float, seed: int, timeout_s: float = 120.0
) -> TrialResult:
    """One trial of `calibrate`; raises as it does."""
    base, head = (replace(arm, name=name, slowdown=slow) for name, slow in (("base", 0.0), ("head", effect)))
    pair = Pair(arm.name, base, head, feeds)
    judgement = judge_pairs([pair], Rules(profile, ("latency",), seed, timeout_s))
    (verdict,), (measured,) = judgement.verdicts, judgement.measurements.values()
    ratios = session_log_ratios(measured[1].calls_ns, measured[0].calls_ns)
    assert verdict.effect is not None  # noqa: S101 - two arms that were measured together
    return TrialResult(effect, verdict.outcome, verdict.effect, tuple(ratios), verdict.seconds)


def conclude(trials: Sequence[TrialResult], profile: Profile, *, seed: int = 0) -> Calibration:
    """What trials of the same profile say, effect by effect, and what they advise."""
    effects = sorted({trial.effect for trial in trials})
    rows = tuple(_row([trial for trial in trials if trial.effect == effect], profile) for effect in effects)
    noise = np.array([ratio - math.log1p(trial.effect) for trial in trials for ratio in trial.log_ratios])
    noise -= np.median(noise)  # centred: what is resampled has no effect of its own
    deviation = 1.4826 * float(np.median(np.abs(noise)))
    return Calibration(
        profile,
        tuple(trials),
        rows,
        deviation,
        _smallest_threshold(noise, profile, seed),
        _sessions_needed(noise, profile, seed),
    )


def _row(trials: Sequence[TrialResult], profile: Profile) -> Row:
    effect, n = trials[0].effect, len(trials)
    outcomes = [trial.outcome for trial in trials]
    seconds = [trial.seconds for trial in trials]
    fixed = [hodges_lehmann(trial.log_ratios[: profile.looks[0]]) for trial in trials]
    return Row(
        effect=effect,
        trials=n,
        fail=wilson(outcomes.count(Outcome.FAIL), n),
        passed=wilson(outcomes.count(Outcome.PASS), n),
        inconclusive=wilson(outcomes.count(Outcome.INCONCLUSIVE), n),
        covered=wilson(sum(trial.interval.low <= effect <= trial.interval.high for trial in trials), n),
        covered_fixed=wilson(sum(found.low <= math.log1p(effect) <= found.high for found in fixed), n),
        seconds=(float(np.median(seconds)), float(np.quantile(seconds, 0.95))),
    )


def _smallest_threshold(noise: Any, profile: Profile, seed: int) -> float | None:
    return next((t for t in THRESHOLDS if _tells(noise, t, profile.looks, seed)), None)


def _sessions_needed(noise: Any, profile: Profile, seed: int) -> int | None:
    threshold, last = profile.thresholds["latency"], profile.looks[-1]
    plans = ((sessions,) for sessions in range(profile.looks[0], 4 * last + 1, profile.looks[0]))
    return next((plan[0] for plan in plans if _tells(noise, threshold, plan, seed)), None)


def _tells(noise: Any, threshold: float, looks: tuple[int, ...], seed: int) -> bool:
    """Whether sessions drawn from `noise` would tell identical arms from a slowdown of twice the threshold."""
    rng = np.random.default_rng(seed)
    key: Key = ("", "latency")
    missed = {Outcome.PASS: 0, Outcome.FAIL: 0}
    for _ in range(RESAMPLES):
        drawn = rng.choice(noise, looks[-1])
        for expected, effect in ((Outcome.PASS, 0.0), (Outcome.FAIL, 2 * threshold)):
            missed[expected] += _outcome(drawn + math.log1p(effect), threshold, looks, key) is not expected
            if missed[expected] > (1 - SURE) * RESAMPLES:
                return False
    return True


def _outcome(log_ratios: Any, threshold: float, looks: tuple[int, ...], key: Key) -> Outcome:
    outcomes: Mapping[Key, Outcome] = {}
    for look in looks:
        evidence = {key: PairedRatios(tuple(log_ratios[:look].tolist()), looks)}
        if outcomes := settle(evidence, {key: threshold}, {}):
            return outcomes[key]
    return Outcome.INCONCLUSIVE
