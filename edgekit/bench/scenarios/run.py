"""Runs the scenarios: which commands go to the workers, in which order, and for how long."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit.bench.arms import Arm
from edgekit.bench.measure import Interleaved, warm_up
from edgekit.bench.processes import Worker
from edgekit.bench.scenarios.arrivals import Served, poisson_arrivals
from edgekit.bench.scenarios.figures import (
    COLD_START,
    MULTI_STREAM,
    OFFLINE,
    SERVER,
    Plan,
    ScenarioResult,
    Throughput,
    Way,
    cold_start_result,
    multi_stream_result,
    offline_result,
    queries_of,
    server_result,
)
from edgekit.bench.sessions import Sessions
from edgekit.errors import MeasurementError

BATCHES = (1, 4, 16, 64)
OFFLINE_CHUNK_NS = 50_000_000
OFFLINE_ROUNDS = 4
PILOT_NS = 20_000_000
SERVER_S = 0.5
LEAST_QUERIES, MOST_QUERIES = 16, 2000  # of a session
DEFAULT_LOAD = 0.5
ONE_SHAPE_KINDS = ("torch-aot",)  # compiled for the smallest shape, and some versions do not check what they get

Tick = Callable[[int, int], None]


def run_scenario(
    plan: Plan, arms: Sequence[Arm], feeds_folder: Path, *, progress: Tick | None = None, timeout_s: float = 120.0
) -> tuple[ScenarioResult, ...]:
    """What `plan` asks for, of each arm on the samples in `feeds_folder`, in the order of the arms.

    The first arm is the base of ratios. Arms take turns by session, all in an order drawn from the plan's seed.

    progress: called after each session, with sessions done and sessions in all.

    Raises:
        MeasurementError: as `edgekit.bench.measure.Interleaved`; or single-stream, which `measure` runs.
    """
    if plan.scenario not in RUNS:
        raise MeasurementError(f"{plan.scenario} is no scenario of its own: measure(...) times single calls")
    return RUNS[plan.scenario](plan, arms, Path(feeds_folder), progress or (lambda _done, _of: None), timeout_s)


def _multi_stream(plan: Plan, arms: Sequence[Arm], feeds: Path, tick: Tick, timeout_s: float) -> Results:
    with _sessions(arms, plan, timeout_s) as pilots:
        ways = [_query_way(pilots, arm, feeds, plan) for arm in arms]
    calls = {way.arm.name: way.calls for way in ways}
    batched = [way.arm for way in ways]
    with Interleaved(batched, feeds, seed=plan.seed, rounds=plan.rounds, query_calls=calls, timeout_s=timeout_s) as run:
        for done in range(plan.sessions):
            run.session()
            tick(done + 1, plan.sessions)
        found = [measurement.calls_ns for measurement in run.measurements()]
    base = queries_of(found[0], ways[0].calls)
    return tuple(
        multi_stream_result(way, times, base if way is not ways[0] else None)
        for way, times in zip(ways, found, strict=True)
    )


def _offline(plan: Plan, arms: Sequence[Arm], feeds: Path, tick: Tick, timeout_s: float) -> Results:
    found: dict[str, list[Throughput]] = {arm.name: [] for arm in arms}
    with _sessions(arms, plan, timeout_s) as sessions:
        ways = [_fastest_way(sessions, arm, feeds, plan) for arm in arms]
        for done in range(plan.sessions):
            with sessions.session([way.arm for way in ways]) as workers:
                calls = {worker.arm.name: _calls_in(OFFLINE_CHUNK_NS, worker, feeds) for worker in workers}
                chunks: dict[str, list[_Chunk]] = {name: [] for name in found}
                for _ in range(plan.rounds or OFFLINE_ROUNDS):
                    for worker in sessions.shuffled(workers):
                        chunks[worker.arm.name].append(_chunk(worker, calls[worker.arm.name]))
            for name, parts in chunks.items():
                found[name].append(_throughput(parts))
            tick(done + 1, plan.sessions)
    pairs = [(way, _joined(found[way.arm.name])) for way in ways]
    return tuple(offline_result(*pair, pairs[0] if pair is not pairs[0] else None) for pair in pairs)


def _server(plan: Plan, arms: Sequence[Arm], feeds: Path, tick: Tick, timeout_s: float) -> Results:
    served: dict[str, list[Served]] = {arm.name: [] for arm in arms}
    arrivals: list[list[int]] = []
    with _sessions(arms, plan, timeout_s) as sessions:
        rate = plan.qps or DEFAULT_LOAD * 1e9 / _call_ns(sessions, arms[0], feeds)
        count = min(MOST_QUERIES, max(LEAST_QUERIES, math.ceil(rate * SERVER_S)))
        for done in range(plan.sessions):
            arrivals.append(poisson_arrivals(rate, count, seed=(plan.seed, done)))
            with sessions.session(arms) as workers:
                for worker in workers:
                    worker.open(feeds)
                    warm_up(worker)
                for worker in sessions.shuffled(workers):
                    reply = worker.ask("serve", arrivals_ns=arrivals[-1])
                    served[worker.arm.name].append(Served(**{name: tuple(times) for name, times in reply.items()}))
            tick(done + 1, plan.sessions)
    return tuple(server_result(Way(arm, 1, "one at a time"), arrivals, served[arm.name]) for arm in arms)


def _cold_start(plan: Plan, arms: Sequence[Arm], feeds: Path, tick: Tick, timeout_s: float) -> Results:
    with Interleaved(arms, feeds, seed=plan.seed, timeout_s=timeout_s) as run:
        for done in range(plan.sessions):
            run.cold_session()
            tick(done + 1, plan.sessions)
        return tuple(map(cold_start_result, run.measurements()))


Results = tuple[ScenarioResult, ...]
RUNS: dict[str, Callable[[Plan, Sequence[Arm], Path, Tick, float], Results]] = {
    MULTI_STREAM: _multi_stream,
    OFFLINE: _offline,
    SERVER: _server,
    COLD_START: _cold_start,
}

_Chunk = tuple[int, int, int | None]
"""Calls, their nanoseconds, and their microjoules where this machine tells them."""


def _sessions(arms: Sequence[Arm], plan: Plan, timeout_s: float) -> Sessions:
    return Sessions(threads=max(arm.threads for arm in arms), seed=plan.seed, timeout_s=timeout_s)


def _query_way(sessions: Sessions, arm: Arm, feeds: Path, plan: Plan) -> Way:
    """One batch where the arm takes it, which is tried; else as many calls in a row."""
    size = plan.streams
    batched = replace(arm, batch=size) if not arm.processing else arm
    why = _why_no_batch(arm, size, plan)
    try:
        if not why:
            _call_ns(sessions, batched, feeds)
            return Way(batched, 1, f"batch of {size}")
    except MeasurementError as error:
        why = _short(error)
    return Way(arm, size, f"{size} calls in a row", why)


def _fastest_way(sessions: Sessions, arm: Arm, feeds: Path, plan: Plan) -> Way:
    """The batch with the least time a sample, in trial runs that are not counted."""
    times_ns: dict[int, float] = {}
    why = ""
    for size in BATCHES:
        if why := _why_no_batch(arm, size, plan):
            break
        try:
            times_ns[size] = _call_ns(sessions, replace(arm, batch=size), feeds) / size
        except MeasurementError as error:
            if size == 1:
                raise
            why = _short(error)
            break
    best = min(times_ns, key=lambda size: times_ns[size])
    how = f"batch of {best}, fastest of {', '.join(map(str, times_ns))}" if len(times_ns) > 1 else "single samples"
    return Way(replace(arm, batch=best), 1, how, why)


def _why_no_batch(arm: Arm, size: int, plan: Plan) -> str:
    """Why the arm cannot be given so many samples in one call; empty if it may be tried."""
    if size == 1:
        return ""
    if arm.processing:
        return "processing takes one sample at a time"
    if arm.kind in ONE_SHAPE_KINDS:
        return "it is compiled for one sample"
    if size > plan.most_in_batch:
        return f"the model's ranges allow {plan.most_in_batch} in a call"
    return ""


def _call_ns(sessions: Sessions, arm: Arm, feeds: Path) -> float:
    """Median nanoseconds of a call, in a process of its own.

    Raises:
        MeasurementError: the arm cannot be opened or run.
    """
    with sessions.session([arm]) as (worker,):
        return float(np.median(worker.time(_calls_in(PILOT_NS, worker, feeds))))


def _calls_in(duration_ns: int, worker: Worker, feeds: Path) -> int:
    """Open and warm up the worker's arm; how many calls last about so long, at least 2."""
    worker.open(feeds)
    return max(2, round(duration_ns / warm_up(worker)))


def _chunk(worker: Worker, calls: int) -> _Chunk:
    reply = worker.ask("time", calls=calls, start=0, energy=True)
    return calls, sum(reply["ns"]), reply["energy_uj"]


def _throughput(chunks: Sequence[_Chunk]) -> Throughput:
    calls, times, energies = zip(*chunks, strict=True)
    return Throughput((calls,), (times,), None if None in energies else (energies,))


def _joined(parts: Sequence[Throughput]) -> Throughput:
    """Sessions one after the other; energy only where all of them have it."""
    energies = [session for part in parts for session in part.energy_uj or ()]
    return Throughput(
        tuple(session for part in parts for session in part.calls),
        tuple(session for part in parts for session in part.chunk_ns),
        tuple(energies) if len(energies) == len(parts) else None,
    )


def _short(error: MeasurementError) -> str:
    return " ".join(str(error).split())
