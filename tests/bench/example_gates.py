"""Made-up results of the gate for tests of how they are written and shown: all outcomes, awkward names, no bounds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from edgekit.bench.gate.verdict import GateReport, Outcome, Verdict
from edgekit.bench.statistics import Interval

SLOWER = Verdict(
    model="resnet8",
    metric="latency",
    outcome=Outcome.FAIL,
    effect=Interval(0.0512, 0.0481, 0.0554),
    threshold=0.025,
    base=195_300.0,
    head=205_200.0,
    pairs=20,
    seconds=4.12,
    detectable=0.0311,
    reason="at least 4.8 % slower; 2.5 % is allowed",
    tags=("no-steady-state",),
)
UNCLEAR = Verdict(
    model="resnet8",
    metric="load",
    outcome=Outcome.INCONCLUSIVE,
    effect=Interval(0.0613, -0.031, 0.142),
    threshold=0.1,
    base=14.0e6,
    head=14.9e6,
    pairs=40,
    seconds=9.7,
    detectable=0.21,
    reason="between -3.1 % and 14.2 % slower to load, and 10.0 % is allowed; about 160 sessions would tell",
    needed=160,
)
SAME_SIZE = Verdict(
    model="resnet8",
    metric="size",
    outcome=Outcome.PASS,
    effect=Interval(0.0, 0.0, 0.0),
    threshold=0.02,
    base=372_000,
    head=372_000,
    pairs=0,
    seconds=0.0,
    detectable=None,
    reason="at most 0.0 % larger; 2.0 % is allowed",
)
SAME_ACCURACY = Verdict(
    model="resnet8",
    metric="accuracy",
    outcome=Outcome.PASS,
    effect=Interval(0.0005, -0.0011, 0.0021),
    threshold=0.01,
    base=0.9219,
    head=0.9214,
    pairs=10_000,
    seconds=0.0,
    detectable=0.0126,
    reason="at most 0.0021 lost; 0.0100 is allowed",
)
FASTER = Verdict(
    model="kws",
    metric="latency",
    outcome=Outcome.PASS,
    effect=Interval(-0.2612, -0.2701, -0.2559),
    threshold=0.025,
    base=61_200.0,
    head=45_300.0,
    pairs=10,
    seconds=1.9,
    detectable=0.034,
    reason="at most -25.6 % slower; 2.5 % is allowed",
)
UNBOUNDED = Verdict(
    model="kws",
    metric="rss",
    outcome=Outcome.INCONCLUSIVE,
    effect=Interval(0.013, -math.inf, math.inf),
    threshold=0.05,
    base=56.0e6,
    head=56.7e6,
    pairs=3,
    seconds=1.1,
    detectable=None,
    reason="too few sessions for an interval",
)
GONE = Verdict(
    model="old-model",
    metric="latency",
    outcome=Outcome.INCOMPARABLE,
    effect=None,
    threshold=0.025,
    base=45_300.0,
    head=None,
    pairs=0,
    seconds=0.0,
    detectable=None,
    reason="the head has no model of this name; rename it back, or gate without it",
)
AWKWARD = replace(
    GONE,
    model="a|b <i>c</i> ]]> & ```d` [red]\x1b$x$",
    reason="<script>alert(1)</script> ]]> | *no*\nsecond line",
)

FINGERPRINT = {
    "cpu": "A & B | <C>",
    "isa": ["avx2", "fma"],
    "memory_bytes": 8_000_000_000,
    "packages": {"numpy": "2.0", "torch": "not installed"},
}


def example_gate(*verdicts: Verdict, **changes: Any) -> GateReport:
    """A report of these verdicts, changed where `changes` say so."""
    report = GateReport(
        base="origin/main",
        head="models/kws.py",
        profile="pr",
        verdicts=verdicts,
        notes=("Measured on a machine with 2 cores, of which 1 was busy.",),
        seed=7,
        command="edgekit gate models/kws.py --base-rev origin/main --seed 7",
        fingerprint=FINGERPRINT,
        created="2026-01-02T03:04:05+00:00",
        seconds=17.3,
    )
    return replace(report, **changes)


def full_gate() -> GateReport:
    """Every outcome, an interval beyond each end of the scale, none at all, and names that break careless writers."""
    return example_gate(SLOWER, UNCLEAR, SAME_SIZE, SAME_ACCURACY, FASTER, UNBOUNDED, GONE, AWKWARD)
