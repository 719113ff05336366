"""Made-up measurements for tests of reports and their rendering: the numbers are drawn, the types are real."""

from __future__ import annotations

import numpy as np

from edgekit.bench.accuracy import Accuracy
from edgekit.bench.arms import Arm
from edgekit.bench.measure import Measurement
from edgekit.bench.report import Report, build_report


def measurement(
    name: str, latency_ns: float, *, sessions: int = 8, rounds: int = 12, kind: str = "openvino"
) -> Measurement:
    rng = np.random.default_rng(len(name) + int(latency_ns))
    calls = (
        latency_ns * np.exp(rng.normal(0, 0.01, (sessions, 1, 1))) * (1 + rng.exponential(0.05, (sessions, rounds, 5)))
    )
    return Measurement(
        arm=Arm(name, kind, "f32", {"model": "/m"}, recipe="r"),
        seed=0,
        calls_ns=tuple(tuple(tuple(map(int, chunk)) for chunk in session) for session in calls),
        load_ns=tuple(range(14_000_000, 14_000_000 + sessions)),
        first_inference_ns=(100_000,) * sessions,
        import_ns=(25_000_000,) * sessions,
        peak_rss_bytes=(55_000_000, 56_000_000),
        size_bytes=83_000,
    )


def example_report() -> Report:
    arms = {"edgekit": 6.1e3, "onnxruntime": 6.2e3, "openvino": 18e3, "litert": 3.5e3, "torch": 95e3}
    scores = {"edgekit": 0.978, "onnxruntime": 0.978, "openvino": 0.978, "litert": 0.971}
    return build_report(
        "kws on <cpu> | test",
        [measurement(name, latency, kind=name if name != "edgekit" else "openvino") for name, latency in arms.items()],
        base="onnxruntime",
        fingerprint={"cpu": "A & B", "packages": {"numpy": "2.0"}, "isa": ["avx2"], "memory_bytes": 8_000_000_000},
        accuracies={name: Accuracy("top1", score, score - 0.012, score + 0.009, 500) for name, score in scores.items()},
        notes=["Peers run <b>one</b> thread."],
    )
