"""Layers are found in every quantizer's graph: putting all of them into the float graph gives the compressed one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from edgekit.building.source import float_model
from edgekit.explaining.parts import find_parts, splice
from edgekit.explaining.watch import drift, watch_onnx
from edgekit.explaining.wiring import Wiring, load
from edgekit.export import save_model
from edgekit.tensors import Array, Feeds
from edgekit.transforms.quantize import Calibration, Workpiece, quantize
from edgekit.transforms.quantize.qdq import write_qdq
from tests.models import CONV, SEQUENCE, exported
from tests.tiny_graphs import graph, model, node

METHODS = ("lean-mse", "joined-minmax", "nncf", "ort-mse", "dynamic")
FEEDS = list(CONV.calibration_feeds())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workpiece:
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    save_model(float_model(CONV).model, path)
    return Workpiece(path, Calibration(CONV))


def compressed(work: Workpiece, method: str, folder: Path) -> Wiring:
    if method.startswith("nncf"):
        pytest.importorskip("nncf")
    quantize(work, folder / "compressed.onnx", method=method)
    return load(folder / "compressed.onnx")


def outputs(proto: onnx.ModelProto, feeds: Feeds) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


@pytest.mark.parametrize("method", METHODS)
def test_all_layers_put_into_the_float_graph_make_the_compressed_one(
    work: Workpiece, method: str, tmp_path: Path
) -> None:
    floats, other = load(work.source), compressed(work, method, tmp_path)
    parts = find_parts(floats, other)
    assert [part.lacking for part in parts] == [""] * 4
    assert all(part.compressed for part in parts)
    whole = floats
    for part in parts:
        whole = Wiring(splice(whole, other, part))
    onnx.checker.check_model(whole.model, full_check=True)
    for feeds in FEEDS[:4]:
        got, expected = outputs(whole.model, feeds)[0], outputs(other.model, feeds)[0]
        np.testing.assert_array_equal(got, expected)
        assert not np.array_equal(expected, outputs(floats.model, feeds)[0])


def test_a_layer_alone_is_what_the_writer_of_pairs_makes_of_it(work: Workpiece, tmp_path: Path) -> None:
    floats, other = load(work.source), compressed(work, "lean-mse", tmp_path)
    for part in find_parts(floats, other):
        save_model(write_qdq(work.model, (part.layer,), ranges=work.ranges("mse")), tmp_path / "one.onnx")
        alone = outputs(splice(floats, other, part), FEEDS[0])[0]
        np.testing.assert_array_equal(alone, outputs(onnx.load(tmp_path / "one.onnx"), FEEDS[0])[0])


def test_a_relu_that_the_quantizer_took_away_is_looked_for_behind_its_pair(work: Workpiece, tmp_path: Path) -> None:
    floats, other = load(work.source), compressed(work, "ort-mse", tmp_path)
    first = find_parts(floats, other)[0]
    assert "Relu" not in [each.op_type for each in other.model.graph.node]
    assert first.tensor == "relu"
    same = {first.tensor: first.found}
    runs = (
        watch_onnx(floats.model, same, tmp_path / "float.onnx"),
        watch_onnx(other.model, same.values(), tmp_path / "other.onnx"),
    )
    found = drift(*runs, FEEDS, same=same).db(first.tensor)
    assert found is not None
    assert found > 25  # what the convolution gives before the Relu is another tensor: below 5


def test_a_pair_in_front_of_what_moves_values_belongs_to_the_layer(work: Workpiece, tmp_path: Path) -> None:
    linear = next(
        part for part in find_parts(load(work.source), compressed(work, "nncf", tmp_path)) if part.op == "Gemm"
    )
    assert linear.inputs == ("relu_1",)
    assert [each.op_type for each in linear.nodes][:3] == ["QuantizeLinear", "DequantizeLinear", "Reshape"]


def test_a_graph_with_another_opset_is_not_mixed_with_the_float_one(work: Workpiece, tmp_path: Path) -> None:
    other = compressed(work, "lean-mse", tmp_path)
    other.model.opset_import[0].version += 1
    assert {part.lacking for part in find_parts(load(work.source), other)} == {"the two graphs are of different opsets"}


def test_layers_that_became_one_are_not_told_apart() -> None:
    weight = np.eye(3, dtype=np.float32)
    two = [node("MatMul", ["x", "w"], ["a"], name="first"), node("MatMul", ["a", "w"], ["y"], name="second")]
    one = [node("MatMul", ["x", "w"], ["y"], name="both")]
    floats, other = (Wiring(model(graph(nodes, {"x": (1, 3)}, {"y": (1, 3)}, w=weight))) for nodes in (two, one))
    first, second = find_parts(floats, other)
    assert first.lacking == "its result has no name there"
    assert second.lacking == "it has become one with its neighbours"


def test_nothing_is_compressed_in_the_float_graph_itself() -> None:
    floats = Wiring(ir.to_proto(exported(SEQUENCE).model))
    assert not any(part.compressed for part in find_parts(floats, floats))
