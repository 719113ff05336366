"""Measuring: the plan is kept, raw times stay, and no worker outlives it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_model import make_recipe

from edgekit.bench import processes
from edgekit.bench.arms import Arm
from edgekit.bench.measure import Interleaved, chunk_calls, measure, rounds_of
from edgekit.errors import MeasurementError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen]]:
    """Every process that the test starts; all, and all that they forked, must have ended when it is over."""
    started_here: list[subprocess.Popen] = []
    forked: list[int] = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            started_here.append(self)

    fork = processes.Nursery.fork

    def recorded_fork(nursery: processes.Nursery, arm: Arm, **options: object) -> processes.Worker:
        worker = fork(nursery, arm, **options)
        forked.append(worker.pid)
        return worker

    monkeypatch.setattr(processes.subprocess, "Popen", Recorded)
    monkeypatch.setattr(processes.Nursery, "fork", recorded_fork)
    yield started_here
    assert started_here
    assert all(process.returncode is not None for process in started_here)
    assert not [pid for pid in forked if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[processes.Worker, str]]:
    """Every command that is sent to a worker, as it is sent."""
    commands: list[tuple[processes.Worker, str]] = []
    ask = processes.Worker.ask

    def recorded(worker: processes.Worker, command: str, **fields: object) -> dict:
        commands.append((worker, command))
        return ask(worker, command, **fields)

    monkeypatch.setattr(processes.Worker, "ask", recorded)
    return commands


def test_measurements_have_the_planned_shape(
    onnxruntime_arm: Arm, model_arm: Arm, feeds: Path, onnx_file: Path, started: list[subprocess.Popen]
) -> None:
    seen: list[tuple[int, int]] = []
    found = measure(
        [onnxruntime_arm, model_arm],
        feeds,
        sessions=2,
        cold_sessions=3,
        rounds=4,
        seed=5,
        progress=lambda *at: seen.append(at),
    )
    assert [m.arm for m in found] == [onnxruntime_arm, model_arm]
    for m in found:
        assert [len(session) for session in m.calls_ns] == [4, 4]
        sizes = {len(chunk) for session in m.calls_ns for chunk in session}
        assert len(sizes) == 1
        assert min(sizes) >= 5
        assert all(ns > 0 for session in m.calls_ns for chunk in session for ns in chunk)
        for values in (m.import_ns, m.load_ns, m.first_inference_ns, m.peak_rss_bytes):
            assert len(values) == 3
            assert min(values) > 0
        assert m.seed == 5
        assert m.size_bytes == onnx_file.stat().st_size
    assert seen == [(done, 5) for done in range(1, 6)]
    # a cold session starts a process for each arm; the others are forked from one that both share
    assert len(started) == (2 * 3 + 1 if processes.CAN_FORK else 2 * 5)


def test_arms_take_turns_in_an_order_that_the_seed_repeats(
    onnxruntime_arm: Arm, model_arm: Arm, feeds: Path, asked: list[tuple[processes.Worker, str]]
) -> None:
    def order(seed: int) -> list[str]:
        asked.clear()
        measure([onnxruntime_arm, model_arm], feeds, sessions=1, cold_sessions=0, rounds=8, seed=seed)
        return [worker.arm.name for worker, command in asked if command == "time"][4:]  # after both have warmed up

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    rounds = [first[i : i + 2] for i in range(0, 16, 2)]
    assert {frozenset(pair) for pair in rounds} == {frozenset({"ort", "ours"})}
    assert len({tuple(pair) for pair in rounds}) == 2


def test_chunks_are_of_whole_queries(onnxruntime_arm: Arm, model_arm: Arm, feeds: Path) -> None:
    with Interleaved([onnxruntime_arm, model_arm], feeds, rounds=2, query_calls={"ours": 7}) as run:
        run.session()
        single, sevens = (found.calls_ns for found in run.measurements())
    assert all(len(chunk) >= 5 for chunk in single[0])
    assert all(len(chunk) % 7 == 0 and len(chunk) >= 35 for chunk in sevens[0])


def test_where_nothing_can_be_forked_each_session_starts_fresh_processes(
    onnxruntime_arm: Arm,
    model_arm: Arm,
    feeds: Path,
    started: list[subprocess.Popen],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "CAN_FORK", False)
    found = measure([onnxruntime_arm, model_arm], feeds, sessions=2, cold_sessions=0, rounds=2)
    assert [len(m.calls_ns) for m in found] == [2, 2]
    assert len(started) == 4


@pytest.mark.skipif(not processes.CAN_FORK, reason="only forked workers are bound to CPUs")
def test_the_arms_of_a_session_share_their_cpus(
    onnxruntime_arm: Arm, model_arm: Arm, feeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("there is a single CPU, so nothing to choose")
    bound: list[frozenset[int]] = []
    time = processes.Worker.time

    def recorded(worker: processes.Worker, calls: int, **options: int) -> tuple[int, ...]:
        bound.append(frozenset(os.sched_getaffinity(worker.pid)))
        return time(worker, calls, **options)

    monkeypatch.setattr(processes.Worker, "time", recorded)
    measure([onnxruntime_arm, model_arm], feeds, sessions=1, cold_sessions=0, rounds=2)
    assert len(set(bound)) == 1
    assert len(bound[0]) == onnxruntime_arm.threads
    bound.clear()
    wide = replace(model_arm, threads=len(allowed))
    measure([onnxruntime_arm, wide], feeds, sessions=1, cold_sessions=0, rounds=2)
    assert set(bound) == {frozenset(allowed)}


@pytest.mark.parametrize(
    ("latency_ns", "calls"),
    [
        (0.0, 500),
        (300, 500),
        (2_000, 250),
        (99_000, 6),
        (100_000, 5),
        (4.9e6, 5),
        (5e6, 3),
        (19e6, 3),
        (20e6, 2),
        (9e9, 2),
    ],
)
def test_chunks_are_sized_by_latency(latency_ns: float, calls: int) -> None:
    assert chunk_calls(latency_ns) == calls


@pytest.mark.parametrize(("chunk_ns", "rounds"), [(0, 8), (18.75e6, 8), (30e6, 5), (100e6, 3), (9e9, 3)])
def test_rounds_are_few_where_calls_are_long(chunk_ns: float, rounds: int) -> None:
    assert rounds_of(chunk_ns) == rounds


def test_bad_plans_are_refused_before_anything_starts(onnxruntime_arm: Arm, feeds: Path, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="nothing to measure"):
        measure([], feeds)
    with pytest.raises(MeasurementError, match="two arms are called 'ort'"):
        measure([onnxruntime_arm, onnxruntime_arm], feeds)
    with pytest.raises(MeasurementError, match="sessions = 0"):
        measure([onnxruntime_arm], feeds, sessions=0)
    with pytest.raises(MeasurementError, match="rounds = 0"):
        measure([onnxruntime_arm], feeds, rounds=0)
    with pytest.raises(MeasurementError, match="slowdown = -1"):
        replace(onnxruntime_arm, slowdown=-1.0)
    with pytest.raises(MeasurementError, match="arm 'gone': no file at") as error:
        measure([Arm("gone", "onnxruntime", "f32", {"model": str(tmp_path / "gone.onnx")})], feeds)
    assert error.value.arm == "gone"


def test_missing_samples_are_named(onnxruntime_arm: Arm, tmp_path: Path, started: list[subprocess.Popen]) -> None:
    with pytest.raises(MeasurementError, match=r"arm 'ort': open failed: MeasurementError: .*no finished samples"):
        measure([onnxruntime_arm], tmp_path, sessions=1, rounds=1)


def test_an_arm_that_dies_midway_is_named_and_the_others_are_ended(
    onnxruntime_arm: Arm, feeds: Path, tmp_path: Path, started: list[subprocess.Popen]
) -> None:
    if find_spec("torch") is None:
        pytest.skip("torch is not installed")
    count = "self.calls = getattr(self, 'calls', 0) + 1\n        if self.calls > 15: import os; os._exit(3)"
    dying = Arm("mortal", "torch", "f32", recipe=make_recipe(tmp_path / "dying.py", before=count))
    with pytest.raises(MeasurementError, match="arm 'mortal' ended with exit code 3 at command 'time'") as error:
        measure([onnxruntime_arm, dying], feeds, sessions=1, cold_sessions=0, rounds=50)
    assert error.value.arm == "mortal"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("blow", "message"),
    [
        (signal.SIGSTOP, "gave no answer to 'time' within 3 s and was stopped"),
        (signal.SIGKILL, "ended with exit code -9 at command 'time'"),
    ],
)
def test_an_arm_that_hangs_or_is_killed_midway_is_named_and_the_others_are_ended(
    onnxruntime_arm: Arm,
    model_arm: Arm,
    feeds: Path,
    started: list[subprocess.Popen],
    monkeypatch: pytest.MonkeyPatch,
    blow: signal.Signals,
    message: str,
) -> None:
    time, times = processes.Worker.time, []

    def struck(worker: processes.Worker, calls: int, **options: int) -> tuple[int, ...]:
        times.append(calls)
        if len(times) == 8:
            os.kill(worker.pid, blow)
        return time(worker, calls, **options)

    monkeypatch.setattr(processes.Worker, "time", struck)
    with pytest.raises(MeasurementError, match=message) as error:
        measure([onnxruntime_arm, model_arm], feeds, sessions=1, cold_sessions=0, rounds=5, timeout_s=3)
    assert error.value.arm in ("ort", "ours")


def test_ctrl_c_ends_every_worker(
    onnxruntime_arm: Arm, model_arm: Arm, feeds: Path, started: list[subprocess.Popen], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(processes.Worker, "time", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure([onnxruntime_arm, model_arm], feeds, sessions=1, cold_sessions=0, rounds=2)
