"""Reasons say which bound decided, in words that fit its sign."""

from __future__ import annotations

import math

import pytest

from edgekit.bench.gate.evidence import Counted, Evidence, LostShare, PairedRatios
from edgekit.bench.gate.reasons import reason
from edgekit.bench.gate.verdict import Outcome

LOOKS = (10, 20, 40)


def sessions(change: float, spread: float = 0.001) -> PairedRatios:
    logs = [math.log1p(change) + spread * (i - 4.5) / 4.5 for i in range(10)]
    return PairedRatios(tuple(logs), LOOKS)


@pytest.mark.parametrize(
    ("metric", "evidence", "threshold", "outcome", "said"),
    [
        ("latency", sessions(0.05), 0.025, Outcome.FAIL, "at least 4.9 % slower; 2.5 % is allowed"),
        ("latency", sessions(0.0), 0.025, Outcome.PASS, "at most 0.1 % slower; 2.5 % is allowed"),
        ("latency", sessions(-0.2), 0.025, Outcome.PASS, "at least 19.9 % faster; 2.5 % is allowed"),
        ("size", Counted(0.0), 0.02, Outcome.PASS, "0.0 % larger; 2.0 % is allowed"),
        ("size", Counted(-0.5), 0.02, Outcome.PASS, "50.0 % smaller; 2.0 % is allowed"),
        (
            "accuracy", LostShare(6, 8, 500), 0.01, Outcome.INCONCLUSIVE,
            "between 0.0111 gained and 0.0191 lost; 0.0100 is allowed; about 2987 samples would tell "
            "(8 samples lost, 6 gained: exact McNemar p = 0.791)",
        ),
    ],
)  # fmt: skip
def test_a_reason_names_the_bound_that_decided(
    metric: str, evidence: Evidence, threshold: float, outcome: Outcome, said: str
) -> None:
    assert reason(metric, evidence, threshold, outcome=outcome, alpha=0.025) == said


def test_what_several_metrics_leave_open_is_said() -> None:
    found = reason("load", sessions(0.2), 0.1, outcome=Outcome.INCONCLUSIVE, alpha=0.025)
    assert "which it exceeds on its own, but not surely so as one of several metrics" in found
