"""Steady state and tails: a drift or a disagreement is a tag with its figures, noise is not, and nothing is trimmed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.bench.statistics import compare
from edgekit.bench.steady import drift, remarks, tags, tail_ratios, tail_tags
from edgekit.errors import MeasurementError


def drifting(change: float, *, sessions: int = 8, rounds: int = 12, level_ns: float = 1e6) -> list:
    """Calls whose time goes from `level_ns` to (1 + change) times that within each session, in noise of 1 %."""
    rng = np.random.default_rng(3)
    slope = np.exp(np.linspace(0, math.log1p(change), rounds))
    return [
        [[int(level_ns * s * (1 + rng.exponential(0.01))) for _ in range(5)] for s in slope] for _ in range(sessions)
    ]


def with_tail(base: list, factor: float) -> list:
    """The same calls, but every second one of a chunk takes `factor` times as long: its minimum stays."""
    return [[[round(ns * (factor if at % 2 else 1)) for at, ns in enumerate(chunk)] for chunk in s] for s in base]


@pytest.mark.parametrize(("change", "tagged"), [(0.0, False), (0.015, False), (0.10, True), (-0.10, True)])
def test_calls_that_became_slower_or_faster_are_tagged(change: float, tagged: bool) -> None:
    assert tags(drifting(change)) == (("no-steady-state",) if tagged else ())


def test_drift_is_the_last_third_over_the_first() -> None:
    steps = [[[9, 100, 101]] * 2 + [[9, 110, 150]] * 2 + [[9, 120, 121]] * 2] * 6
    found = drift(steps)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))


@pytest.mark.parametrize("calls", [drifting(0.5, sessions=5), drifting(0.5, rounds=1)])
def test_too_few_sessions_or_rounds_cannot_tell_and_are_not_tagged(calls: list) -> None:
    found = drift(calls)
    assert (found.low, found.high) == (-1.0, math.inf)
    assert tags(calls) == ()


def test_no_calls_are_an_error() -> None:
    for calls in ([], [[]]):
        with pytest.raises(MeasurementError, match="there are no calls that could have drifted"):
            drift(calls)


def test_tails_of_equal_arms_agree() -> None:
    base, head = drifting(0.0), drifting(0.0, level_ns=2e6)
    assert tail_tags(head, base) == ()
    assert {name: round(ratio.value, 2) for name, ratio in tail_ratios(head, base).items()} == {"p50": 2.0, "p90": 2.0}


def test_a_tail_that_the_minima_hide_is_tagged() -> None:
    base = drifting(0.0)
    head = with_tail(base, 3.0)
    assert compare(head, base).value == pytest.approx(1.0, abs=0.02)
    assert tail_ratios(head, base)["p90"].value == pytest.approx(3.0, rel=0.05)
    assert tail_tags(head, base) == ("tails-disagree",)


def test_few_sessions_have_no_intervals_that_could_disagree() -> None:
    base = drifting(0.0, sessions=4)
    assert tail_tags(with_tail(base, 3.0), base) == ()


def test_arms_of_other_sessions_are_refused() -> None:
    with pytest.raises(MeasurementError, match="not measured in the same sessions"):
        tail_ratios(drifting(0.0), drifting(0.0, sessions=7))


def test_remarks_give_the_figures_behind_each_tag() -> None:
    base, faster = drifting(0.0), drifting(-0.10)
    assert remarks("a", base) == remarks("a", base, base) == []
    (steady,) = remarks("a", faster)
    assert steady.startswith("no-steady-state: the calls of a changed by -")
    assert steady.endswith("within sessions; nothing was left out.")
    (tail,) = remarks("b", with_tail(base, 3.0), base)
    assert tail.startswith("tails-disagree: b takes 1.0")
    assert "by p50" in tail
    assert "by p90" in tail
