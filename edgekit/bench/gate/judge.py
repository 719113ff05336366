"""Judges head against base: measures in looks until every metric is decided, or the last look has passed.

A metric fails if its change is above the threshold by its lower bound, and passes if it is below it by its upper bound;
both bounds hold for all looks together. Failing is corrected for the number of metrics and models (Holm): that one of
them fails by chance is no more likely than that a single one does. Passing needs no correction: all have to.

Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979;
    Ye, Li, Liu and Yao, "A group sequential Holm procedure with multiple primary endpoints", Statistics in Medicine 32,
    2013.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgekit.bench import steady
from edgekit.bench.arms import Arm
from edgekit.bench.gate.evidence import Counted, Evidence, PairedRatios, detectable, log_ratios, lost_scores
from edgekit.bench.gate.reasons import reason
from edgekit.bench.gate.verdict import Outcome, Verdict
from edgekit.bench.measure import Interleaved, Measurement
from edgekit.bench.statistics import Floats, Interval, session_log_ratios, timed_calls
from edgekit.bench.worker import peak_rss_bytes
from edgekit.errors import MeasurementError, did_you_mean
from edgekit.progress import Progress, silent

ALPHA = 0.025
"""Chance of each bound to be wrong, on its side: the two make a 95 % interval."""

HOT = ("latency",)
COLD = ("load", "rss")
METRICS = (*HOT, *COLD, "size", "accuracy")


@dataclass(frozen=True)
class Profile:
    """How strict a gate is.

    thresholds: largest harmless relative change of each metric but "accuracy", whose threshold comes with the model.
    looks: numbers of sessions after which the gate looks whether it can tell.
    """

    name: str
    thresholds: Mapping[str, float]
    looks: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.looks or list(self.looks) != sorted(set(self.looks)) or self.looks[0] < 1:
            raise MeasurementError(f"looks = {self.looks}; expected increasing numbers of sessions, such as 10, 20, 40")
        if bad := [name for name, value in self.thresholds.items() if not 0 <= value < np.inf]:
            raise MeasurementError(f"threshold of {bad[0]} is {self.thresholds[bad[0]]}; expected a share from 0")


PROFILES = {
    "pr": Profile("pr", {"latency": 0.025, "load": 0.10, "rss": 0.05, "size": 0.02}, (10, 20, 40)),
    "nightly": Profile("nightly", {"latency": 0.01, "load": 0.05, "rss": 0.02, "size": 0.005}, (20, 40, 80)),
}


@dataclass(frozen=True)
class Rules:
    """What is judged, and how it is measured.

    metrics: of `METRICS`; "accuracy" applies to models that come with scores.
    seed: of the order in which arms run.
    timeout_s: longest that one step of an arm may take.

    Raises:
        MeasurementError: an unknown metric.
    """

    profile: Profile = PROFILES["pr"]
    metrics: tuple[str, ...] = METRICS
    seed: int = 0
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric not in METRICS:
                raise MeasurementError(f"unknown metric {metric!r}; {did_you_mean(metric, METRICS)}")


@dataclass(frozen=True)
class Pair:
    """A model of which there are two.

    feeds: folder of samples that latency is measured on.
    scores: of base and head on the same evaluation samples; None without evaluation data.
    max_drop: how much the mean score may drop.
    """

    model: str
    base: Arm
    head: Arm
    feeds: Path
    scores: tuple[Floats, Floats] | None = None
    max_drop: float = 0.01


@dataclass(frozen=True)
class Judgement:
    """Verdicts, and what was measured of base and head of each model, raw."""

    verdicts: tuple[Verdict, ...]
    measurements: Mapping[str, tuple[Measurement, Measurement]]


Key = tuple[str, str]
"""A model and a metric."""


def judge_pairs(pairs: Sequence[Pair], rules: Rules, *, progress: Progress = silent) -> Judgement:
    """A verdict for each metric of each model, as far as the metric applies.

    Raises:
        MeasurementError: no pairs, or an arm that cannot be opened or run, died or hung.
    """
    if not pairs:
        raise MeasurementError("there is nothing to compare; give at least one pair of models")
    with ExitStack() as stack:
        trials = [stack.enter_context(_Trial(pair, rules)) for pair in pairs]
        thresholds = {key: trial.threshold(key[1]) for trial in trials for key in trial.keys}
        evidence: dict[Key, Evidence] = {}
        outcomes: dict[Key, Outcome] = {}
        for look in rules.profile.looks:
            for trial in trials:
                trial.run_until(look, outcomes, progress)
                evidence |= {key: found for key, found in trial.evidence().items() if key not in outcomes}
            outcomes = settle(evidence, thresholds, outcomes)
            if len(outcomes) == len(thresholds):
                break
        verdicts = tuple(
            trial.verdict(key, evidence[key], outcomes.get(key, Outcome.INCONCLUSIVE))
            for trial in trials
            for key in trial.keys
        )
        return Judgement(verdicts, {trial.pair.model: trial.measured() for trial in trials})


def settle(
    evidence: Mapping[Key, Evidence], thresholds: Mapping[Key, float], outcomes: Mapping[Key, Outcome]
) -> dict[Key, Outcome]:
    """What can be decided by now, beside what has been: FAIL by Holm's procedure over all metrics, PASS one by one."""
    decided = dict(outcomes)
    while True:
        standing = sum(decided.get(key) is not Outcome.FAIL for key in evidence)
        fallen = [
            key
            for key, found in evidence.items()
            if key not in decided and found.low(ALPHA / standing) > thresholds[key]
        ]
        if not fallen:
            break
        decided |= dict.fromkeys(fallen, Outcome.FAIL)
    for key, found in evidence.items():
        if key not in decided and found.high(ALPHA) <= thresholds[key]:
            decided[key] = Outcome.PASS
    return decided


@dataclass
class _Clock:
    """Sessions of one kind: how many there were, and how long they took."""

    sessions: int = 0
    seconds: float = 0.0

    def run(self, session: Callable[[], None]) -> None:
        begin = time.perf_counter()
        session()
        self.seconds += time.perf_counter() - begin
        self.sessions += 1


@dataclass
class _Trial:
    """One pair while it is measured."""

    pair: Pair
    rules: Rules
    _hot: _Clock = field(default_factory=_Clock)
    _cold: _Clock = field(default_factory=_Clock)

    def __post_init__(self) -> None:
        arms = (self.pair.base, self.pair.head)
        self._run = Interleaved(arms, self.pair.feeds, seed=self.rules.seed, timeout_s=self.rules.timeout_s)
        self._lost = lost_scores(*self.pair.scores, seed=self.rules.seed) if self.pair.scores else None
        wanted = [metric for metric in METRICS if metric in self.rules.metrics]
        self.keys: list[Key] = [(self.pair.model, metric) for metric in wanted if self._applies(metric)]

    def __enter__(self) -> _Trial:
        return self

    def __exit__(self, *error: object) -> None:
        self._run.__exit__(None, None, None)

    def threshold(self, metric: str) -> float:
        return self.pair.max_drop if metric == "accuracy" else self.rules.profile.thresholds[metric]

    def run_until(self, look: int, outcomes: Mapping[Key, Outcome], progress: Progress) -> None:
        """Sessions up to `look`, hot ones, cold ones or both, as the undecided metrics need them."""
        undecided = {metric for model, metric in self.keys if (model, metric) not in outcomes}
        for kind, clock, session in (
            (HOT, self._hot, self._run.session),
            (COLD, self._cold, self._run.cold_session),
        ):
            while undecided.intersection(kind) and clock.sessions < look:
                clock.run(session)
                progress(f"{self.pair.model}: {' and '.join(kind)}", clock.sessions, look)

    def evidence(self) -> dict[Key, Evidence]:
        """What is known by now, by metric."""
        base, head = self.measured()
        return {(model, metric): self._evidence(metric, base, head) for model, metric in self.keys}

    def measured(self) -> tuple[Measurement, Measurement]:
        """Base and head, raw."""
        base, head = self._run.measurements()
        return base, head

    def _evidence(self, metric: str, base: Measurement, head: Measurement) -> Evidence:
        if metric == "size":
            return Counted(float(head.size_bytes or 0) / float(base.size_bytes or 1) - 1)
        if metric == "accuracy":
            assert self._lost is not None  # noqa: S101 - _applies has asked
            return self._lost
        if metric == "latency":
            return PairedRatios(tuple(session_log_ratios(head.calls_ns, base.calls_ns)), self.rules.profile.looks)
        return PairedRatios(log_ratios(_cold(head, metric), _cold(base, metric)), self.rules.profile.looks)

    def _applies(self, metric: str) -> bool:
        if metric == "rss":
            return peak_rss_bytes() is not None
        if metric == "size":
            return None not in [measurement.size_bytes for measurement in self.measured()]
        return metric != "accuracy" or self.pair.scores is not None

    def verdict(self, key: Key, evidence: Evidence, outcome: Outcome) -> Verdict:
        metric, threshold = key[1], self.threshold(key[1])
        base, head = (self._typical(metric, number) for number in (0, 1))
        measured = evidence.pairs > 0
        return Verdict(
            model=self.pair.model,
            metric=metric,
            outcome=outcome,
            effect=Interval(evidence.value, evidence.low(ALPHA), evidence.high(ALPHA)),
            threshold=threshold,
            base=base,
            head=head,
            pairs=evidence.pairs,
            seconds=self._seconds(metric),
            detectable=detectable(evidence, threshold, ALPHA) if measured else None,
            needed=evidence.needed(threshold, ALPHA) if outcome is Outcome.INCONCLUSIVE else None,
            reason=reason(metric, evidence, threshold, outcome=outcome, alpha=ALPHA),
            tags=self._tags() if metric == "latency" else (),
        )

    def _tags(self) -> tuple[str, ...]:
        base, head = (measurement.calls_ns for measurement in self.measured())
        return tuple(dict.fromkeys((*steady.tags(base), *steady.tags(head), *steady.tail_tags(head, base))))

    def _typical(self, metric: str, number: int) -> float | None:
        """The value of base (0) or head (1) that a reader is shown: a median, or a mean score."""
        found = self.measured()[number]
        if metric == "size":
            return found.size_bytes
        if metric == "accuracy":
            return float(self.pair.scores[number].mean()) if self.pair.scores else None
        return float(np.median(timed_calls(found.calls_ns) if metric == "latency" else _cold(found, metric)))

    def _seconds(self, metric: str) -> float:
        return self._hot.seconds if metric in HOT else self._cold.seconds if metric in COLD else 0.0


def _cold(measurement: Measurement, metric: str) -> list[int]:
    """One value for each cold session: opening the model with its first inference, or peak memory."""
    if metric == "rss":
        return list(measurement.peak_rss_bytes)
    pairs = zip(measurement.load_ns, measurement.first_inference_ns, strict=True)
    return [load + first for load, first in pairs]
