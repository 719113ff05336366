"""Executions of graphs made by hand, whose every type is known; refusals, and what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.backends import compile_model
from edgekit.backends.execution import (
    ExecutedLayer,
    Execution,
    describe,
    fell_back,
    read_execution,
)
from edgekit.errors import BackendError, MissingDependencyError
from edgekit.export import save_model
from edgekit.runtime import openvino as runner
from edgekit.tensors import Array, TensorSpec

BACKENDS = ("openvino", "onnxruntime")
FLOATS = TensorProto.FLOAT
GROUP_SIZE = "DYNAMIC_QUANTIZATION_GROUP_SIZE"


def layers(execution: Execution) -> list[ExecutedLayer]:
    return [layer for layer in execution.layers if layer.kind == "layer"]


def file_of(
    path: Path, nodes: Sequence[Any], constants: Mapping[str, Any], inputs: Mapping[str, list[int]], output: list[int]
) -> Path:
    values = [helper.make_tensor_value_info(name, FLOATS, shape) for name, shape in inputs.items()]
    tensors = [
        numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value
        for name, value in constants.items()
    ]
    outputs = [helper.make_tensor_value_info("y", FLOATS, output)]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(
        helper.make_graph(nodes, "g", values, outputs, tensors), opset_imports=opsets, ir_version=10
    )
    onnx.save(made, path)
    return path


def read_file(
    backend: str, path: Path, feeds: Mapping[str, Array], shape: tuple[int, ...], *, output: str = "y"
) -> Execution:
    inputs = [TensorSpec("float32", array.shape, name=name) for name, array in feeds.items()]
    into = path.with_suffix("") / backend
    into.mkdir(parents=True)
    files = compile_model(backend, path, into)
    outputs = [TensorSpec("float32", shape, name=output)]
    return read_execution(backend, files, inputs=inputs, outputs=outputs, precision="f32", feeds=[feeds], calls=2)


def normal(*shape: int) -> Array:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def quantized_convolution(path: Path, *, pair_behind: bool) -> Path:
    """A convolution with a pair of QuantizeLinear and DequantizeLinear before it, and one behind it or not."""
    constants = {
        "step": np.array(0.05, np.float32),
        "zero": np.array(128, np.uint8),
        "weights": np.random.default_rng(1).integers(-127, 127, (8, 8, 3, 3), np.int8),
        "weight_step": np.full(8, 0.01, np.float32),
        "out_step": np.array(0.1, np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["xq"], name="quantize"),
        helper.make_node("DequantizeLinear", ["xq", "step", "zero"], ["xd"], name="dequantize"),
        helper.make_node("DequantizeLinear", ["weights", "weight_step"], ["w"], name="dequantize_weights", axis=0),
        helper.make_node("Conv", ["xd", "w"], ["z" if pair_behind else "y"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["z", "out_step", "zero"], ["zq"], name="quantize_out"),
        helper.make_node("DequantizeLinear", ["zq", "out_step", "zero"], ["y"], name="dequantize_out"),
    ]
    return file_of(path, nodes if pair_behind else nodes[:4], constants, {"x": [1, 8, 6, 6]}, [1, 8, 6, 6])


def test_int8_graph_that_onnxruntime_runs_in_float_is_seen(tmp_path: Path) -> None:
    """Its convolution in int8 gives int8, so where nothing quantizes what it gives, it computes in float."""
    feeds = {"x": normal(1, 8, 6, 6)}
    path = quantized_convolution(tmp_path / "both.onnx", pair_behind=True)
    both = read_file("onnxruntime", path, feeds, (1, 8, 6, 6))
    assert [(layer.name, layer.op, layer.precision) for layer in layers(both)] == [("conv", "QLinearConv", "int8")]
    assert fell_back(both, "int8") == ()
    path = quantized_convolution(tmp_path / "before.onnx", pair_behind=False)
    [fallen] = fell_back(read_file("onnxruntime", path, feeds, (1, 8, 6, 6)), "int8")
    assert (fallen.name, fallen.precision) == ("conv", "f32")


def test_pairs_are_conversions_and_the_layout_that_they_need_is_a_reorder(tmp_path: Path) -> None:
    path = quantized_convolution(tmp_path / "both.onnx", pair_behind=True)
    found = read_file("onnxruntime", path, {"x": normal(1, 8, 6, 6)}, (1, 8, 6, 6))
    kinds = [(layer.kind, layer.op) for layer in found.layers if layer.kind != "reorder"]
    assert kinds == [("convert", "QuantizeLinear"), ("layer", "QLinearConv"), ("convert", "DequantizeLinear")]
    assert all(layer.op in ("Transpose", "ReorderInput", "ReorderOutput") for layer in found.layers if not layer.name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_transpose_of_the_graph_is_no_reorder(tmp_path: Path, backend: str) -> None:
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], name="share"),
        helper.make_node("Transpose", ["s"], ["y"], name="turn", perm=[1, 0]),
    ]
    execution = read_file(
        backend, file_of(tmp_path / "t.onnx", nodes, {}, {"x": [4, 5]}, [5, 4]), {"x": normal(4, 5)}, (5, 4)
    )
    assert [(layer.op, layer.kind) for layer in execution.layers] == [("Softmax", "other"), ("Transpose", "other")]


def blocks_of_bits(path: Path, *, level: int, bits: int = 4) -> Path:
    """MatMulNBits of (5, 64) by (64, 32), in blocks of 32."""
    rng = np.random.default_rng(2)
    packed = rng.integers(0, 255, (32, 2, 16 * bits // 4), np.uint8)
    attributes = {"K": 64, "N": 32, "bits": bits, "block_size": 32, "accuracy_level": level}
    node = helper.make_node("MatMulNBits", ["x", "b", "s"], ["y"], name="product", domain="com.microsoft", **attributes)
    scales = rng.uniform(0.01, 0.02, 64).astype(np.float32)
    return file_of(path, [node], {"b": packed, "s": scales}, {"x": [5, 64]}, [5, 32])


def products_in_float(path: Path, x: Array) -> Array:
    """MatMulNBits by its definition, in float64."""
    tensors = {item.name: numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer}
    packed, scales = tensors["b"], tensors["s"].reshape(32, 2, 1).astype(np.float64)
    nibbles = np.stack([packed & 15, packed >> 4], axis=-1).reshape(32, 2, 32).astype(np.float64)
    weights = ((nibbles - 8) * scales).reshape(32, 64)
    return x.astype(np.float64) @ weights.T


def relative_error(found: Array, expected: Array) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("level", [0, 1, 4])
def test_weights_in_four_bits_are_told_with_what_they_are_multiplied_in(tmp_path: Path, level: int) -> None:
    import onnxruntime

    path, x = blocks_of_bits(tmp_path / "b.onnx", level=level), normal(5, 64)
    [layer] = layers(read_file("onnxruntime", path, {"x": x}, (5, 32)))
    error = relative_error(onnxruntime.InferenceSession(str(path)).run(None, {"x": x})[0], products_in_float(path, x))
    assert layer.weights == "int4"
    assert layer.precision == ("int8" if error > 1e-4 else "f32")
    assert level == 4 or layer.precision == "f32"


@pytest.mark.parametrize("group_size", [0, 32])
def test_activations_that_openvino_quantizes_on_the_fly_are_not_called_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_size: int
) -> None:
    config = runner._config
    monkeypatch.setattr(runner, "_config", lambda request: config(request) | {GROUP_SIZE: group_size})
    path, x = blocks_of_bits(tmp_path / "b.onnx", level=0), normal(5, 64)
    execution = read_file("openvino", path, {"x": x}, (5, 32))
    [layer] = layers(execution)
    quantized = relative_error(openvino_outputs(path, x, group_size), products_in_float(path, x)) > 1e-4
    assert (layer.precision, layer.weights) == ("int8" if quantized else "f32", "int4")
    assert not quantized or group_size
    assert fell_back(execution, "int4 weights") == ()


def openvino_outputs(path: Path, x: Array, group_size: int) -> Array:
    import openvino

    config = {GROUP_SIZE: group_size, "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    found: Array = openvino.Core().compile_model(str(path), "CPU", config)([x])[0]
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_int4_blocks_behind_dequantize_linear_keep_their_four_bits(tmp_path: Path, backend: str) -> None:
    values = np.random.default_rng(3).integers(-8, 7, (64, 32))
    packed = helper.make_tensor("b", TensorProto.INT4, (64, 32), values.astype(np.int8).ravel().tolist())
    nodes = [
        helper.make_node("DequantizeLinear", ["b", "s"], ["w"], name="unpack", axis=0, block_size=32),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="product"),
    ]
    constants = {"b": packed, "s": np.abs(normal(2, 32)) / 10}
    path = file_of(tmp_path / "d.onnx", nodes, constants, {"x": [5, 64]}, [5, 32])
    [layer] = layers(read_file(backend, path, {"x": normal(5, 64)}, (5, 32)))
    assert layer.weights == "int4"
    assert layer.precision in ("f32", "int8")


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_that_are_unpacked_before_they_are_multiplied_are_not_called_int8(tmp_path: Path, backend: str) -> None:
    """No runtime here has a convolution for float activations and 8-bit weights."""
    nodes = [
        helper.make_node("DequantizeLinear", ["b", "s"], ["w"], name="unpack", axis=0),
        helper.make_node("Conv", ["x", "w"], ["z"], name="convolution"),
        helper.make_node("Relu", ["z"], ["y"], name="relu"),
    ]
    constants = {"b": np.random.default_rng(4).integers(-127, 127, (8, 3, 3, 3), np.int8), "s": np.abs(normal(8)) / 10}
    path = file_of(tmp_path / "c.onnx", nodes, constants, {"x": [1, 3, 8, 8]}, [1, 8, 6, 6])
    [fallen] = fell_back(read_file(backend, path, {"x": normal(1, 3, 8, 8)}, (1, 8, 6, 6)), "int8 weights")
    assert (fallen.name.split(",")[0], fallen.precision, fallen.weights) == ("convolution", "f32", "")


@pytest.mark.parametrize(("backend", "expected"), [("openvino", "unknown"), ("onnxruntime", "f32")])
def test_product_inside_a_loop_is_found_or_said_to_be_unknown(tmp_path: Path, backend: str, expected: str) -> None:
    state = [helper.make_tensor_value_info(name, FLOATS, [1, 8]) for name in ("before", "after")]
    going = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on")]
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "w"], ["product"], name="inner"),
            helper.make_node("Tanh", ["product"], ["after"], name="curve"),
            helper.make_node("Identity", ["go"], ["on"], name="same"),
        ],
        "body",
        [helper.make_tensor_value_info("step", TensorProto.INT64, []), going[0], state[0]],
        [going[1], state[1]],
    )
    nodes = [helper.make_node("Loop", ["times", "always", "x"], ["y"], name="loop", body=body)]
    constants = {"w": normal(8, 8), "times": np.array(4), "always": np.array(True)}
    path = file_of(tmp_path / "loop.onnx", nodes, constants, {"x": [1, 8]}, [1, 8])
    execution = read_file(backend, path, {"x": normal(1, 8)}, (1, 8))
    assert [layer.precision for layer in layers(execution)] == [expected]
    assert "Loop" not in {layer.op for layer in execution.layers}  # its time is that of the nodes inside
    assert bool(fell_back(execution, "int8")) == (expected == "f32")


@pytest.mark.parametrize("backend", BACKENDS)
def test_nodes_without_names_are_read_all_the_same(tmp_path: Path, backend: str) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"])]
    path = file_of(tmp_path / "n.onnx", nodes, {"w": normal(4, 3)}, {"x": [5, 4]}, [5, 3])
    assert describe(read_file(backend, path, {"x": normal(5, 4)}, (5, 3))) == "1 of 1 f32"


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_beside_the_graph_are_found(tmp_path: Path, backend: str) -> None:
    save_model(models.exported(models.CONV).model, tmp_path / "m.onnx", limit_bytes=1000)
    execution = read_file(backend, tmp_path / "m.onnx", {"image": normal(1, 3, 8, 8)}, (1, 10), output="scores")
    assert {layer.precision for layer in layers(execution)} == {"f32"}


def test_unknown_backend_suggests_the_nearest() -> None:
    with pytest.raises(BackendError, match="for backend 'openvin'; did you mean 'openvino'"):
        read_execution("openvin", {}, inputs=[], outputs=[], precision="f32", feeds=[{}])


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_samples_is_an_error(backend: str) -> None:
    with pytest.raises(BackendError, match="0 samples and 50 calls"):
        read_execution(backend, {}, inputs=[], outputs=[], precision="f32", feeds=[])


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_no_model_is_refused(tmp_path: Path, backend: str) -> None:
    files = {"model": tmp_path / "model.xml", "weights": tmp_path / "model.bin"}
    for path in files.values():
        path.write_bytes(b"this is not a model")
    with pytest.raises(BackendError, match=f"{backend} refused the model"):
        read_execution(backend, files, inputs=[], outputs=[], precision="f32", feeds=[{}])


@pytest.mark.parametrize("backend", BACKENDS)
def test_samples_that_do_not_fit_are_refused(tmp_path: Path, backend: str) -> None:
    files = compile_model(backend, blocks_of_bits(tmp_path / "b.onnx", level=1), tmp_path)
    wrong = [TensorSpec("float32", (5, 64), name="x")]
    with pytest.raises(BackendError, match=f"{backend} failed"):
        read_execution(backend, files, inputs=wrong, outputs=[], precision="f32", feeds=[{"x": normal(5, 63)}])


@pytest.mark.parametrize(
    ("backend", "package", "extra"),
    [
        ("openvino", "openvino", "openvino"),
        ("onnxruntime", "onnxruntime", "onnxruntime"),
        ("onnxruntime", "onnx", "export"),
    ],
)
def test_missing_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, backend: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"{package} is not installed; .*edgekit\[{extra}\]"):
        read_execution(backend, {"model": Path("m")}, inputs=[], outputs=[], precision="f32", feeds=[{}])


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    path = blocks_of_bits(tmp_path / "b.onnx", level=4)
    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    read_file(backend, path, {"x": normal(5, 64)}, (5, 32))
    expected = {path, *tmp_path.glob("b/**/*"), tmp_path / "b", tmp_path / "work", tmp_path / "temporary"}
    assert set(tmp_path.glob("**/*")) == expected


SILENT = """
import sys
from pathlib import Path
from edgekit.backends.execution import read_execution
files = {"model": Path("m"), "weights": Path("w")}
try:
    read_execution("openvino", files, inputs=[], outputs=[], precision="f32", feeds=[{}])
except Exception:
    pass
assert "openvino" in sys.modules and sys.modules["openvino_telemetry"] is None
"""


def test_telemetry_is_off_before_openvino_is_loaded(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SILENT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
