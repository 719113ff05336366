"""Calibration: what it concludes from trials, by arithmetic; one small real run; how it is told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.arms import Arm
from edgekit.bench.gate.calibrate import TrialResult, calibrate, conclude
from edgekit.bench.gate.calibrate_render import COLUMNS, advice, calibration_rows, calibration_to_json
from edgekit.bench.gate.evidence import PairedRatios
from edgekit.bench.gate.judge import ALPHA, PROFILES, Profile, settle
from edgekit.bench.gate.verdict import Outcome
from edgekit.bench.statistics import Interval
from edgekit.errors import MeasurementError

PR = PROFILES["pr"]


def trial(effect: float, rng: np.random.Generator, noise: float, profile: Profile = PR) -> TrialResult:
    """What the gate would say of sessions drawn around `effect`."""
    drawn = tuple(rng.normal(math.log1p(effect), noise, profile.looks[0]).tolist())
    found = PairedRatios(drawn, profile.looks)
    outcome = settle({("m", "latency"): found}, {("m", "latency"): profile.thresholds["latency"]}, {})
    interval = Interval(found.value, found.low(ALPHA), found.high(ALPHA))
    return TrialResult(effect, outcome.get(("m", "latency"), Outcome.INCONCLUSIVE), interval, drawn, 2.0)


def trials(noise: float, n: int = 60, *, effects: tuple[float, ...] = (0.0, 0.05)) -> list[TrialResult]:
    rng = np.random.default_rng(0)
    return [trial(effect, rng, noise) for effect in effects for _ in range(n)]


def test_a_quiet_machine_is_told_what_it_can_see() -> None:
    found = conclude(trials(0.003), PR)
    identical, slower = found.rows
    assert (identical.effect, slower.effect) == (0.0, 0.05)
    assert (identical.fail.value, identical.passed.value) == (0.0, 1.0)
    assert slower.fail.value == 1.0
    assert found.session_deviation == pytest.approx(0.003, rel=0.2)
    assert found.smallest_threshold == 0.005
    assert found.sessions_needed == 10
    assert identical.covered_fixed.low < 0.951 < identical.covered_fixed.high
    assert identical.covered.value >= 0.95
    assert any("--threshold latency=0.005" in line for line in advice(found))


def test_a_noisy_machine_is_told_to_take_more() -> None:
    found = conclude(trials(0.1), PR)
    assert found.smallest_threshold is not None
    assert found.smallest_threshold > 0.025
    assert found.sessions_needed is None or found.sessions_needed > 10
    hopeless = conclude(trials(2.0), PR)
    assert hopeless.smallest_threshold is None
    assert hopeless.sessions_needed is None
    assert any("quieter machine" in line for line in advice(hopeless))


def test_a_bias_of_the_machine_does_not_pass_for_noise() -> None:
    """A slowdown is known only as far as it is made: what is resampled is centred."""
    shifted = [
        TrialResult(t.effect, t.outcome, t.interval, tuple(r + 0.01 for r in t.log_ratios), t.seconds)
        for t in trials(0.003)
    ]
    assert conclude(shifted, PR).smallest_threshold == conclude(trials(0.003), PR).smallest_threshold


def test_it_is_told_as_a_table_and_as_json() -> None:
    found = conclude(trials(0.003, 8), PR)
    rows = calibration_rows(found)
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[0][0] == "none"
    assert rows[1][:3] == ["5 %", "8", "100 % [68, 100]"]
    data = json.loads(json.dumps(calibration_to_json(found), allow_nan=False))
    assert data["edgekit_calibration"] == 1
    assert len(data["trials"]) == 16
    assert data["advice"] == advice(found)


def test_a_real_calibration_keeps_its_plan(onnxruntime_arm: Arm, feeds: Path) -> None:
    """On this machine, whatever it does: trials are as planned and raw; what they say is the machine's affair."""
    seen: list[tuple] = []
    quick = Profile("quick", {"latency": 0.5}, (6,))
    found = calibrate(onnxruntime_arm, feeds, quick, trials=1, effects=(0.0, 2.0), progress=lambda *at: seen.append(at))
    assert [row.effect for row in found.rows] == [0.0, 2.0]
    assert {len(t.log_ratios) for t in found.trials} == {6}
    assert seen[-1] == ("trials", 2, 2)
    with pytest.raises(MeasurementError, match="trials = 0"):
        calibrate(onnxruntime_arm, feeds, quick, trials=0)


def test_trials_come_in_an_order_that_the_seed_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.bench.gate import calibrate as module

    def order(seed: int) -> list[float]:
        asked: list[float] = []

        def run(_arm: object, _feeds: object, _profile: object, *, effect: float, **_: object) -> TrialResult:
            asked.append(effect)
            return trial(effect, np.random.default_rng(0), 0.003)

        monkeypatch.setattr(module, "run_trial", run)
        calibrate(Arm("a", "onnxruntime", "f32", {"model": "/m"}), Path(), PR, trials=5, seed=seed)
        return asked

    first: Callable[[], list[float]] = lambda: order(1)  # noqa: E731
    assert first() == first()
    assert first() != order(2)
    assert sorted(first()) == sorted([0.0, 0.03, 0.05, 0.10] * 5)
