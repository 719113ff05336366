"""The table of methods, and those of its rows that are not static: what each makes of a graph that it is for."""

from __future__ import annotations

import inspect
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from layer_graphs import constant, layer_graph, relative_error

from edgekit.backends import COMPILERS
from edgekit.errors import BackendError
from edgekit.export import save_model
from edgekit.recipes.recipe import Recipe
from edgekit.target import PRECISIONS
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.quantize import METHODS, Calibration, Workpiece, quantize, why_not_applicable
from edgekit.transforms.quantize.noise import outputs_of
from edgekit.transforms.quantize.ranges import CALIBRATORS

RNG = np.random.default_rng(8)
STATIC = [name for name, method in METHODS.items() if "calibrator" in method.options]


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


SAMPLES = [{"x": normal(4, 1, 64)} for _ in range(8)]
DENSE = layer_graph(
    """(float[4,1,64] x) => (float[4,1,24] y) {
        [first] a = MatMul(x, v)  b = Relu(a)  [last] c = MatMul(b, w)  y = Add(c, bias)
    }""",
    v=normal(64, 96), w=normal(96, 24), bias=normal(24),
)  # fmt: skip
LSTM = layer_graph(
    """(float[4,1,64] x) => (float[4,1,24] y) {
        [lstm] h, last, state = LSTM<hidden_size=16>(x, v, r)  squeezed = Squeeze(h, axis)  y = MatMul(squeezed, w)
    }""",
    v=normal(1, 64, 64) / 8, r=normal(1, 64, 16) / 4, w=normal(16, 24), axis=np.array([1]),
)  # fmt: skip
CONV = layer_graph("(float[4,1,64] x) => (float[4,3,62] y) { y = Conv(x, w) }", w=normal(3, 1, 3))


def workpiece(model: ir.Model, folder: Path, *, saturates: bool = False) -> Workpiece:
    save_model(model, folder / "float.onnx")
    inputs = {"x": TensorSpec("float32", (4, 1, 64))}
    recipe = Recipe("net", folder / "float.onnx", inputs, ("y",), calibration=lambda: SAMPLES)
    return Workpiece(folder / "float.onnx", Calibration(recipe), saturates)


def compressed(model: ir.Model, method: str, folder: Path, *, saturates: bool = False) -> tuple[Path, float]:
    """The graph as `method` writes it, and the relative RMS error of its output."""
    quantize(workpiece(model, folder, saturates=saturates), folder / "small.onnx", method=method)
    expected, got = (
        np.stack([outputs["y"] for outputs in outputs_of(folder / name, SAMPLES)])
        for name in ("float.onnx", "small.onnx")
    )
    return folder / "small.onnx", relative_error(got, expected)


def ops(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in ir.load(path).graph)


@pytest.mark.parametrize("name", METHODS)
def test_every_row_of_the_table_can_be_called(name: str) -> None:
    method = METHODS[name]
    module, _, function = method.quantizer.partition(":")
    quantizer = getattr(import_module(module), function)
    taken = set(inspect.signature(quantizer).parameters)
    assert set(method.options) <= taken
    assert ("kept_float" in taken) or not method.mixes
    assert {"work", "destination"} <= taken


@pytest.mark.parametrize("name", METHODS)
def test_every_row_of_the_table_speaks_of_what_there_is(name: str) -> None:
    method = METHODS[name]
    assert method.what
    assert method.precision in PRECISIONS
    assert method.backends
    assert set(method.backends) <= set(COMPILERS)
    assert method.options.get("calibrator", "mse") in CALIBRATORS
    assert method.needs


def test_methods_of_a_family_differ_in_their_ranges_alone() -> None:
    for name in STATIC:
        method = METHODS[name]
        same = [other for other in METHODS.values() if other.family == method.family]
        assert [other.options["calibrator"] for other in same] == list(CALIBRATORS)
        rest = [{k: v for k, v in other.options.items() if k != "calibrator"} for other in same]
        assert all(each == rest[0] for each in rest)
        assert {(other.quantizer, other.precision, other.backends) for other in same} == {
            (method.quantizer, method.precision, method.backends)
        }


@pytest.mark.parametrize(
    ("model", "method", "lacking"),
    [
        (DENSE, "lean-mse", None),
        (DENSE, "weights4", None),
        (DENSE, "dynamic", None),
        (DENSE, "nncf-smooth", None),
        (LSTM, "dynamic", None),
        (CONV, "ort-mse", None),
        (CONV, "dynamic", "the graph has no MatMul or Gemm or LSTM with a constant weight"),
        (CONV, "weights", "the graph has no MatMul with a constant weight"),
        (CONV, "nncf-smooth", "the graph has no MatMul with a constant weight"),
    ],
)
def test_a_method_needs_a_layer_that_it_compresses(model: ir.Model, method: str, lacking: str | None) -> None:
    assert why_not_applicable(method, model) == lacking


def test_products_of_activations_alone_are_nothing_to_compress() -> None:
    model = layer_graph("(float[3,3] x) => (float[3,3] y) { y = MatMul(x, x) }")
    assert {why_not_applicable(name, model) is None for name in METHODS} == {False}


@pytest.mark.parametrize("method", ["lean-mse", "joined-minmax"])
def test_a_graph_that_would_stay_float_is_refused(method: str, tmp_path: Path) -> None:
    model = layer_graph("(float[4,1,64] x) => (float[8,24] y) { r = Reshape(x, s)  y = Gemm<alpha=0.5>(r, w) }",
                        w=normal(32, 24), s=np.array([8, 32]))  # fmt: skip
    with pytest.raises(BackendError, match="no layer of the graph has a form in eight bits"):
        quantize(workpiece(model, tmp_path), tmp_path / "q.onnx", method=method)


@pytest.mark.parametrize("method", ["weights", "weights4"])
def test_weights_that_do_not_fit_into_blocks_are_refused(method: str, tmp_path: Path) -> None:
    model = layer_graph("(float[4,1,64] x) => (float[4,1,24] y) { y = MatMul(x, w) }", w=normal(4, 64, 24))
    with pytest.raises(BackendError, match="no MatMul of the graph has a weight of two dimensions"):
        quantize(workpiece(model, tmp_path), tmp_path / "q.onnx", method=method)


@pytest.mark.parametrize("method", ["lean-mse", "ort-mse", "nncf"])
def test_a_layer_to_keep_in_float_that_does_not_exist_is_refused(method: str, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="the graph has no node 'lst'; did you mean 'last'"):
        quantize(workpiece(DENSE, tmp_path), tmp_path / "q.onnx", method=method, kept_float=["first", "lst"])


@pytest.mark.parametrize("saturates", [False, True])
@pytest.mark.parametrize("method", ["dynamic", "dynamic-channels"])
def test_dynamic_layers_multiply_bytes(method: str, saturates: bool, tmp_path: Path) -> None:
    path, error = compressed(DENSE, method, tmp_path, saturates=saturates)
    assert ops(path)["MatMulInteger"] == 2
    assert 0 < error < (0.04 if saturates else 0.02)
    weights = {name: v.const_value.numpy() for name, v in ir.load(path).graph.initializers.items() if v.const_value}
    stored = [array for array in weights.values() if array.dtype == np.int8 and array.size > 1000]
    assert [int(np.abs(array.astype(int)).max()) <= (64 if saturates else 127) for array in stored] == [True, True]
    scales = [array for name, array in weights.items() if name.endswith("_scale")]
    assert {array.size for array in scales} == ({96, 24} if method == "dynamic-channels" else {1})


def test_an_lstm_is_quantized_dynamically(tmp_path: Path) -> None:
    path, error = compressed(LSTM, "dynamic", tmp_path)
    assert (ops(path)["DynamicQuantizeLSTM"], ops(path)["LSTM"]) == (1, 0)
    assert 0 < error < 0.03


@pytest.mark.parametrize(("method", "bits"), [("weights", 8), ("weights4", 4)])
def test_weights_alone_are_stored_in_blocks(method: str, bits: int, tmp_path: Path) -> None:
    """The error is that of the weights' rounding: to a step of the block's largest / 2**(bits - 1)."""
    path, error = compressed(DENSE, method, tmp_path)
    nodes = [node for node in ir.load(path).graph if node.op_type == "MatMulNBits"]
    assert [(node.attributes.get_int("bits"), node.attributes.get_int("block_size")) for node in nodes] == [
        (bits, 32)
    ] * 2
    step = np.mean(np.abs(constant_weight("v").reshape(2, 32, -1)).max(axis=1)) / 2 ** (bits - 1)
    assert error == pytest.approx(np.sqrt(2) * step / np.sqrt(12), rel=0.3)


def constant_weight(name: str) -> Array:
    return constant(DENSE.graph.initializers[name])


@pytest.mark.parametrize("method", [*STATIC, "nncf", "nncf-smooth"])
def test_static_methods_stay_close_on_dense_layers(method: str, tmp_path: Path) -> None:
    path, error = compressed(DENSE, method, tmp_path)
    assert ops(path)["DequantizeLinear"] >= 4
    assert 0 < error < (0.05 if method == "nncf" else 0.03)  # it takes the mean of the samples' extremes


@pytest.mark.parametrize("method", ["lean-mse", "ort-mse", "nncf"])
def test_a_layer_in_float_is_more_exact_than_none(method: str, tmp_path: Path) -> None:
    _, whole = compressed(DENSE, method, tmp_path)
    quantize(workpiece(DENSE, tmp_path), tmp_path / "mixed.onnx", method=method, kept_float=["last"])
    got, expected = (
        np.stack([outputs["y"] for outputs in outputs_of(tmp_path / name, SAMPLES)])
        for name in ("mixed.onnx", "float.onnx")
    )
    assert 0 < relative_error(got, expected) < whole
