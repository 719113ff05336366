"""Runs arms in worker processes, one at a time and interleaved in chunks, and keeps every raw time.

A session is a new process for each arm, not only a new model in the same one: where a process's memory happens to lie
is part of its speed, for as long as it lives. Of identical 3 us models in processes that lived through all sessions,
12 of 14 intervals excluded the truth, by up to 4 %; with new processes it was 2 of 30.
"""

from __future__ import annotations

import json
import math
import queue
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from edgekit.bench.arms import Arm, arm_to_json, size_bytes
from edgekit.errors import MeasurementError

SHORT_CHUNK_NS = 200_000
LONGEST_CHUNK_CALLS = 500
READER_JOIN_S = 5.0


@dataclass(frozen=True)
class Measurement:
    """What was measured of one arm; all times in nanoseconds, raw.

    calls_ns: sessions x rounds x calls of a chunk. Two arms measured together pair up by session and round.
    import_ns: importing the runtime in a fresh process that has numpy and edgekit already, a session each.
    load_ns: opening the model after that, a session each.
    first_inference_ns: the first call after opening, a session each.
    peak_rss_bytes: of the whole worker process, interpreter and feeds included; None where the system does
        not say.
    size_bytes: the arm's files on disk; None for an arm without files.
    """

    arm: Arm
    seed: int
    calls_ns: tuple[tuple[tuple[int, ...], ...], ...]
    import_ns: tuple[int, ...]
    load_ns: tuple[int, ...]
    first_inference_ns: tuple[int, ...]
    peak_rss_bytes: int | None
    size_bytes: int | None


class Worker:
    """A process that holds one arm. As a context manager it is gone when the block ends, in whichever way."""

    def __init__(self, arm: Arm, *, timeout_s: float = 120.0) -> None:
        self.arm = arm
        self._timeout_s = timeout_s
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgekit.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )
        self._stdin = cast("IO[str]", self._process.stdin)
        self._stdout = cast("IO[str]", self._process.stdout)
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read_replies, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def open(self, feeds_folder: Path) -> dict[str, Any]:
        """Open the arm anew, for samples like those in `feeds_folder`; the times that the worker took."""
        return self.ask("open", arm=arm_to_json(self.arm), feeds=str(feeds_folder))

    def time(self, calls: int, *, start: int = 0) -> tuple[int, ...]:
        """Nanoseconds of each of `calls` calls, on the samples from number `start` on, in turn."""
        return tuple(self.ask("time", calls=calls, start=start)["ns"])

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send a command of `edgekit.bench.worker` and wait for its reply.

        Raises:
            MeasurementError: the worker reported an error, died, or gave no answer within `timeout_s`.
        """
        try:
            self._stdin.write(json.dumps({"command": command, **fields}) + "\n")
            self._stdin.flush()
        except (OSError, ValueError) as error:  # a broken pipe, or one closed since the process was ended
            raise self._died(command) from error
        try:
            line = self._replies.get(timeout=self._timeout_s)
        except queue.Empty:
            self.kill()
            raise MeasurementError(
                f"arm {self.arm.name!r} gave no answer to {command!r} within {self._timeout_s:g} s "
                "and was stopped; if it only is slow, allow more with timeout_s, or with --timeout of `edgekit bench`",
                arm=self.arm.name,
            ) from None
        if not line:
            raise self._died(command)
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise MeasurementError(
                f"arm {self.arm.name!r}: {command} failed: {reply['error']}: {reply['message']}", arm=self.arm.name
            )
        return reply

    def kill(self) -> None:
        """End the process now, which loses nothing: all that it knows it has told. Harmless where it has ended."""
        self._process.kill()
        self._process.wait()
        self._reader.join(READER_JOIN_S)
        with suppress(OSError):  # what it had not read is lost on purpose
            self._stdin.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._errors.close()

    def _read_replies(self) -> None:
        """Runs in a thread, since not every system can wait on a pipe with a time limit; "" marks the end."""
        with self._stdout as replies:
            for line in replies:
                self._replies.put(line)
        self._replies.put("")

    def _died(self, command: str) -> MeasurementError:
        code = self._process.wait()
        self._errors.seek(0)
        last_words = self._errors.read()[-2000:].decode("utf-8", errors="replace").strip()
        return MeasurementError(
            f"the process of arm {self.arm.name!r} ended with exit code {code} at command {command!r}"
            + (f"; its last words:\n{last_words}" if last_words else ""),
            arm=self.arm.name,
        )


def run_outputs(arm: Arm, feeds_folder: Path, out_folder: Path, *, timeout_s: float = 600.0) -> int:
    """Run each sample of `feeds_folder` through `arm`, in a process of its own; how many there were.

    Outputs go to `out_folder`, for `edgekit.bench.samples.read_samples`, in the order of the feeds.

    Raises:
        MeasurementError: the arm cannot be opened or run, died, or took longer than `timeout_s`.
    """
    with Worker(arm, timeout_s=timeout_s) as worker:
        worker.open(feeds_folder)
        return int(worker.ask("outputs", feeds=str(feeds_folder), out=str(out_folder))["samples"])


def measure(
    arms: Sequence[Arm],
    feeds_folder: Path,
    *,
    sessions: int = 8,
    rounds: int = 12,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    timeout_s: float = 120.0,
) -> tuple[Measurement, ...]:
    """Time `arms` against each other on the samples in `feeds_folder`; a Measurement each, in their order.

    In each session every arm gets a new process, and only one of them works at any moment. In each round the arms run
    a chunk of calls each, in an order drawn from `seed`. What the machine does meanwhile thus falls on all arms alike,
    and their ratio (`edgekit.bench.statistics.compare`) can be trusted where a single arm's times cannot. Fewer than 6
    sessions allow no 95 % interval.

    progress: called after each round with rounds done and rounds in all.
    timeout_s: longest that any one command of a worker may take.

    Raises:
        MeasurementError: no arms, two of one name, or an arm that cannot be opened or run, died or hung; it names
            the arm.
    """
    _check(arms, sessions, rounds)
    logs = [_Log(arm, size_bytes(arm)) for arm in arms]
    order = random.Random(seed)  # noqa: S311 - it draws an order, nothing secret
    for session in range(sessions):
        with ExitStack() as stack:
            shuffled = order.sample(logs, len(logs))
            pairs = [(log, stack.enter_context(Worker(log.arm, timeout_s=timeout_s))) for log in shuffled]
            for done in _interleave(pairs, Path(feeds_folder), rounds=rounds, order=order):
                if progress is not None:
                    progress(session * rounds + done, sessions * rounds)
    return tuple(log.measurement(seed) for log in logs)


def chunk_calls(latency_ns: float) -> int:
    """Calls of one chunk: 5 below 5 ms, 2 from 20 ms, and more than 5 where that would last less than 200 us.

    The estimator drops a chunk's first call, which pays for the caches that another arm has used, and takes
    the least of the others. Alternating single calls inflated latencies by 20 %.
    """
    if latency_ns >= 20e6:
        return 2
    if latency_ns >= 5e6:
        return 3
    return min(LONGEST_CHUNK_CALLS, max(5, math.ceil(SHORT_CHUNK_NS / max(latency_ns, 1.0))))


@dataclass
class _Log:
    """What has been collected of one arm."""

    arm: Arm
    size_bytes: int | None
    chunk: int = 0
    sessions: list[list[tuple[int, ...]]] = field(default_factory=list)
    import_ns: list[int] = field(default_factory=list)
    load_ns: list[int] = field(default_factory=list)
    first_inference_ns: list[int] = field(default_factory=list)
    peaks: list[int | None] = field(default_factory=list)

    def open(self, worker: Worker, feeds_folder: Path) -> None:
        """Open the arm and warm it up; the chunk's size is set once, so that all sessions are alike."""
        reply = worker.open(feeds_folder)
        self.import_ns.append(reply["import_ns"])
        self.load_ns.append(reply["load_ns"])
        self.first_inference_ns.append(reply["first_inference_ns"])
        warm_up = worker.time(3)
        self.chunk = self.chunk or chunk_calls(min(warm_up))
        worker.time(self.chunk)
        self.sessions.append([])

    def time_chunk(self, worker: Worker) -> None:
        start = len(self.sessions[-1]) * self.chunk
        self.sessions[-1].append(worker.time(self.chunk, start=start))

    def measurement(self, seed: int) -> Measurement:
        known = [peak for peak in self.peaks if peak is not None]
        return Measurement(
            arm=self.arm,
            seed=seed,
            calls_ns=tuple(map(tuple, self.sessions)),
            import_ns=tuple(self.import_ns),
            load_ns=tuple(self.load_ns),
            first_inference_ns=tuple(self.first_inference_ns),
            peak_rss_bytes=max(known, default=None),
            size_bytes=self.size_bytes,
        )


def _interleave(
    pairs: list[tuple[_Log, Worker]], feeds_folder: Path, *, rounds: int, order: random.Random
) -> Iterator[int]:
    """One session of all arms; yields the number of rounds done."""
    for _, worker in pairs:
        worker.ask("stats")  # all have started before the first is opened, so that none disturbs it
    for log, worker in order.sample(pairs, len(pairs)):
        log.open(worker, feeds_folder)
    for done in range(rounds):
        for log, worker in order.sample(pairs, len(pairs)):
            log.time_chunk(worker)
        yield done + 1
    for log, worker in pairs:
        log.peaks.append(worker.ask("stats")["peak_rss_bytes"])


def _check(arms: Sequence[Arm], sessions: int, rounds: int) -> None:
    names = [arm.name for arm in arms]
    if not arms:
        raise MeasurementError("there is nothing to measure; give at least one arm")
    if twice := {name for name in names if names.count(name) > 1}:
        raise MeasurementError(f"two arms are called {sorted(twice)[0]!r}; give each a name of its own")
    if sessions < 1 or rounds < 1:
        raise MeasurementError(f"sessions = {sessions}, rounds = {rounds}; expected at least one of each")
