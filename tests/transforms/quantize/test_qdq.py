"""The writer of pairs: what is named is quantized, what is left out stays as it was to the bit."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from edgekit.errors import CalibrationError
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.quantize.layers import float_tensors, joins_of, layers_of
from edgekit.transforms.quantize.observe import observe
from edgekit.transforms.quantize.qdq import Grid, grid_of, write_qdq
from edgekit.transforms.quantize.ranges import minmax

RNG = np.random.default_rng(11)
IMAGES = [RNG.standard_normal((2, 4, 12, 12)).astype(np.float32) for _ in range(4)]


class Net(nn.Module):
    """A residual block, grouped and transposed convolutions, pooling, a concatenation, a dense head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.head = nn.Linear(14 * 3 * 3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.deep(x))
        pooled = nn.functional.max_pool2d(x, 2)
        both = torch.cat([self.up(pooled), x], 1)
        return self.head(nn.functional.max_pool2d(both, 4).flatten(1))


@pytest.fixture(scope="module")
def model() -> ir.Model:
    from edgekit.building.source import float_model

    torch.manual_seed(1)
    net = Net().eval()
    recipe = Recipe(
        "net",
        lambda: net,
        {"x": TensorSpec("float32", ("batch", 4, 12, 12), {"batch": (2, 4)})},
        ("y",),
        calibration=lambda: [{"x": image} for image in IMAGES],
    )
    return float_model(recipe).model


@pytest.fixture(scope="module")
def ranges(model: ir.Model) -> dict[str, tuple[float, float]]:
    seen = observe(model, float_tensors(model), samples=[{"x": image} for image in IMAGES])
    return {name: minmax(histogram) for name, histogram in seen.items()}


def run(model: ir.Model, image: Array = IMAGES[0]) -> Array:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    scores: Array = session.run(None, {"x": image})[0]
    return scores


def relative_error(got: Array, expected: Array) -> float:
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


def dequantized_weights(model: ir.Model, nodes: Collection[str]) -> list[bool]:
    return [
        value.producer() is not None and value.producer().op_type == "DequantizeLinear"
        for node in model.graph
        if node.name in nodes
        for value in node.inputs[1:2]
    ]


def test_layers_and_joins_are_found(model: ir.Model) -> None:
    ops = {node.name: node.op_type for node in model.graph}
    assert [ops[name] for name in layers_of(model)] == ["Conv", "Conv", "ConvTranspose", "Gemm"]
    assert [ops[name] for name in joins_of(model)] == ["Add"]


def test_nothing_named_changes_nothing(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    np.testing.assert_array_equal(run(write_qdq(model, (), ranges=ranges)), run(model))


def test_all_layers_quantized_stay_close_to_float(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    quantized = write_qdq(model, (*layers_of(model), *joins_of(model)), ranges=ranges)
    assert all(dequantized_weights(quantized, layers_of(model)))
    assert 0 < relative_error(run(quantized), run(model)) < 0.03
    assert run(quantized, np.concatenate(IMAGES[:2])).shape == (4, 5)


@pytest.mark.parametrize("position", range(4))
def test_a_layer_alone_is_quantized_and_no_other(
    model: ir.Model, ranges: dict[str, tuple[float, float]], position: int
) -> None:
    layers = layers_of(model)
    quantized = write_qdq(model, layers[position : position + 1], ranges=ranges)
    assert dequantized_weights(quantized, layers) == [index == position for index in range(4)]
    assert 0 < relative_error(run(quantized), run(model)) < 0.02


def test_the_float_graph_is_not_touched(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    before = ir.to_proto(model).SerializeToString()
    write_qdq(model, layers_of(model), ranges=ranges)
    assert ir.to_proto(model).SerializeToString() == before


def test_float_weights_of_quantized_layers_are_gone(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    quantized = write_qdq(model, layers_of(model), ranges=ranges)
    kept = [
        v for v in quantized.graph.initializers.values() if v.dtype == ir.DataType.FLOAT and v.const_value.size > 14
    ]
    assert kept == []


def test_a_mover_computes_in_the_grid_of_what_it_feeds(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    """The first MaxPool feeds a layer alone; the second one's input is joined from two."""
    quantized = write_qdq(model, layers_of(model), ranges=ranges)
    for node in quantized.graph:
        if node.op_type == "MaxPool":
            before, after = node.inputs[0].producer(), [use.node for use in node.outputs[0].uses()]
            assert before.op_type == "DequantizeLinear"
            scale = before.inputs[1].const_value.numpy()
            while after[0].op_type != "QuantizeLinear":
                after = [use.node for use in after[0].outputs[0].uses()]
            assert after[0].inputs[1].const_value.numpy() == scale


def test_a_mover_that_feeds_float_stays_float(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    stem = layers_of(model)[:1]
    for node in write_qdq(model, stem, ranges=ranges).graph:
        if node.op_type in ("MaxPool", "Concat"):
            assert all(v.producer().op_type != "DequantizeLinear" for v in node.inputs if v is not None)


def test_one_tensor_has_one_pair(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    quantized = write_qdq(model, (*layers_of(model), *joins_of(model)), ranges=ranges)
    fed = [(node.inputs[0].name, float(node.inputs[1].const_value.numpy())) for node in quantized.graph
           if node.op_type == "QuantizeLinear"]  # fmt: skip
    assert len(fed) == len(set(fed))


def test_seven_bits_where_products_saturate(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    quantized = write_qdq(model, layers_of(model), ranges=ranges, saturates=True)
    weights = [v.const_value.numpy() for v in quantized.graph.initializers.values() if v.dtype == ir.DataType.INT8]
    assert max(np.abs(weight.astype(int)).max() for weight in weights) == 63


def test_a_huge_bias_widens_the_step_of_its_channel(model: ir.Model, ranges: dict[str, tuple[float, float]]) -> None:
    copy = ir.from_proto(ir.to_proto(model))
    layer = next(node for node in copy.graph if node.op_type == "Conv")
    bias = layer.inputs[2].const_value.numpy().copy()
    weight = layer.inputs[1].const_value.numpy().copy()
    bias[2], weight[2] = 1e7, 0.0
    layer.inputs[2].const_value, layer.inputs[1].const_value = ir.tensor(bias), ir.tensor(weight)
    quantized = write_qdq(copy, layers_of(copy)[:1], ranges=ranges)
    assert relative_error(run(quantized), run(copy)) < 0.01


def test_signed_grids_are_within_one_percent_in_both_dialects(
    model: ir.Model, ranges: dict[str, tuple[float, float]]
) -> None:
    """The same calibration, for the CPU and as TensorRT takes it: s8 throughout makes them one and the same."""
    from edgekit.transforms.quantize.dialects import to_dialect

    general = write_qdq(model, (*layers_of(model), *joins_of(model)), ranges=ranges, signed=True)
    tensorrt = to_dialect(ir.from_proto(ir.to_proto(general)), "tensorrt")
    for image in IMAGES:
        assert relative_error(run(tensorrt, image), run(general, image)) < 0.01


def test_a_grid_is_signed_where_the_range_has_both_signs() -> None:
    assert grid_of((-1.27, 0.5)) == Grid(float(np.float32(0.01)), signed=True)
    assert grid_of((0.0, 2.55)) == Grid(float(np.float32(0.01)), signed=False)
    assert grid_of((0.0, 1.27), signed=True) == Grid(float(np.float32(0.01)), signed=True)
    assert grid_of((0.0, 0.0)).scale > 0


def test_an_activation_that_is_not_finite_is_named(model: ir.Model) -> None:
    with pytest.raises(CalibrationError, match="calibration sample 1: activation 'x': it holds NaN or infinity"):
        observe(model, ["x"], samples=[{"x": IMAGES[0]}, {"x": np.full_like(IMAGES[0], np.nan)}])


def test_no_samples_are_refused(model: ir.Model) -> None:
    with pytest.raises(CalibrationError, match="no calibration samples to observe"):
        observe(model, ["x"], samples=[])


MEMORY = """
import resource, sys
import numpy as np, onnx_ir as ir
from edgekit.transforms.quantize.layers import float_tensors
from edgekit.transforms.quantize.observe import observe
model = ir.load(sys.argv[1])
rng = np.random.default_rng(0)
samples = ({"x": rng.standard_normal((2, 4, 12, 12), np.float32)} for _ in range(int(sys.argv[2])))
observe(model, float_tensors(model), samples=samples)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the peak is read as Linux reports it")
def test_memory_does_not_grow_with_the_samples(model: ir.Model, tmp_path: Path) -> None:
    import subprocess
    import sys

    ir.save(model, tmp_path / "net.onnx")
    peaks = [
        int(subprocess.run(
            [sys.executable, "-c", MEMORY, str(tmp_path / "net.onnx"), str(count)],
            check=True, capture_output=True, text=True,
        ).stdout)
        for count in (100, 5000)
    ]  # fmt: skip
    assert peaks[1] <= 1.1 * peaks[0]
