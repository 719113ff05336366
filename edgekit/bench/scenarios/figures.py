"""Scenarios: what is asked of arms besides single calls, and the figures that are made of what was measured.

    single-stream   one call after the other; `edgekit.bench.measure` and `edgekit.bench.report`
    multi-stream    a query of several samples, in one batch where the model takes it
    offline         all samples as fast as possible, in the batch that was fastest
    server          queries that arrive at random in an open loop, timed from when they were due
    cold-start      fresh processes: import, load or compile, first inference

How each is run: `edgekit.bench.scenarios.run`. Raw times are kept; everything else is made of them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgekit.bench.arms import Arm
from edgekit.bench.measure import Measurement
from edgekit.bench.report import PERCENTILES
from edgekit.bench.scenarios.arrivals import Served
from edgekit.bench.statistics import (
    MINIMUM_COUNTS,
    Calls,
    Interval,
    Ratio,
    Withheld,
    compare,
    median,
    over_sessions,
    percentile,
    timed_calls,
    withheld,
)
from edgekit.bench.steady import remarks, tags, tail_tags
from edgekit.errors import MeasurementError, did_you_mean
from edgekit.tensors import TensorSpec, dim_ranges

SINGLE_STREAM, MULTI_STREAM, OFFLINE, SERVER, COLD_START = SCENARIOS = (
    "single-stream",
    "multi-stream",
    "offline",
    "server",
    "cold-start",
)
STREAMS = 8  # samples of a multi-stream query, as in MLPerf inference's edge suite
OVERLOADED = "overloaded"


@dataclass(frozen=True)
class Plan:
    """What to run.

    scenario: one of `SCENARIOS`.
    sessions: fresh sessions of each arm; fewer than 6 allow no 95 % interval.
    streams: samples of a multi-stream query.
    qps: queries a second that arrive in the server scenario; half as many as the first arm serves one after the other
        if None.
    most_in_batch: how many samples a call may take: `batch_limit`.
    seed: of the order in which arms run, and of the arrivals.

    Raises:
        MeasurementError: an unknown scenario, or a number that is too small.
    """

    scenario: str
    sessions: int = 10
    rounds: int | None = None
    streams: int = STREAMS
    qps: float | None = None
    most_in_batch: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS:
            raise MeasurementError(f"unknown scenario {self.scenario!r}; {did_you_mean(self.scenario, SCENARIOS)}")
        if self.sessions < 1 or self.streams < 1 or (self.rounds is not None and self.rounds < 1):
            raise MeasurementError(
                f"sessions = {self.sessions}, streams = {self.streams}, rounds = {self.rounds}; expected at least 1"
            )
        if self.qps is not None and not 0 < self.qps < float("inf"):
            raise MeasurementError(f"qps = {self.qps}; expected a rate above 0")


@dataclass(frozen=True)
class Way:
    """How an arm answers a query.

    arm: with the batch that it is called with. calls: how many calls in a row make a query.
    how: in a few words: "batch of 8". why: why it is not one batch; empty if it is, or if one sample was asked for.
    """

    arm: Arm
    calls: int
    how: str
    why: str = ""


@dataclass(frozen=True)
class ScenarioResult:
    """One arm in one scenario.

    how, why: see `Way`.
    figures: by name, units in the name; None for what this machine does not tell or what is withheld.
    ratio: this arm's time over the base arm's; None for the base, and where the scenario compares none.
    energy_uj_per_sample: offline only, around whole chunks of calls; None where this machine does not tell.
    withheld: percentiles that are not given, and why.
    tags: what to know of the figures. notes: what there is to say of that, a sentence each.
    raw: what was measured, by session, for each name with its unit.
    """

    name: str
    backend: str
    precision: str
    threads: int
    how: str
    why: str
    figures: Mapping[str, Interval | None]
    ratio: Ratio | None = None
    energy_uj_per_sample: Interval | None = None
    withheld: tuple[Withheld, ...] = ()
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Throughput:
    """What was measured of one arm offline: for each session, each chunk's calls, their time and their energy.

    energy_uj: None where this machine does not tell.
    """

    calls: tuple[tuple[int, ...], ...]
    chunk_ns: tuple[tuple[int, ...], ...]
    energy_uj: tuple[tuple[int, ...], ...] | None


def batch_limit(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> int:
    """How many samples of the smallest size one call may take: 1 where the declared shapes have no batch.

    A batch is a dynamic dimension that leads every input and output and stands nowhere else in them.
    """
    specs = (*inputs, *outputs)
    leading = {spec.shape[0] if spec.shape else 1 for spec in specs}
    batch = next(iter(leading))
    if len(leading) > 1 or not isinstance(batch, str) or any(batch in spec.shape[1:] for spec in specs):
        return 1
    low, high = dim_ranges(inputs)[batch]
    return high // low


def queries_of(calls: Calls, size: int) -> Calls:
    """The times of queries of `size` calls in a row each: sessions x rounds x queries of a chunk."""
    return [[[sum(chunk[at : at + size]) for at in range(0, len(chunk), size)] for chunk in s] for s in calls]


def multi_stream_result(way: Way, calls: Calls, base_queries: Calls | None) -> ScenarioResult:
    """Latency of whole queries: the time of their calls, as samples are copied to the inputs between them."""
    queries = queries_of(calls, way.calls)
    times = timed_calls(queries)
    return replace(
        _result(way),
        figures={f"p{q}_ns": percentile(times, q) for q in PERCENTILES},
        ratio=None if base_queries is None else compare(queries, base_queries),
        withheld=withheld(times, PERCENTILES),
        tags=(*tags(queries), *(() if base_queries is None else tail_tags(queries, base_queries))),
        notes=tuple(remarks(way.arm.name, queries, base_queries)),
        raw={"calls_ns": calls},
    )


def offline_result(way: Way, found: Throughput, base: tuple[Way, Throughput] | None) -> ScenarioResult:
    """Samples a second, and energy a sample, over whole sessions."""
    samples = [way.arm.batch * sum(session) for session in found.calls]
    rates = [1e9 * count / sum(chunks) for count, chunks in zip(samples, found.chunk_ns, strict=True)]
    times = _sample_times(way, found)
    return replace(
        _result(way),
        figures={"samples_per_s": over_sessions(rates)},
        ratio=None if base is None else compare(times, _sample_times(*base)),
        energy_uj_per_sample=_energy(samples, found.energy_uj),
        tags=tags(times),
        notes=tuple(remarks(way.arm.name, times)),
        raw={"calls": found.calls, "chunk_ns": found.chunk_ns, "energy_uj": found.energy_uj},
    )


def server_result(way: Way, arrivals_ns: Sequence[Sequence[int]], served: Sequence[Served]) -> ScenarioResult:
    """Latencies from when queries were due; none where the arm is overloaded: they are then as long as one waits.

    utilisation: time spent working over the span of the arrivals. From 1 on the queue grows without bound.
    late: share of that span in which a query was due and the arm free, but not begun: the machine's doing, `lateness`.

    Latencies in a queue depend on one another: their intervals are taken over sessions, with no binomial bound.
    """
    spans = [max(1, arrivals[len(part.latency_ns) - 1]) for arrivals, part in zip(arrivals_ns, served, strict=True)]
    ends = [span + part.latency_ns[-1] for span, part in zip(spans, served, strict=True)]
    busy = over_sessions([sum(part.service_ns) / span for span, part in zip(spans, served, strict=True)])
    late_ns = [sum(lateness(arrivals, part)) for arrivals, part in zip(arrivals_ns, served, strict=True)]
    figures: dict[str, Interval | None] = {
        "offered_per_s": over_sessions([1e9 * len(arrivals) / max(1, arrivals[-1]) for arrivals in arrivals_ns]),
        "served_per_s": over_sessions([1e9 * len(p.latency_ns) / end for p, end in zip(served, ends, strict=True)]),
        "utilisation": busy,
        "late": over_sessions([max(1, late) / span for late, span in zip(late_ns, spans, strict=True)]),
    }
    unserved = any(len(part.latency_ns) < len(due) for part, due in zip(served, arrivals_ns, strict=True))
    overloaded = busy.value >= 1 or unserved
    latencies = [] if overloaded else [part.latency_ns for part in served]
    return replace(
        _result(way),
        figures={**figures, **{f"p{q}_ns": _session_percentile(latencies, q) for q in PERCENTILES}},
        withheld=() if overloaded else _withheld_in_a_queue(latencies),
        tags=(OVERLOADED,) if overloaded else (),
        raw={
            "arrivals_ns": arrivals_ns,
            "service_ns": [part.service_ns for part in served],
            "latency_ns": [part.latency_ns for part in served],
        },
    )


def lateness(arrivals_ns: Sequence[int], served: Served) -> list[int]:
    """For each query served, the time from when it was due and the one before it done until it was begun."""
    late: list[int] = []
    free_at = 0
    for due, service, latency in zip(arrivals_ns, served.service_ns, served.latency_ns, strict=False):
        late.append(due + latency - service - max(due, free_at))
        free_at = due + latency
    return late


def cold_start_result(found: Measurement) -> ScenarioResult:
    """Medians over fresh processes; `total_ns` is from before the import until after the first inference."""
    raw = {
        "import_ns": found.import_ns,
        "load_ns": found.load_ns,
        "first_inference_ns": found.first_inference_ns,
        "peak_rss_bytes": found.peak_rss_bytes,
    }
    parts = (found.import_ns, found.load_ns, found.first_inference_ns)
    totals = {"total_ns": tuple(map(sum, zip(*parts, strict=True)))}
    return replace(
        _result(Way(found.arm, 1, "fresh process")),
        figures={name: median(values) if values else None for name, values in {**raw, **totals}.items()},
        raw=raw,
    )


def _result(way: Way) -> ScenarioResult:
    arm = way.arm
    backend = arm.backend or arm.kind
    return ScenarioResult(arm.name, backend, arm.precision, arm.threads, how=way.how, why=way.why, figures={})


def _sample_times(way: Way, found: Throughput) -> Calls:
    """Each chunk's picoseconds a sample, in the form that ratios and drifts are made of."""
    return [
        [[round(1000 * ns / (calls * way.arm.batch))] for calls, ns in zip(*session, strict=True)]
        for session in zip(found.calls, found.chunk_ns, strict=True)
    ]


def _energy(samples: Sequence[int], energy_uj: Sequence[Sequence[int]] | None) -> Interval | None:
    """None too where a counter did not move in a session: its steps are then longer than what was measured."""
    if energy_uj is None or not all(sum(session) > 0 for session in energy_uj):
        return None
    return over_sessions([sum(session) / count for session, count in zip(energy_uj, samples, strict=True)])


def _session_percentile(latencies_ns: Sequence[Sequence[int]], q: float) -> Interval | None:
    if sum(map(len, latencies_ns)) < MINIMUM_COUNTS[q]:
        return None
    return over_sessions([max(1.0, float(np.percentile(part, q, method="inverted_cdf"))) for part in latencies_ns])


def _withheld_in_a_queue(latencies_ns: Sequence[Sequence[int]]) -> tuple[Withheld, ...]:
    pooled = [ns for part in latencies_ns for ns in part]
    return tuple(replace(part, upper=None) for part in withheld(pooled, PERCENTILES))
