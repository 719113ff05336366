"""Compilers: each backend's files compute what the ONNX file computes, in its own precision, or say why not."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import CONV, exported

from edgekit.backends import COMPILERS, compile_model
from edgekit.building.source import output_specs
from edgekit.errors import BackendError, MissingDependencyError
from edgekit.export import save_model
from edgekit.parity import deviation, onnx_function
from edgekit.runtime.runner import open_runner
from edgekit.tensors import Array

FEEDS = models.samples({"image": (5, 3, 8, 8)}, 1)[0]

GENERAL = [backend for backend in COMPILERS if backend != "native"]  # plans cover some graphs: tests/backends/native


@pytest.fixture(scope="module")
def expected() -> Array:
    scores: Array = onnx_function(exported(CONV).model)(FEEDS)["scores"]
    return scores


def float_file(folder: Path, *, limit_bytes: int = 10**9) -> Path:
    save_model(exported(CONV).model, folder / "float.onnx", limit_bytes=limit_bytes)
    return folder / "float.onnx"


def compiled(backend: str, source: Path, folder: Path) -> dict[str, Path]:
    (folder / backend).mkdir()
    return dict(compile_model(backend, source, folder / backend))


def run(backend: str, files: dict[str, Path]) -> Array:
    outputs = output_specs(CONV, exported(CONV).model)
    runner = open_runner(backend, files, inputs=CONV.input_specs, outputs=outputs, precision="f32", threads=1)
    return runner.run(FEEDS)["scores"]


@pytest.mark.parametrize(
    ("backend", "files"),
    [("openvino", {"model": "model.xml", "weights": "model.bin"}), ("onnxruntime", {"model": "model.onnx"})],
)
def test_files_are_named_by_role_and_lie_in_the_folder(tmp_path: Path, backend: str, files: dict[str, str]) -> None:
    found = compiled(backend, float_file(tmp_path), tmp_path)
    assert found == {role: tmp_path / backend / name for role, name in files.items()}
    assert all(path.stat().st_size for path in found.values())


@pytest.mark.parametrize("backend", GENERAL)
def test_compiled_model_computes_in_f32(tmp_path: Path, expected: Array, backend: str) -> None:
    """Weights in f16 would be off by 1e-3 of the largest value, bf16 by more; f32 is allowed 3e-5."""
    error, tolerance = deviation(run(backend, compiled(backend, float_file(tmp_path), tmp_path)), expected)
    assert error <= tolerance
    halved = expected.astype(np.float16).astype(np.float32)
    assert deviation(halved, expected)[0] > tolerance  # so the check above can fail


def test_openvino_keeps_every_weight_in_f32(tmp_path: Path) -> None:
    found = compiled("openvino", float_file(tmp_path), tmp_path)
    assert 'element_type="f16"' not in found["model"].read_text(encoding="utf-8")
    weights = [v.const_value.nbytes for v in exported(CONV).model.graph.initializers.values() if v.const_value]
    assert found["weights"].stat().st_size >= 0.99 * sum(weights)


@pytest.mark.parametrize("backend", GENERAL)
def test_compiled_model_needs_no_file_but_its_own(tmp_path: Path, expected: Array, backend: str) -> None:
    source = float_file(tmp_path, limit_bytes=1000)
    files = compiled(backend, source, tmp_path)
    for path in (source, source.with_name("float.onnx.data")):
        path.unlink()
    error, tolerance = deviation(run(backend, files), expected)
    assert error <= tolerance


def test_weights_beside_the_graph_travel_with_it(tmp_path: Path) -> None:
    found = compiled("onnxruntime", float_file(tmp_path, limit_bytes=1000), tmp_path)
    data = found["float.onnx.data"]  # the name that the graph calls it by
    assert data == tmp_path / "onnxruntime" / "float.onnx.data"
    assert data.read_bytes() == (tmp_path / "float.onnx.data").read_bytes()


def unknown_operator(path: Path) -> Path:
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Enchant", ["x"], ["y"], domain="nowhere")],
        "g",
        [helper.make_tensor_value_info("x", floats, [1, 4])],
        [helper.make_tensor_value_info("y", floats, [1, 4])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("nowhere", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def test_openvino_refuses_an_operator_that_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="(?s)openvino refused the graph: .*Enchant"):
        compile_model("openvino", unknown_operator(tmp_path / "bad.onnx"), tmp_path)


def test_openvino_refuses_a_file_that_is_not_onnx(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"this is not a model")
    with pytest.raises(BackendError, match="openvino refused the graph"):
        compile_model("openvino", tmp_path / "bad.onnx", tmp_path)


def test_unknown_backend_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no compiler for backend 'openvin'; did you mean 'openvino'"):
        compile_model("openvin", tmp_path / "m.onnx", tmp_path)


def test_missing_package_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgekit\[openvino\]'"):
        compile_model("openvino", tmp_path / "m.onnx", tmp_path)
