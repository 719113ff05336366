"""The judge: compressed ships only if shown to be accurate enough and faster, else float; always exactly one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.accuracy import Drop
from edgekit.bench.arms import Arm
from edgekit.bench.measure import Measurement
from edgekit.building.judge import Trial, Verdict, judge
from edgekit.building.judge import shipped as shipped_in_bundle
from edgekit.building.variants import REFERENCE, Variant
from edgekit.errors import BackendError
from edgekit.recipes.recipe import Budget

OPENVINO = Variant("openvino", "f32")
BF16 = Variant("openvino", "bf16")
NNCF = Variant("openvino", "int8", "nncf")
ORT = Variant("openvino", "int8", "ort")
BUDGET = Budget(max_drop=0.01)
STEADY = (1.0,) * 8
UNSTEADY = (0.8, 1.25) * 4  # sessions that differ by more than the medians below do


def measured(latency_ns: int, sessions: Sequence[float] = STEADY) -> Measurement:
    """Three rounds a session; the first call of each chunk is slow, as it is after another arm has run."""
    chunks = [(3 * int(latency_ns * each), int(latency_ns * each), int(latency_ns * each)) for each in sessions]
    return Measurement(
        arm=Arm("any", "torch", "f32", recipe="any"),
        seed=0,
        calls_ns=tuple((chunk,) * 3 for chunk in chunks),
        load_ns=(1,) * len(sessions),
        first_inference_ns=(1,) * len(sessions),
        import_ns=1,
        peak_rss_bytes=(),
        size_bytes=None,
    )


def drop(upper95: float, value: float | None = None) -> Drop:
    value = upper95 / 2 if value is None else value
    return Drop(value, value - upper95, 2 * upper95, upper95, 500, 3, 5, None)


def trial(
    variant: Variant,
    latency_ns: int | None = None,
    upper95: float | None = None,
    *,
    sessions: Sequence[float] = STEADY,
    failure: str = "",
) -> Trial:
    return Trial(
        variant,
        {} if failure else {"model": Path("model")},
        failure=failure,
        drop=None if upper95 is None else drop(upper95),
        measurement=None if latency_ns is None else measured(latency_ns, sessions),
    )


def verdicts(*trials: Trial, budget: Budget = BUDGET) -> dict[str, Verdict]:
    found = judge(trials, budget)
    assert [verdict.name for verdict in found] == [each.variant.name for each in trials]
    assert sum(verdict.ships for verdict in found) == 1
    assert all(verdict.reason for verdict in found)
    return {verdict.name: verdict for verdict in found}


def shipped(found: dict[str, Verdict]) -> str:
    return next(name for name, verdict in found.items() if verdict.ships)


FLOATS = (trial(REFERENCE, 1200, 0.0), trial(OPENVINO, 1000, 0.0))


@pytest.mark.parametrize(
    ("challenger", "ships", "reason"),
    [
        (
            trial(NNCF, 500, 0.005),
            True,
            r"within the budget, and faster than openvino-f32: 0\.500 \[.*\] of its latency",
        ),
        (trial(NNCF, 500, 0.01), True, "within the budget"),
        (
            trial(NNCF, 500, 0.0101),
            False,
            r"not shown to be within the budget of 0\.01: .*up to 0\.0101 .* it would take \d+",
        ),
        (trial(NNCF, 500, 0.03), False, r"outside the budget of 0\.01: 0\.0150 lost, up to 0\.0300 "),
        (trial(NNCF, 2000, 0.0), False, r"slower than what ships: 2\.000 \[2\.000, 2\.000\]"),
        (trial(NNCF, 1000, 0.0), False, r"not shown to be faster than what ships: 1\.000"),
        (trial(NNCF, 950, 0.0, sessions=UNSTEADY), False, "not shown to be faster than what ships"),
        (trial(NNCF, 500, None), False, "no evaluation data, so its accuracy cannot be shown"),
        (trial(NNCF, None, 0.0), False, "not measured on this target, so not shown to be faster"),
        (trial(NNCF, failure="no such layer"), False, "failed: no such layer"),
        (trial(BF16, 700, 0.002), True, "within the budget, and faster than openvino-f32"),
        (trial(BF16, 700, 0.02), False, "outside the budget"),
    ],
)
def test_compressed_variant_ships_only_if_shown_to_be_better(challenger: Trial, ships: bool, reason: str) -> None:
    found = verdicts(*FLOATS, challenger)
    assert found[challenger.variant.name].ships == ships
    assert re.search(reason, found[challenger.variant.name].reason)
    if not ships:
        assert shipped(found) == "openvino-f32"
        assert "nothing compressed is within the budget and faster" in found["openvino-f32"].reason


@pytest.mark.parametrize(("latency_ns", "best"), [(1000, "openvino-f32"), (1500, "onnxruntime-f32")])
def test_faster_float_variant_ships_where_nothing_compressed_does(latency_ns: int, best: str) -> None:
    found = verdicts(trial(REFERENCE, 1200, 0.0), trial(OPENVINO, latency_ns, 0.0))
    assert shipped(found) == best


def test_int8_must_beat_the_bf16_that_beat_float() -> None:
    found = verdicts(*FLOATS, trial(BF16, 600, 0.001), trial(NNCF, 800, 0.001))
    assert shipped(found) == BF16.name
    assert found[NNCF.name].reason.startswith("slower than what ships: 1.333 ")
    found = verdicts(*FLOATS, trial(BF16, 600, 0.001), trial(NNCF, 300, 0.001))
    assert shipped(found) == NNCF.name
    assert "faster than openvino-bf16: 0.500 " in found[NNCF.name].reason


def test_int8_has_only_float_to_beat_where_bf16_is_outside_the_budget() -> None:
    found = verdicts(*FLOATS, trial(BF16, 600, 0.5), trial(NNCF, 800, 0.001))
    assert shipped(found) == NNCF.name
    assert "faster than openvino-f32" in found[NNCF.name].reason


def test_best_of_several_quantized_ones_ships() -> None:
    found = verdicts(
        *FLOATS, trial(NNCF, 500, 0.001), trial(ORT, 400, 0.5), trial(Variant("onnxruntime", "int8", "ort"), 600, 0)
    )
    assert shipped(found) == NNCF.name


def test_ratio_and_interval_stand_in_the_verdict() -> None:
    ratio = verdicts(*FLOATS, trial(NNCF, 500, 0.0))[NNCF.name].ratio
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    assert ratio.sessions == 8


def test_fewer_sessions_than_an_interval_needs_show_nothing() -> None:
    few = STEADY[:5]
    found = verdicts(trial(REFERENCE, 1000, 0.0, sessions=few), trial(NNCF, 100, 0.0, sessions=few))
    assert shipped(found) == REFERENCE.name
    assert "not shown to be faster" in found[NNCF.name].reason


def test_a_drop_that_may_be_a_gain_is_within_a_budget_of_zero() -> None:
    found = verdicts(*FLOATS, trial(NNCF, 500, -0.001), budget=Budget(0.0))
    assert shipped(found) == NNCF.name


def test_unmeasured_target_ships_the_portable_float() -> None:
    """Nothing ran there: whichever order they come in, the reference goes, since it was shown to be right."""
    trials = [trial(OPENVINO), trial(REFERENCE)]
    for order in (trials, trials[::-1]):
        found = verdicts(*order)
        assert shipped(found) == REFERENCE.name
        assert "the portable float variant: this target cannot be measured here" in found[REFERENCE.name].reason
        assert "not measured on this target; onnxruntime-f32 stands" in found[OPENVINO.name].reason


def test_failed_float_variant_is_recorded_and_the_reference_ships() -> None:
    found = verdicts(trial(REFERENCE, 1200, 0.0), trial(OPENVINO, failure="unknown operator Enchant"))
    assert shipped(found) == REFERENCE.name
    assert found[OPENVINO.name].reason == "failed: unknown operator Enchant"


def test_failed_reference_leaves_nothing_to_judge_by() -> None:
    with pytest.raises(BackendError, match="the float reference onnxruntime-f32 failed: out of memory"):
        judge([trial(REFERENCE, failure="out of memory"), trial(OPENVINO, 1000, 0.0)], BUDGET)


def test_faster_variant_is_not_hidden_by_an_unsteady_one() -> None:
    """ORT's ratio is 0.6 with an interval up to 1.02; NNCF's is 0.9 in every session, so it is shown to be faster."""
    shared = (1.0,) * 4 + (1.4,) * 4
    unsteady = trial(ORT, 1000, 0.0, sessions=(1.02,) * 4 + (0.5,) * 4)
    found = verdicts(trial(REFERENCE, 1000, 0.0, sessions=shared), unsteady, trial(NNCF, 900, 0.0, sessions=shared))
    assert shipped(found) == NNCF.name


@pytest.mark.parametrize("seed", range(60))
def test_no_table_of_trials_breaks_the_rules(seed: int) -> None:
    """Random trials: what ships is measured, within the budget and shown to be faster; what fails is said."""
    rng = np.random.default_rng(seed)
    trials = [trial(REFERENCE, int(rng.integers(500, 1500)), 0.0)]
    for variant in (OPENVINO, BF16, NNCF, ORT, Variant("onnxruntime", "int8", "nncf")):
        sessions = tuple(rng.lognormal(0, rng.choice([0.0, 0.02, 0.3]), 8))
        latency_ns, upper95 = int(rng.integers(300, 1500)), float(rng.choice([0.0, 0.005, 0.02]))
        failure = "it refused" if rng.random() < 0.15 else ""
        trials.append(trial(variant, latency_ns, upper95, sessions=sessions, failure=failure))
    by_name = {each.variant.name: each for each in trials}
    found = verdicts(*trials)
    for name, verdict in found.items():
        assert bool(by_name[name].failure) == verdict.reason.startswith("failed: it refused"), name
        if "not shown to be faster" in verdict.reason:
            assert verdict.ratio is not None
            assert verdict.ratio.low <= 1 <= verdict.ratio.high, name
    winner = by_name[shipped(found)]
    if winner.variant.precision != "f32":
        ratio = found[winner.variant.name].ratio
        assert winner.drop is not None
        assert ratio is not None
        assert winner.drop.upper95 <= BUDGET.max_drop
        assert ratio.high < 1


def test_a_draw_is_decided_by_accuracy_not_by_noise() -> None:
    less_accurate = trial(NNCF, 500, 0.008)
    more_accurate = trial(ORT, 503, 0.004)
    for pair in ((less_accurate, more_accurate), (more_accurate, less_accurate)):
        assert shipped(verdicts(*FLOATS, *pair)) == ORT.name


def test_every_variant_is_compared_with_the_fastest_float_one() -> None:
    found = verdicts(*FLOATS, trial(BF16, 800, 0.0), trial(NNCF, 400, 0.5))
    assert found[BF16.name].float_ratio is None
    ratios = {name: verdict.float_ratio.value for name, verdict in found.items() if verdict.float_ratio is not None}
    assert ratios == pytest.approx({REFERENCE.name: 1.5, OPENVINO.name: 1.25, NNCF.name: 0.5})


def test_the_front_holds_what_no_other_one_beats() -> None:
    slow, fast, pointless = trial(BF16, 800, 0.0), trial(NNCF, 400, 0.02), trial(ORT, 900, 0.01)
    found = verdicts(trial(REFERENCE, 1200, 0.0), slow, fast, pointless)
    assert {name for name, verdict in found.items() if verdict.on_front} == {BF16.name, NNCF.name}


def test_alternatives_are_the_next_fastest_that_could_ship() -> None:
    trials = [*FLOATS, trial(BF16, 800, 0.001), trial(NNCF, 400, 0.001), trial(ORT, 450, 0.5)]
    chosen = shipped_in_bundle(trials, judge(trials, BUDGET), alternatives=2)
    assert [each.variant for each, _ in chosen] == [NNCF, BF16, OPENVINO, REFERENCE]
    chosen = shipped_in_bundle(trials, judge(trials, BUDGET))
    assert [each.variant for each, _ in chosen] == [NNCF, REFERENCE]


def test_what_was_left_out_keeps_its_reason_and_does_not_ship() -> None:
    left_out = Trial(NNCF, {}, left_out="noisier than another one")
    found = verdicts(*FLOATS, left_out)
    assert found[NNCF.name].reason == "noisier than another one"
