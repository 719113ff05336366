"""Runs arms in worker processes, one at a time and interleaved in chunks, and keeps every raw time.

A session is a new process for each arm, not only a new model in the same one: where a process's memory happens to lie,
and on which core it runs, is part of its speed for as long as it lives (`edgekit.bench.placement` has figures).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from edgekit.bench.arms import Arm, size_bytes
from edgekit.bench.processes import Worker
from edgekit.bench.sessions import Sessions
from edgekit.errors import MeasurementError

SHORT_CHUNK_NS = 500_000
LONGEST_CHUNK_CALLS = 500
WARM_UP_NS = 5_000_000
LONGEST_WARM_UP_CALLS = 2_000
ARM_SESSION_NS = 150_000_000
MOST_ROUNDS, LEAST_ROUNDS = 8, 3  # at 0.75 ms a call a session varies as much with 8 rounds as with 12
ALIKE = 2.0


@dataclass(frozen=True)
class Measurement:
    """What was measured of one arm; all times in nanoseconds, raw.

    calls_ns: sessions x rounds x calls of a chunk. Two arms measured together pair up by session and round.
    import_ns: importing the runtime in a fresh process that has numpy and edgekit already, one for each cold session.
    load_ns: opening the model after that.
    first_inference_ns: the first call after opening.
    peak_rss_bytes: of the whole process of a cold session, interpreter and feeds included; empty where the system
        does not say.
    size_bytes: the arm's files on disk; None for an arm without files.
    """

    arm: Arm
    seed: int
    calls_ns: tuple[tuple[tuple[int, ...], ...], ...]
    import_ns: tuple[int, ...]
    load_ns: tuple[int, ...]
    first_inference_ns: tuple[int, ...]
    peak_rss_bytes: tuple[int, ...]
    size_bytes: int | None


class Interleaved:
    """Arms measured against each other on the same samples, session by session, for as many as it takes.

    In each session every arm gets a new process, and only one of them works at any moment. They are bound to the same
    CPUs, and in each round run a chunk of calls each, all in an order drawn from `seed`. What the machine does
    meanwhile thus falls on all arms alike, and their ratio (`edgekit.bench.statistics.compare`) can be trusted where a
    single arm's times cannot.

    rounds: of a session; by default as many as 0.15 s of the slowest arm's calls allow, from 3 to 8.
    query_calls: by arm's name, how many calls in a row make one query, if not 1: a chunk is of whole queries.
    timeout_s: longest that any one command of a worker may take.

    Raises:
        MeasurementError: no arms, two of one name, or an arm without its files. Every method raises it for an arm
            that cannot be opened or run, died or hung; it names the arm.
    """

    def __init__(
        self,
        arms: Sequence[Arm],
        feeds_folder: Path,
        *,
        seed: int = 0,
        rounds: int | None = None,
        query_calls: Mapping[str, int] | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        _check(arms, rounds)
        self._logs = [_Log(arm, size_bytes(arm), (query_calls or {}).get(arm.name, 1)) for arm in arms]
        self._feeds = Path(feeds_folder)
        self._seed = seed
        self._rounds = rounds
        self._timeout_s = timeout_s
        self._sessions = Sessions(threads=max(arm.threads for arm in arms), seed=seed, timeout_s=timeout_s)

    def session(self) -> None:
        """One more session of all arms."""
        logs = {log.arm.name: log for log in self._logs}
        with self._sessions.session([log.arm for log in self._logs]) as workers:
            for worker in workers:
                logs[worker.arm.name].warm_up(worker, self._feeds)
            if not self._logs[0].chunk:
                self._size_chunks()
            rounds = self._rounds = self._rounds or rounds_of(max(log.chunk * log.latency_ns for log in self._logs))
            chunks: dict[str, list[tuple[int, ...]]] = {name: [] for name in logs}
            for _ in range(rounds):
                for worker in self._sessions.shuffled(workers):
                    done, calls = chunks[worker.arm.name], logs[worker.arm.name].chunk
                    done.append(worker.time(calls, start=len(done) * calls))
        for name, log in logs.items():
            log.sessions.append(tuple(chunks[name]))

    def _size_chunks(self) -> None:
        """Calls of a chunk, set once, so that sessions are alike; and alike for arms of about the same speed.

        The least of 4 calls is lower than the least of 2: a chunk of 5 against one of 3 made arms differ by 0.4 %.
        """
        latencies = [log.latency_ns for log in self._logs]
        alike = max(latencies) <= ALIKE * min(latencies)
        for log in self._logs:
            latency = max(latencies) if alike else log.latency_ns
            log.chunk = log.query_calls * chunk_calls(log.query_calls * latency)

    def cold_session(self) -> None:
        """One more start of every arm in a fresh process: import, load, first inference, peak memory."""
        for log in self._sessions.shuffled(self._logs):
            with Worker(log.arm, timeout_s=self._timeout_s) as worker:
                worker.ask("stats")  # it has started before it is opened
                log.start_cold(worker, self._feeds)

    def measurements(self) -> tuple[Measurement, ...]:
        """What has been measured so far, in the order of the arms."""
        return tuple(log.measurement(self._seed) for log in self._logs)

    def __enter__(self) -> Interleaved:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.__exit__(kind, error, trace)


def measure(
    arms: Sequence[Arm],
    feeds_folder: Path,
    *,
    sessions: int = 8,
    cold_sessions: int = 3,
    rounds: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    timeout_s: float = 120.0,
) -> tuple[Measurement, ...]:
    """Time `arms` against each other on the samples in `feeds_folder`: a Measurement each, in their order.

    sessions: see `Interleaved`, as for rounds; fewer than 6 allow no 95 % interval.
    cold_sessions: fresh processes of each arm for load, first inference and memory.
    progress: called after each session, with sessions done and sessions in all, cold ones first.

    Raises:
        MeasurementError: as `Interleaved`, and for no sessions.
    """
    if sessions < 1 or cold_sessions < 0:
        raise MeasurementError(f"sessions = {sessions}, cold_sessions = {cold_sessions}; expected at least 1 and 0")
    with Interleaved(arms, feeds_folder, seed=seed, rounds=rounds, timeout_s=timeout_s) as run:
        steps = [run.cold_session] * cold_sessions + [run.session] * sessions
        for done, step in enumerate(steps):
            step()
            if progress is not None:
                progress(done + 1, len(steps))
        return run.measurements()


def warm_up(worker: Worker) -> int:
    """Call what the worker has open for some milliseconds; about how many nanoseconds a call takes then."""
    latency = max(1, *worker.time(1))
    if latency < WARM_UP_NS:
        latency = max(1, min(worker.time(min(LONGEST_WARM_UP_CALLS, WARM_UP_NS // latency))))
    return latency


def run_outputs(arm: Arm, feeds_folder: Path, out_folder: Path, *, timeout_s: float = 600.0) -> int:
    """Run each sample of `feeds_folder` through `arm`, in a process of its own; how many there were.

    Outputs go to `out_folder`, for `edgekit.bench.samples.read_samples`, in the order of the feeds.

    Raises:
        MeasurementError: the arm cannot be opened or run, died, or took longer than `timeout_s`.
    """
    with Worker(arm, timeout_s=timeout_s) as worker:
        worker.open(feeds_folder)
        return int(worker.ask("outputs", feeds=str(feeds_folder), out=str(out_folder))["samples"])


def chunk_calls(latency_ns: float) -> int:
    """Calls of one chunk: 5 below 5 ms, 2 from 20 ms, and more than 5 where that would last less than 0.5 ms.

    The estimator drops a chunk's first call, which pays for the caches that another arm has used, and takes
    the least of the others. Alternating single calls inflated latencies by 20 %.
    """
    if latency_ns >= 20e6:
        return 2
    if latency_ns >= 5e6:
        return 3
    return min(LONGEST_CHUNK_CALLS, max(5, math.ceil(SHORT_CHUNK_NS / max(latency_ns, 1.0))))


def rounds_of(chunk_ns: float) -> int:
    """Rounds of a session in which the slowest arm's chunk takes `chunk_ns`."""
    return max(LEAST_ROUNDS, min(MOST_ROUNDS, round(ARM_SESSION_NS / max(chunk_ns, 1.0))))


@dataclass
class _Log:
    """What has been collected of one arm."""

    arm: Arm
    size_bytes: int | None
    query_calls: int = 1
    chunk: int = 0
    latency_ns: int = 0
    sessions: list[tuple[tuple[int, ...], ...]] = field(default_factory=list)
    import_ns: list[int] = field(default_factory=list)
    load_ns: list[int] = field(default_factory=list)
    first_inference_ns: list[int] = field(default_factory=list)
    peak_rss_bytes: list[int] = field(default_factory=list)

    def warm_up(self, worker: Worker, feeds_folder: Path) -> None:
        """Open the arm and call it for some milliseconds."""
        worker.open(feeds_folder)  # which calls it once, as binding it does
        latency = warm_up(worker)
        self.latency_ns = self.latency_ns or latency

    def start_cold(self, worker: Worker, feeds_folder: Path) -> None:
        reply = worker.open(feeds_folder)
        self.import_ns.append(reply["import_ns"])
        self.load_ns.append(reply["load_ns"])
        self.first_inference_ns.append(reply["first_inference_ns"])
        worker.time(3)
        if (peak := worker.ask("stats")["peak_rss_bytes"]) is not None:
            self.peak_rss_bytes.append(peak)

    def measurement(self, seed: int) -> Measurement:
        return Measurement(
            arm=self.arm,
            seed=seed,
            calls_ns=tuple(self.sessions),
            import_ns=tuple(self.import_ns),
            load_ns=tuple(self.load_ns),
            first_inference_ns=tuple(self.first_inference_ns),
            peak_rss_bytes=tuple(self.peak_rss_bytes),
            size_bytes=self.size_bytes,
        )


def _check(arms: Sequence[Arm], rounds: int | None) -> None:
    names = [arm.name for arm in arms]
    if not arms:
        raise MeasurementError("there is nothing to measure; give at least one arm")
    if twice := {name for name in names if names.count(name) > 1}:
        raise MeasurementError(f"two arms are called {sorted(twice)[0]!r}; give each a name of its own")
    if rounds is not None and rounds < 1:
        raise MeasurementError(f"rounds = {rounds}; expected at least one")
