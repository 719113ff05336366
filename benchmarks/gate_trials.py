"""Reruns the trials behind the gate: identical arms and known slowdowns, on a quiet and on a disturbed machine.

    python benchmarks/gate_trials.py run -o trials.jsonl      # about an hour; it goes on where it was stopped
    python benchmarks/gate_trials.py naive -o naive.jsonl     # with pytest-benchmark --benchmark-compare-fail=mean:10%
    python benchmarks/gate_trials.py peers -o peers.jsonl     # our p50 beside benchmark_app's and a bare loop's
    python benchmarks/gate_tables.py trials.jsonl naive.jsonl peers.jsonl > benchmarks/gate-trials.md

Every trial is one run of the gate's latency verdict, as `edgekit gate` makes it, on an ONNX model and itself. The
head's calls are made longer by a busy wait of a known share of their own time. "Loaded" adds a competitor on the last
core, busy for 50 ms and idle for 50 ms on average, in bursts of random length.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.bench.arms import Arm
from edgekit.bench.gate.calibrate import run_trial
from edgekit.bench.gate.judge import Profile
from edgekit.bench.measure import measure
from edgekit.bench.samples import write_samples
from edgekit.bench.statistics import percentile, timed_calls
from edgekit.tensors import TensorSpec

SEED = 20261125
LOOKS = (10, 20, 40)
COMPETITOR = """
import os, random, sys, time
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
draw = random.Random(int(sys.argv[1]))
while os.getppid() > 1:
    end = time.perf_counter() + draw.expovariate(1 / 0.05)
    while time.perf_counter() < end:
        pass
    time.sleep(draw.expovariate(1 / 0.05))
"""


@dataclass(frozen=True)
class Net:
    """A stack of 3x3 convolutions that takes about `label` a call on one core of the machine in the README."""

    label: str
    channels: int
    size: int
    layers: int


NETS = {net.label: net for net in (Net("15 us", 16, 8, 3), Net("0.8 ms", 32, 28, 6), Net("50 ms", 128, 56, 6))}


@dataclass(frozen=True)
class Plan:
    """So many trials of an effect, judged at a threshold, under each condition."""

    net: str
    effect: float
    threshold: float
    trials: int


PLANS = (
    Plan("0.8 ms", 0.0, 0.025, 150),
    Plan("0.8 ms", 0.05, 0.025, 150),
    Plan("0.8 ms", 0.10, 0.025, 100),
    Plan("0.8 ms", 0.03, 0.01, 60),
    Plan("15 us", 0.0, 0.025, 60),
    Plan("15 us", 0.05, 0.025, 60),
    Plan("15 us", 0.10, 0.025, 40),
    Plan("50 ms", 0.0, 0.025, 12),
    Plan("50 ms", 0.05, 0.025, 12),
    Plan("50 ms", 0.10, 0.025, 8),
)
CONDITIONS = ("ambient", "loaded")


def make_net(net: Net, folder: Path) -> tuple[Path, Path]:
    """The ONNX file, and a folder of inputs."""
    draw = np.random.default_rng(0)
    nodes, weights, name = [], [], "x"
    for layer in range(net.layers):
        kernel = draw.standard_normal((net.channels, net.channels, 3, 3)) * math.sqrt(2 / (9 * net.channels))
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{layer}"))
        nodes.append(helper.make_node("Conv", [name, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        name = f"r{layer}"
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["y"]))
    shape = [1, net.channels, net.size, net.size]
    graph = helper.make_graph(
        nodes,
        "trial",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, net.channels, 1, 1])],
        weights,
    )
    path = folder / f"{net.label.replace(' ', '')}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    feeds = path.with_suffix("")
    write_samples(feeds, ({"x": draw.standard_normal(shape).astype(np.float32)} for _ in range(16)))
    return path, feeds


@contextmanager
def conditions(name: str) -> Iterator[None]:
    if name == "ambient":
        yield
        return
    competitor = subprocess.Popen([sys.executable, "-c", COMPETITOR, str(SEED)])
    try:
        yield
    finally:
        competitor.kill()
        competitor.wait()


def run(output: Path) -> None:
    """Every trial of every plan, in a drawn order, a line each; those that the file has already are left out."""
    done = {(row["condition"], row["net"], row["effect"], row["threshold"], row["trial"]) for row in read(output)}
    plans = [(condition, plan, trial) for condition in CONDITIONS for plan in PLANS for trial in range(plan.trials)]
    random.Random(SEED).shuffle(plans)
    plans.sort(key=lambda item: (item[1].net != "0.8 ms", item[1].net))  # the one that matters most comes first
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name, output.open("a", encoding="utf-8") as log:
        files = {label: make_net(net, Path(name)) for label, net in NETS.items()}
        for number, (condition, plan, trial) in enumerate(plans):
            if (condition, plan.net, plan.effect, plan.threshold, trial) in done:
                continue
            model, feeds = files[plan.net]
            profile = Profile("trial", {"latency": plan.threshold}, LOOKS)
            arm = Arm(plan.net, "onnxruntime", "f32", {"model": str(model)})
            with conditions(condition):
                found = run_trial(arm, feeds, profile, effect=plan.effect, seed=SEED + number)
            row = {"condition": condition, **asdict(plan), "trial": trial, **asdict(found)}
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(
                f"{number + 1}/{len(plans)} {time.monotonic() - begin:.0f} s {condition} {plan} {found.outcome.value}"
            )


NAIVE = """
import numpy as np, onnxruntime, time
def test_call(benchmark):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession({model!r}, options)
    x = np.zeros({shape!r}, np.float32)
    clock = time.perf_counter_ns
    def call():
        begin = clock()
        session.run(None, {{"x": x}})
        until = begin + (clock() - begin + 1000) * {factor}
        while clock() < until:
            pass
    benchmark(call)
"""


def naive(output: Path, trials: int) -> None:
    """What users do: pytest-benchmark saves the base, and fails the head if its mean is 10 % above that."""
    net = NETS["0.8 ms"]
    with tempfile.TemporaryDirectory() as name, output.open("a", encoding="utf-8") as log:
        model, _ = make_net(net, Path(name))
        for trial in range(trials):
            for condition in CONDITIONS:
                for effect in (0.0, 0.05, 0.10):
                    with conditions(condition):
                        alarm = _naive_trial(Path(name), model, net, effect)
                    log.write(json.dumps({"condition": condition, "effect": effect, "alarm": alarm}) + "\n")
                    log.flush()
                    print(trial, condition, effect, alarm)


def _naive_trial(folder: Path, model: Path, net: Net, effect: float) -> bool:
    shape, storage = (1, net.channels, net.size, net.size), folder / "storage"
    codes = []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for factor, options in (
            (1.0, ["--benchmark-save=base"]),
            (1.0 + effect, ["--benchmark-compare=0001", "--benchmark-compare-fail=mean:10%"]),
        ):
            test = Path(name) / "test_naive.py"
            test.write_text(NAIVE.format(model=str(model), shape=shape, factor=factor), encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", name, str(test),
                 f"--benchmark-storage=file://{name}/{storage.name}", *options],
                capture_output=True, text=True, check=False, cwd=name,
            )  # fmt: skip
            codes.append(done.returncode)
            if done.returncode and "Performance has regressed" not in done.stdout + done.stderr:
                raise SystemExit(done.stdout + done.stderr)
    return codes[1] != 0


BARE_LOOP = """
import sys, time, numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
x = np.random.default_rng(0).standard_normal(session.get_inputs()[0].shape).astype(np.float32)
y = np.empty(session.get_outputs()[0].shape, np.float32)
binding = session.io_binding()
binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
times, end = [], time.perf_counter() + float(sys.argv[2])
while time.perf_counter() < end:
    begin = time.perf_counter_ns()
    session.run_with_iobinding(binding)
    times.append(time.perf_counter_ns() - begin)
print(float(np.median(times)))
"""
PEER_SECONDS = 2


def peers(output: Path, trials: int) -> None:
    """Our p50 and that of OpenVINO's benchmark_app, and of a bare onnxruntime loop with IO binding, in turn."""
    with tempfile.TemporaryDirectory() as name, output.open("a", encoding="utf-8") as log:
        model, feeds = make_net(NETS["0.8 ms"], Path(name))
        tensors = (TensorSpec("float32", (1, 32, 1, 1), name="y"),)
        for trial in range(trials):
            for kind, peer in (("openvino", _benchmark_app), ("onnxruntime", _bare_loop)):
                arm = Arm("p50", kind, "f32", {"model": str(model)}, outputs=tensors)
                (found,) = measure([arm], feeds, sessions=10, cold_sessions=0, seed=SEED + trial)
                ours = percentile(timed_calls(found.calls_ns), 50)
                assert ours is not None
                row = {"peer": peer.__name__.strip("_"), "ours_ns": ours.value, "peer_ns": peer(model)}
                log.write(json.dumps(row) + "\n")
                log.flush()
                print(trial, row, f"{row['ours_ns'] / row['peer_ns']:.3f}")


def _bare_loop(model: Path) -> float:
    command = [sys.executable, "-c", BARE_LOOP, str(model), str(PEER_SECONDS)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _benchmark_app(model: Path) -> float:
    command = [
        str(Path(sys.executable).with_name("benchmark_app")), "-m", str(model), "-d", "CPU", "-api", "sync", "-hint",
        "none", "-nstreams", "1", "-nthreads", "1", "-infer_precision", "f32", "-t", str(PEER_SECONDS),
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Median:\s+([\d.]+) (us|ms)", said)
    if found is None:
        raise SystemExit(f"benchmark_app printed no median:\n{said}")
    return float(found[1]) * {"us": 1e3, "ms": 1e6}[found[2]]


def read(path: Path) -> list[dict]:
    """The lines of a file of trials; none where there is no such file yet."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "naive", "peers"))
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to add lines to")
    parser.add_argument("--trials", type=int, default=20, help="for naive and peers: how many of each")
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(arguments.output)
    else:
        {"naive": naive, "peers": peers}[arguments.what](arguments.output, arguments.trials)


if __name__ == "__main__":
    main()
