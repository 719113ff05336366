"""Watching activations: the values of a plain run, one sample at a time, in memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from layer_graphs import layer_graph, run

from edgekit.errors import BackendError, CalibrationError
from edgekit.tensors import Array
from edgekit.transforms.quantize.histogram import Histogram
from edgekit.transforms.quantize.layers import float_tensors
from edgekit.transforms.quantize.observe import observe

RNG = np.random.default_rng(2)
SAMPLES = [{"x": RNG.standard_normal((batch, 2, 6, 6)).astype(np.float32)} for batch in (1, 3, 2)]


@pytest.fixture
def model() -> ir.Model:
    return layer_graph(
        """(float[n,2,6,6] x) => (float[n,3] y) {
            c = Conv(x, w)  r = Relu(c)  p = GlobalAveragePool(r)  shape = Shape(p)  y = Flatten(p)
        }""",
        w=RNG.standard_normal((3, 2, 3, 3)).astype(np.float32),
    )


def test_histograms_are_those_of_a_plain_run(model: ir.Model) -> None:
    found = observe(model, float_tensors(model), samples=SAMPLES)
    assert list(found) == ["x", "c", "r", "p", "y"]
    expected = {name: Histogram() for name in found}
    for feeds in SAMPLES:
        values = dict(zip(["y", "c", "r", "p"], run(model, feeds, ["c", "r", "p"]), strict=True))
        for name, value in {**feeds, **values}.items():
            expected[name].add(value)
    for name, histogram in found.items():
        extremes = (expected[name].low, expected[name].high)
        assert (histogram.low, histogram.high) == pytest.approx(extremes, rel=1e-5), name
        assert (histogram.limit, histogram.zeros) == (expected[name].limit, expected[name].zeros)
        # The order of summation may move a value that lies on the edge of a bin.
        assert np.abs(histogram.counts - expected[name].counts).sum() <= 0.01 * histogram.counts.sum()
        assert histogram.counts.sum() == expected[name].counts.sum()


def test_what_is_not_asked_for_is_not_watched(model: ir.Model) -> None:
    assert list(observe(model, ["r", "x"], samples=SAMPLES)) == ["r", "x"]
    assert list(observe(model, ["x"], samples=SAMPLES)) == ["x"]


def test_the_graph_stays_as_it_is(model: ir.Model) -> None:
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    observe(model, float_tensors(model), samples=SAMPLES)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_no_file_is_left_behind(model: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    observe(model, ["c"], samples=SAMPLES)
    assert list(tmp_path.iterdir()) == []


def test_samples_are_let_go_as_they_pass(model: ir.Model) -> None:
    alive: list[weakref.ref[Array]] = []

    def samples() -> Iterator[dict[str, Array]]:
        for _ in range(5):
            assert sum(each() is not None for each in alive) <= 1
            array = np.ones((1, 2, 6, 6), np.float32)
            alive.append(weakref.ref(array))
            yield {"x": array}
            del array

    observe(model, float_tensors(model), samples=samples())
    assert len(alive) == 5


def test_an_input_that_is_not_finite_is_named_with_its_sample(model: ir.Model) -> None:
    bad = {"x": np.full((1, 2, 6, 6), np.nan, np.float32)}
    with pytest.raises(CalibrationError, match="calibration sample 1: activation 'x': it holds NaN or infinity"):
        observe(model, ["x"], samples=[SAMPLES[0], bad])


def test_an_activation_that_becomes_infinite_is_named_with_its_sample() -> None:
    model = layer_graph("(float[2] x) => (float[2] y) { e = Exp(x)  y = Tanh(e) }")
    samples = [{"x": np.array([0.0, value], np.float32)} for value in (1.0, 2.0, 200.0)]
    with pytest.raises(CalibrationError, match="calibration sample 2: activation 'e': it holds NaN or infinity"):
        observe(model, float_tensors(model), samples=samples)


def test_no_samples_are_refused(model: ir.Model) -> None:
    with pytest.raises(CalibrationError, match="no calibration samples to observe"):
        observe(model, ["x"], samples=[])


def test_a_graph_that_onnxruntime_cannot_load_is_refused(model: ir.Model) -> None:
    model.graph[0].op_type = "Convolve"
    with pytest.raises(BackendError, match="onnxruntime refuses the graph.*Convolve"):
        observe(model, ["c"], samples=SAMPLES)


def test_a_sample_that_onnxruntime_cannot_run_is_refused(model: ir.Model) -> None:
    with pytest.raises(BackendError, match="onnxruntime refuses the graph"):
        observe(model, ["c"], samples=[{"x": np.ones((1, 2, 1, 1), np.float32)}])


MEMORY = """
import sys
from pathlib import Path
import numpy as np, onnx_ir as ir, onnxruntime
from edgekit.transforms.quantize.layers import float_tensors
from edgekit.transforms.quantize.observe import observe

def peak_kib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

path, count, *shape = sys.argv[1:]
model = ir.load(path)
rng = np.random.default_rng(0)
samples = ({"x": rng.standard_normal([int(size) for size in shape], np.float32)} for _ in range(int(count)))
before = peak_kib()
observe(model, float_tensors(model), samples=samples)
print(before, peak_kib())
"""


def peaks_kib(model: ir.Model, folder: Path, count: int, *shape: int) -> tuple[int, int]:
    """The most memory that a process of its own held before it watched `count` samples of `shape`, and after."""
    ir.save(model, folder / "net.onnx")
    command = [sys.executable, "-c", MEMORY, str(folder / "net.onnx"), str(count), *map(str, shape)]
    before, after = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(before), int(after)


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read as Linux reports it")


@linux
def test_memory_does_not_grow_with_the_samples(model: ir.Model, tmp_path: Path) -> None:
    few, many = (peaks_kib(model, tmp_path, count, 2, 2, 6, 6)[1] for count in (100, 5000))
    assert many <= 1.1 * few


@linux
def test_large_activations_are_held_once(tmp_path: Path) -> None:
    """One sample's tensors, and the next sample while it is made: not one copy more."""
    model = layer_graph("(float[1,1,n,n] x) => (float[1,1,n,n] y) { r = Relu(x)  a = Abs(r)  y = Neg(a) }")
    before, after = peaks_kib(model, tmp_path, 3, 1, 1, 2500, 2500)
    one = 2500 * 2500 * 4 / 1024
    assert 4 * one <= after - before <= 5.8 * one
