"""The gate's decisions: Holm over all metrics, looks that stop as soon as they can, and no pass without evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.arms import Arm
from edgekit.bench.gate import judge as gate
from edgekit.bench.gate.evidence import Counted, Evidence, PairedRatios
from edgekit.bench.gate.judge import ALPHA, Key, Pair, Profile, Rules, judge_pairs, settle
from edgekit.bench.gate.verdict import Outcome, Verdict, worst
from edgekit.bench.measure import Measurement
from edgekit.errors import MeasurementError

LOOKS = (10, 20, 40)
QUICK = Profile("test", {"latency": 0.025, "load": 0.1, "rss": 0.05, "size": 0.02}, LOOKS)


def measurement(arm: Arm, log: dict[str, list], size: int) -> Measurement:
    return Measurement(
        arm=arm,
        seed=0,
        calls_ns=tuple(log["calls"]),
        import_ns=(),
        load_ns=tuple(log["load"]),
        first_inference_ns=(1000,) * len(log["load"]),
        peak_rss_bytes=tuple(log["rss"]),
        size_bytes=size,
    )


@dataclass
class Machine:
    """What a made-up machine measures: the true ratios, the noise of a session, and how much it was asked for."""

    latency: float = 1.0
    load: float = 1.0
    rss: float = 1.0
    noise: float = 0.003
    hot: int = 0
    cold: int = 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Replaces the measuring by draws around the ratios of a `Machine`."""
    made = Machine()

    class Drawn:
        def __init__(self, arms: tuple[Arm, Arm], feeds: Path, *, seed: int, timeout_s: float) -> None:
            self.arms, self.rng = arms, np.random.default_rng(seed)
            self.logs: list[dict[str, list]] = [{"calls": [], "load": [], "rss": []} for _ in arms]

        def session(self) -> None:
            made.hot += 1
            for log, factor in zip(self.logs, (1.0, made.latency), strict=True):
                ns = 1e6 * factor * math.exp(self.rng.normal(0, made.noise))
                log["calls"].append(((int(ns),) * 5,) * 3)

        def cold_session(self) -> None:
            made.cold += 1
            for log, load, rss in zip(self.logs, (1.0, made.load), (1.0, made.rss), strict=True):
                log["load"].append(int(1e7 * load * math.exp(self.rng.normal(0, 0.02))))
                log["rss"].append(int(5e7 * rss))

        def measurements(self) -> tuple[Measurement, ...]:
            pairs = zip(self.arms, self.logs, (1000, 1010), strict=True)
            return tuple(measurement(arm, log, size) for arm, log, size in pairs)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(gate, "Interleaved", Drawn)
    return made


def pair(name: str = "m", scores: tuple | None = None, max_drop: float = 0.01) -> Pair:
    arms = [Arm(side, "onnxruntime", "f32", {"model": f"/{side}.onnx"}) for side in ("base", "head")]
    return Pair(name, *arms, Path("/feeds"), scores, max_drop)


def by_metric(pairs: list[Pair], *metrics: str, profile: Profile = QUICK) -> dict[str, Verdict]:
    rules = Rules(profile, metrics or gate.METRICS)
    return {verdict.metric: verdict for verdict in judge_pairs(pairs, rules).verdicts}


def test_equal_models_pass_at_the_first_look(machine: Machine) -> None:
    found = by_metric([pair()])
    assert {verdict.outcome for verdict in found.values()} == {Outcome.PASS}
    assert set(found) == {"latency", "load", "rss", "size"}
    assert (machine.hot, machine.cold) == (10, 10)
    latency = found["latency"]
    assert latency.pairs == 10
    assert latency.base == pytest.approx(1e6, rel=0.02)
    assert latency.detectable is not None
    assert 0.025 < latency.detectable < 0.04
    assert found["size"].pairs == 0
    assert found["size"].effect.value == pytest.approx(0.01)  # type: ignore[union-attr]


@pytest.mark.parametrize(("metric", "change"), [("latency", 1.06), ("load", 1.2), ("rss", 1.1)])
def test_a_real_change_of_one_metric_fails_that_one_alone(machine: Machine, metric: str, change: float) -> None:
    setattr(machine, metric, change)
    found = by_metric([pair()])
    assert [name for name, verdict in found.items() if verdict.outcome is Outcome.FAIL] == [metric]
    assert "is allowed" in found[metric].reason


def test_a_change_at_the_threshold_takes_every_look_and_stays_open(machine: Machine) -> None:
    machine.latency, machine.noise = 1.025, 0.01
    found = by_metric([pair()], "latency")["latency"]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert machine.hot == LOOKS[-1]
    assert machine.cold == 0
    assert found.pairs == LOOKS[-1]
    assert found.needed is None or found.needed > LOOKS[-1]
    assert "between" in found.reason


def test_only_what_is_undecided_is_measured_further(machine: Machine) -> None:
    machine.latency, machine.noise = 1.025, 0.01
    by_metric([pair()])
    assert (machine.hot, machine.cold) == (LOOKS[-1], LOOKS[0])


def test_many_metrics_fail_only_after_more_sessions_than_ten_allow(machine: Machine) -> None:
    """20 metrics need a chance of 0.05 % each, and 10 signs can be no surer than 0.1 %."""
    machine.latency = 1.2
    verdicts = judge_pairs([pair(f"m{number}") for number in range(20)], Rules(QUICK, ("latency",))).verdicts
    assert {verdict.outcome for verdict in verdicts} == {Outcome.FAIL}
    assert {verdict.pairs for verdict in verdicts} == {20}


def test_accuracy_is_judged_on_the_same_samples(machine: Machine) -> None:
    right = np.ones(4000)
    worse = right.copy()
    worse[:120] = 0
    found = by_metric([pair(scores=(right, worse))], "accuracy")["accuracy"]
    assert found.outcome is Outcome.FAIL
    assert (found.base, found.head) == (1.0, 0.97)
    assert found.pairs == 4000
    assert "(120 samples lost, 0 gained: exact McNemar p = " in found.reason
    few = by_metric([pair(scores=(right[:100], right[:100]))], "accuracy")["accuracy"]
    assert few.outcome is Outcome.INCONCLUSIVE
    assert few.needed is None or few.needed > 0
    assert machine.hot == 0
    assert by_metric([pair(scores=(right, right))], "accuracy")["accuracy"].outcome is Outcome.PASS


def test_settle_is_holms_procedure() -> None:
    """Against the textbook form, on p values: reject the least while it is below alpha / (those that are left)."""

    @dataclass(frozen=True)
    class WithP:
        p: float
        value: float = 1.0
        pairs: int = 5

        def low(self, alpha: float) -> float:
            return 1.0 if self.p <= alpha else -1.0

        def high(self, alpha: float) -> float:
            return 2.0

        def needed(self, threshold: float, alpha: float) -> int | None:
            return None

    rng = np.random.default_rng(0)
    for _ in range(300):
        ps = rng.uniform(0, 0.03, 6)
        evidence: dict[Key, Evidence] = {(str(i), "x"): WithP(float(p)) for i, p in enumerate(ps)}
        expected: set[Key] = set()
        for left, index in zip(range(6, 0, -1), np.argsort(ps), strict=True):
            if ps[index] > ALPHA / left:
                break
            expected.add((str(index), "x"))
        assert set(settle(evidence, dict.fromkeys(evidence, 0.0), {})) == expected


def test_what_has_been_decided_stays() -> None:
    evidence: dict[Key, Evidence] = {("a", "size"): Counted(1.0), ("b", "size"): Counted(0.0)}
    decided = settle(evidence, dict.fromkeys(evidence, 0.5), {("a", "size"): Outcome.PASS})
    assert decided == {("a", "size"): Outcome.PASS, ("b", "size"): Outcome.PASS}


def test_a_family_of_equal_metrics_fails_no_more_often_than_one() -> None:
    """20 metrics, each slower by just its threshold: any of them fails in 2.5 % of gates at the most."""
    rng, fails = np.random.default_rng(3), 0
    for _ in range(300):
        draws = rng.normal(math.log1p(0.025), 0.01, (20, LOOKS[-1]))
        outcomes: dict[Key, Outcome] = {}
        for look in LOOKS:
            evidence: dict[Key, Evidence] = {
                (str(m), "latency"): PairedRatios(tuple(draws[m, :look].tolist()), LOOKS) for m in range(20)
            }
            outcomes = settle(evidence, dict.fromkeys(evidence, 0.025), outcomes)
        fails += Outcome.FAIL in outcomes.values()
    assert fails / 300 < 0.025 + 3 * math.sqrt(0.025 / 300)


def test_bad_plans_are_refused() -> None:
    with pytest.raises(MeasurementError, match="nothing to compare"):
        judge_pairs([], Rules())
    with pytest.raises(MeasurementError, match="unknown metric 'latncy'; did you mean 'latency'"):
        Rules(metrics=("latncy",))
    with pytest.raises(MeasurementError, match="increasing numbers of sessions"):
        Profile("x", {}, (20, 10))
    with pytest.raises(MeasurementError, match="threshold of latency is -1"):
        Profile("x", {"latency": -1.0}, (10,))


def test_nothing_is_no_pass() -> None:
    assert worst([]) is Outcome.INCOMPARABLE
    assert worst([Outcome.PASS, Outcome.INCONCLUSIVE]) is Outcome.INCONCLUSIVE
    assert worst([Outcome.INCOMPARABLE, Outcome.FAIL, Outcome.PASS]) is Outcome.FAIL
