"""Measuring: the plan is kept, raw times stay, and no worker outlives it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_model import make_recipe

from edgekit.bench import measure as module
from edgekit.bench.arms import Arm
from edgekit.bench.measure import chunk_calls, measure
from edgekit.errors import MeasurementError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen]]:
    """Every worker process that the test starts; all must have ended, and been waited for, when it is over."""
    processes: list[subprocess.Popen] = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            processes.append(self)

    monkeypatch.setattr(module.subprocess, "Popen", Recorded)
    yield processes
    assert processes
    assert all(process.returncode is not None for process in processes)


def test_measurements_have_the_planned_shape(
    onnxruntime_arm: Arm, model_arm: Arm, feeds: Path, onnx_file: Path, started: list[subprocess.Popen]
) -> None:
    seen: list[tuple[int, int]] = []
    found = measure(
        [onnxruntime_arm, model_arm], feeds, sessions=2, rounds=3, seed=5, progress=lambda *at: seen.append(at)
    )
    assert [m.arm for m in found] == [onnxruntime_arm, model_arm]
    for m in found:
        assert [len(session) for session in m.calls_ns] == [3, 3]
        sizes = {len(chunk) for session in m.calls_ns for chunk in session}
        assert len(sizes) == 1
        assert min(sizes) >= 5
        assert all(ns > 0 for session in m.calls_ns for chunk in session for ns in chunk)
        for times in (m.import_ns, m.load_ns, m.first_inference_ns):
            assert len(times) == 2
            assert min(times) > 0
        assert m.seed == 5
        assert m.size_bytes == onnx_file.stat().st_size
    assert seen == [(done, 6) for done in range(1, 7)]
    assert len(started) == 4  # two arms, a new process for each session


def test_arms_take_turns_in_an_order_that_the_seed_repeats(
    onnxruntime_arm: Arm, model_arm: Arm, feeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def order(seed: int) -> list[str]:
        asked: list[str] = []
        ask = module.Worker.ask

        def recorded(worker: module.Worker, command: str, **fields: object) -> dict:
            asked.append(f"{worker.arm.name} {command}")
            return ask(worker, command, **fields)

        with monkeypatch.context() as patch:
            patch.setattr(module.Worker, "ask", recorded)
            measure([onnxruntime_arm, model_arm], feeds, sessions=1, rounds=8, seed=seed)
        return asked

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    rounds = [first[8 + i : 10 + i] for i in range(0, 16, 2)]  # after both started, opened and warmed up twice
    assert {frozenset(pair) for pair in rounds} == {frozenset({"ort time", "ours time"})}
    assert len({tuple(pair) for pair in rounds}) == 2


@pytest.mark.parametrize(
    ("latency_ns", "calls"),
    [
        (0.0, 500),
        (300, 500),
        (2_000, 100),
        (39_000, 6),
        (40_000, 5),
        (4.9e6, 5),
        (5e6, 3),
        (19e6, 3),
        (20e6, 2),
        (9e9, 2),
    ],
)
def test_chunks_are_sized_by_latency(latency_ns: float, calls: int) -> None:
    assert chunk_calls(latency_ns) == calls


def test_bad_plans_are_refused_before_anything_starts(onnxruntime_arm: Arm, feeds: Path, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="nothing to measure"):
        measure([], feeds)
    with pytest.raises(MeasurementError, match="two arms are called 'ort'"):
        measure([onnxruntime_arm, onnxruntime_arm], feeds)
    with pytest.raises(MeasurementError, match="sessions = 0"):
        measure([onnxruntime_arm], feeds, sessions=0)
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
    done: list[int] = []
    with pytest.raises(MeasurementError, match="arm 'mortal' ended with exit code 3 at command 'time'") as error:
        measure([onnxruntime_arm, dying], feeds, sessions=1, rounds=50, progress=lambda at, of: done.append(at))
    assert error.value.arm == "mortal"
    assert len(started) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_arm_that_hangs_midway_is_named_and_the_others_are_ended(
    onnxruntime_arm: Arm, model_arm: Arm, feeds: Path, started: list[subprocess.Popen]
) -> None:
    def stop_the_second(done: int, of: int) -> None:
        if done == 2:
            os.kill(started[1].pid, signal.SIGSTOP)

    with pytest.raises(MeasurementError, match=r"arm '(ort|ours)' gave no answer to 'time' within 3 s"):
        measure([onnxruntime_arm, model_arm], feeds, sessions=1, rounds=5, progress=stop_the_second, timeout_s=3)
    assert len(started) == 2


def test_ctrl_c_ends_every_worker(
    onnxruntime_arm: Arm, model_arm: Arm, feeds: Path, started: list[subprocess.Popen]
) -> None:
    def interrupt(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([onnxruntime_arm, model_arm], feeds, sessions=1, rounds=2, progress=interrupt)
    assert len(started) == 2
