"""Nurseries: forked workers answer like started ones, and none outlives what it came from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import reference

from edgekit.bench.arms import Arm
from edgekit.bench.processes import CAN_FORK, Nurseries, Nursery
from edgekit.bench.samples import read_samples
from edgekit.errors import MeasurementError

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="workers are forked on Linux alone")


def gone(pid: int, *, within_s: float = 10.0) -> bool:
    """Whether the process ends in time; a zombie that nobody waits for has ended."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_workers_of_a_nursery_compute_and_end(
    onnxruntime_arm: Arm, feeds: Path, inputs: list[np.ndarray], tmp_path: Path
) -> None:
    nursery = Nursery(onnxruntime_arm)
    nursery.load()
    for number in range(2):
        with nursery.fork(onnxruntime_arm, seed=number) as worker:
            assert "import_ns" not in worker.open(feeds)  # the nursery has imported it
            worker.ask("outputs", feeds=str(feeds), out=str(tmp_path / str(number)))
            pid = worker.pid
        assert not Path(f"/proc/{pid}").exists()
        for x, outputs in zip(inputs, read_samples(tmp_path / str(number)), strict=True):
            np.testing.assert_allclose(outputs["y"], reference(x), rtol=1e-6, atol=1e-6)
    nursery.close()


def test_arms_of_one_runtime_share_a_nursery_until_it_is_renewed(onnxruntime_arm: Arm) -> None:
    def parent(pid: int) -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    with Nurseries(timeout_s=60) as nurseries:
        arms = [replace(onnxruntime_arm, name=name) for name in ("a", "b")]
        workers = [nurseries.worker(arm, cpus=(), seed=0) for arm in arms]
        first, second = (parent(worker.pid) for worker in workers)
        assert first == second
        for worker in workers:
            worker.kill()
        nurseries.renew()
        with nurseries.worker(arms[0], cpus=(), seed=0) as worker:
            assert parent(worker.pid) != first
    assert gone(first)


def test_a_worker_that_is_killed_is_named_with_its_signal(onnxruntime_arm: Arm, feeds: Path) -> None:
    with Nurseries(timeout_s=60) as nurseries, nurseries.worker(onnxruntime_arm, cpus=(), seed=0) as worker:
        worker.open(feeds)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(MeasurementError, match="arm 'ort' ended with exit code -9 at command 'time'"):
            worker.time(5)


def test_a_nursery_that_is_killed_ends_with_an_error_and_takes_its_workers_along(
    onnxruntime_arm: Arm, feeds: Path
) -> None:
    nursery = Nursery(onnxruntime_arm, timeout_s=10)
    nursery.load()
    worker = nursery.fork(onnxruntime_arm)
    parent = int(Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    with pytest.raises(MeasurementError, match="ended with exit code -9"):
        nursery.fork(onnxruntime_arm)
    worker.kill()
    assert gone(worker.pid)
    nursery.close()


def test_a_process_that_holds_an_arm_does_not_fork(onnxruntime_arm: Arm, feeds: Path) -> None:
    nursery = Nursery(onnxruntime_arm)
    nursery._parent.open(feeds)
    with pytest.raises(MeasurementError, match="a process that holds an arm cannot fork"):
        nursery.fork(onnxruntime_arm)
    nursery.close()


def test_nothing_outlives_a_program_that_is_killed(onnxruntime_arm: Arm) -> None:
    script = f"""
import os
from edgekit.bench.arms import Arm
from edgekit.bench.processes import Nursery
arm = {onnxruntime_arm!r}
nursery = Nursery(arm)
nursery.load()
worker = nursery.fork(arm)
print(nursery._process.pid, worker.pid, flush=True)
os._exit(1)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    assert all(gone(pid) for pid in pids)


def test_places_are_drawn_from_the_seed() -> None:
    """In a process of its own: a place is kept for as long as the process lives."""
    script = """
import sys, os
import numpy as np
from edgekit.bench import placement
placement.settle((), int(sys.argv[1]))
print([pad.nbytes for pad in placement._pads[1:]], len(placement._pads[0]), sorted(os.sched_getaffinity(0)))
"""
    first, again, other = (
        subprocess.run([sys.executable, "-c", script, seed], capture_output=True, text=True, check=True).stdout
        for seed in ("1", "1", "2")
    )
    assert first == again
    assert first != other
