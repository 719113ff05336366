"""What a gate decides: a verdict for each metric of each model, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from edgekit.bench.measure import Measurement
from edgekit.bench.statistics import Interval
from edgekit.files import sha256_of


class Outcome(str, Enum):
    """What can be said of a change, most serious first. Only PASS is a pass."""

    FAIL = "FAIL"
    INCOMPARABLE = "INCOMPARABLE"
    INCONCLUSIVE = "INCONCLUSIVE"
    PASS = "PASS"  # noqa: S105 - a verdict, no password


# Exit code of `edgekit gate` by outcome; 1 is an error, 2 wrong usage.
EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 3, Outcome.INCONCLUSIVE: 4, Outcome.INCOMPARABLE: 5}


@dataclass(frozen=True)
class Verdict:
    """One metric of one model, head against base. Above 0 is worse, whatever the metric.

    model: the name that both sides share.
    metric: "latency", "load", "rss", "size", or "accuracy".
    effect: relative change from base to head (0.05 is 5 % slower or larger), or for "accuracy" the drop in the
        metric's own unit; with the interval that was judged. None where the two cannot be compared.
    threshold: the largest change that is still harmless, in the unit of `effect`.
    base, head: the two values for the reader: nanoseconds, bytes, or mean scores; None where unknown.
    pairs: pairs of sessions, or samples, behind it; 0 for what is known exactly.
    seconds: how long it was measured.
    detectable: the smallest change that such a run fails 9 times in 10; None where nothing was measured.
    needed: how many pairs or samples would probably decide it; None unless inconclusive, or where none would.
    tags: what a reader must know of the measurement, such as "no-steady-state".
    reason: the verdict in plain words.
    """

    model: str
    metric: str
    outcome: Outcome
    effect: Interval | None
    threshold: float
    base: float | None
    head: float | None
    pairs: int
    seconds: float
    detectable: float | None
    reason: str
    needed: int | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateReport:
    """All that one run of the gate found.

    base, head: what was compared, as the caller named them.
    profile: name of the thresholds and looks that were used.
    seed: of the order in which arms ran.
    command: the command line that runs the same gate again.
    fingerprint: the machine and its software, from `edgekit.bench.environment`.
    created: date and time, ISO 8601, UTC.
    seconds: how long the whole gate took.
    raw: all that was measured, by model and side ("base", "head"): see `raw_times`.
    """

    base: str
    head: str
    profile: str
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    seed: int
    command: str
    fingerprint: Mapping[str, Any] = field(repr=False)
    created: str
    seconds: float
    raw: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def outcome(self) -> Outcome:
        """The most serious outcome of all verdicts; INCOMPARABLE without any."""
        return worst(verdict.outcome for verdict in self.verdicts)


def raw_times(measurement: Measurement) -> dict[str, Any]:
    """What was measured of one side, in JSON's own types: calls by session and round, cold starts by session.

    With the threads that it ran with, and the SHA-256 of each of its files; a folder has none.
    """
    files = {role: Path(path) for role, path in measurement.arm.files.items()}
    return {
        "threads": measurement.arm.threads,
        "sha256": {role: sha256_of(path) for role, path in files.items() if path.is_file()},
        "calls_ns": [[list(chunk) for chunk in session] for session in measurement.calls_ns],
        "import_ns": list(measurement.import_ns),
        "load_ns": list(measurement.load_ns),
        "first_inference_ns": list(measurement.first_inference_ns),
        "peak_rss_bytes": list(measurement.peak_rss_bytes),
    }


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The most serious of `outcomes`; INCOMPARABLE where there is none: what was not compared has not passed."""
    found = set(outcomes)
    return next((outcome for outcome in Outcome if outcome in found), Outcome.INCOMPARABLE)
