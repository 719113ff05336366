"""Executions: each layer is found once, in the precision that it ran in, and what ran in float is seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import models
import onnx
import pytest
import torch
from models import CONV, recipe_of
from torch import Tensor, nn

from edgekit.backends import compile_model
from edgekit.backends.execution import (
    ExecutedLayer,
    Execution,
    execution_from_json,
    execution_to_json,
    fell_back,
    read_execution,
    summary,
)
from edgekit.building.source import float_model
from edgekit.export import save_model
from edgekit.tensors import TensorSpec
from edgekit.transforms.quantize import Calibration, Workpiece, quantize

BACKENDS = ("openvino", "onnxruntime")
METHODS = ("lean-minmax", "nncf", "ort-minmax")
HEAVY = ("Conv", "Gemm", "MatMul", "MatMulNBits", "LSTM", "GRU")


class DepthwiseNet(nn.Module):
    """(batch, 3, 12, 12) float32 -> (batch, 4) float32: pointwise, depthwise and pointwise, with a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.project = nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, 4)

    def forward(self, image: Tensor) -> Tensor:
        x = nn.functional.relu6(self.expand(image))
        inner = nn.functional.relu6(self.depthwise(x))
        return self.head((x + self.project(inner)).mean((2, 3)))


class AttentionNet(nn.Module):
    """(batch, 16, 32) float32 -> the same: four matrix products with weights, two of activations alone."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(32, 32) for _ in range(4))
        self.norm = nn.LayerNorm(32)

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2) / 32**0.5, -1)
        return self.norm(x + self.out(scores @ self.value(x)))


class RecurrentNet(nn.Module):
    """(batch, 6, 8) float32 -> (batch, 5) float32, by one recurrent layer of 32."""

    def __init__(self, layer: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.recurrent = layer(8, 32, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


def spec(*shape: int) -> TensorSpec:
    return TensorSpec("float32", ("batch", *shape), models.BATCH)


RECIPES = {
    "conv": CONV,
    "depthwise": recipe_of(DepthwiseNet, {"image": spec(3, 12, 12)}, ("scores",)),
    "attention": recipe_of(AttentionNet, {"x": spec(16, 32)}, ("y",)),
    "lstm": recipe_of(lambda: RecurrentNet(nn.LSTM), {"x": spec(6, 8)}, ("y",), name="lstm"),
    "gru": recipe_of(lambda: RecurrentNet(nn.GRU), {"x": spec(6, 8)}, ("y",), name="gru"),
}
float_of = cache(lambda name: float_model(RECIPES[name]))
Read = Callable[..., Execution]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("execution")


@pytest.fixture(scope="module")
def graph(folder: Path) -> Callable[[str, str], Path]:
    """A function that gives the ONNX file of a model, made once: "float", or quantized by a method."""

    def file(name: str, method: str) -> Path:
        path = folder / f"{name}-{method}.onnx"
        if path.exists():
            return path
        if method == "float":
            save_model(float_of(name).model, path)
        elif method == "pairs4":
            weights_in_pairs(file(name, "float"), path)
        else:
            quantize(Workpiece(file(name, "float"), Calibration(RECIPES[name])), path, method=method)
        return path

    return file


def weights_in_pairs(source: Path, destination: Path) -> None:
    """Weights of matrix products in four bits, each with a DequantizeLinear before it."""
    from onnxruntime.quantization import QuantFormat
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, quant_format=QuantFormat.QDQ)
    quantizer = MatMulNBitsQuantizer(onnx.load(source), algo_config=config)
    quantizer.process()
    quantizer.model.save_model_to_file(str(destination))


@pytest.fixture(scope="module")
def read(graph: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Read:
    """A function that reads one execution of a model, once for each."""

    @cache
    def execution(backend: str, name: str, method: str, precision: str = "f32") -> Execution:
        files = compile_model(backend, graph(name, method), tmp_path_factory.mktemp("compiled"))
        source = float_of(name)
        feeds = list(RECIPES[name].calibration_feeds())[:3]
        return read_execution(
            backend, files, inputs=source.inputs, outputs=source.outputs, precision=precision, feeds=feeds, calls=5
        )

    return execution


def layers(execution: Execution) -> list[ExecutedLayer]:
    return [layer for layer in execution.layers if layer.kind == "layer"]


def precisions(execution: Execution) -> set[str]:
    return {layer.precision for layer in layers(execution)}


def heavy_nodes(path: Path) -> list[str]:
    return [node.name for node in onnx.load(path).graph.node if node.op_type in HEAVY]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", RECIPES)
def test_float_graph_runs_in_f32_and_nothing_is_converted(read: Read, backend: str, name: str) -> None:
    execution = read(backend, name, "float")
    assert precisions(execution) == {"f32"}
    assert not [layer for layer in execution.layers if layer.kind == "convert" or layer.weights]
    assert fell_back(execution, "f32") == ()
    assert fell_back(execution, "int8") == tuple(layers(execution))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "method"),
    [(name, method) for name in RECIPES for method in ("float", *METHODS) if (name, method) != ("depthwise", "nncf")]
    + [("attention", "weights4"), ("attention", "pairs4")],
)
def test_each_heavy_node_of_the_graph_is_in_one_layer(
    read: Read, graph: Callable[[str, str], Path], backend: str, name: str, method: str
) -> None:
    found = [node for layer in layers(read(backend, name, method)) for node in layer.name.split(",")]
    expected = heavy_nodes(graph(name, method))
    if backend == "openvino" and name in ("lstm", "gru"):  # it names recurrent layers anew
        assert "" in found
        expected = expected[1:]
    assert sorted(node for node in found if node in expected) == sorted(expected)


def test_bf16_is_told_from_f32(read: Read) -> None:
    if "BF16" not in openvino_capabilities():
        pytest.skip("this CPU does not compute in bf16")
    execution = read("openvino", "conv", "float", "bf16")
    assert precisions(execution) == {"bf16"}
    assert summary(execution).conversions >= 1  # the input comes in f32
    assert fell_back(execution, "bf16") == ()


def openvino_capabilities() -> Sequence[str]:
    openvino = pytest.importorskip("openvino")
    found: Sequence[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return found


@pytest.mark.parametrize(
    ("backend", "method"),
    [("openvino", "ort-minmax"), ("openvino", "lean-minmax"), ("openvino", "nncf"), ("onnxruntime", "ort-minmax")],
)
@pytest.mark.parametrize("name", ["conv", "depthwise"])
def test_quantized_convolutions_run_in_int8(read: Read, backend: str, method: str, name: str) -> None:
    execution = read(backend, name, method)
    assert precisions(execution) == {"int8"}
    assert fell_back(execution, "int8") == ()
    assert summary(execution).conversions >= 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_recurrent_layer_that_no_quantizer_touched_is_seen_to_run_in_f32(
    read: Read, backend: str, method: str, name: str
) -> None:
    execution = read(backend, name, method)
    assert {layer.precision for layer in fell_back(execution, "int8")} == {"f32"}
    assert {"LSTM", "GRU", "RNNSeq"} & {layer.op for layer in fell_back(execution, "int8")}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", METHODS)
def test_times_are_numbers_and_all_survives_json(read: Read, backend: str, method: str) -> None:
    execution = read(backend, "attention", method)
    times = [layer.time_us for layer in execution.layers]
    assert all(time >= 0 for time in times if time is not None)
    assert backend == "openvino" or None not in times  # that one does not tell what is below a microsecond
    assert execution_from_json(json.loads(json.dumps(execution_to_json(execution)))) == execution
