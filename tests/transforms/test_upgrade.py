"""Opset upgrades: what old exporters wrote still computes the same, and what cannot be brought along is named."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import NodeProto, helper
from tiny_graphs import FLOAT, graph, model, node

from edgekit.errors import ExportError
from edgekit.export import OPSET
from edgekit.parity import onnx_function
from edgekit.tensors import Array
from edgekit.transforms.through_onnx import SMALL_BYTES
from edgekit.transforms.upgrade import upgrade

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 4, 6, 6)).astype(np.float32)
KERNEL = RNG.standard_normal((8, 4, 3, 3)).astype(np.float32)
SCALES = np.array([1, 1, 2, 3], np.float32)
SHRINK = np.array([1, 1, 0.6, 0.5], np.float32)


def branch(op: str) -> onnx.GraphProto:
    nodes = [node("Squeeze", ["x"], [f"{op}_in"], axes=[2]), node(op, [f"{op}_in"], [f"{op}_out"])]
    return helper.make_graph(nodes, op, [], [helper.make_tensor_value_info(f"{op}_out", FLOAT, None)])


# What changed on the way, as it was written then: opset, nodes from x to y, weights.
OLD: dict[str, tuple[int, list[NodeProto], dict[str, Array]]] = {
    "convolution": (7, [node("Conv", ["x", "k"], ["c"]), node("Relu", ["c"], ["y"])], {"k": KERNEL}),
    "attributes that became inputs": (
        9,
        [
            node("Clip", ["x"], ["clipped"], min=-1.0, max=0.5),
            node("Slice", ["clipped"], ["slice"], axes=[1], starts=[1], ends=[4]),
            node("Pad", ["slice"], ["padded"], pads=[0, 0, 1, 1, 0, 0, 2, 2], value=0.25),
            node("ReduceSum", ["padded"], ["sum"], axes=[2], keepdims=1),
            node("ReduceMean", ["sum"], ["mean"], axes=[3], keepdims=1),
            node("Squeeze", ["mean"], ["flat"], axes=[2, 3]),
            node("Unsqueeze", ["flat"], ["y"], axes=[1]),
        ],
        {},
    ),
    "softmax over all that follows the axis": (11, [node("Softmax", ["x"], ["y"])], {}),
    "log softmax of an inner axis": (12, [node("LogSoftmax", ["x"], ["y"], axis=2)], {}),
    "dropout": (10, [node("Dropout", ["x"], ["y"], ratio=0.4)], {}),
    "split": (
        11,
        [node("Split", ["x"], ["a", "b"], axis=1, split=[1, 3]), node("ReduceMax", ["b"], ["y"], axes=[1])],
        {},
    ),
    "even split": (13, [node("Split", ["x"], ["a", "b"], axis=1), node("Sub", ["a", "b"], ["y"])], {}),
    "largest few": (9, [node("TopK", ["x"], ["y", "places"], k=2)], {}),
    "linear upsampling": (9, [node("Upsample", ["x", "s"], ["y"], mode="linear")], {"s": SCALES}),
    "nearest upsampling": (9, [node("Upsample", ["x", "s"], ["y"])], {"s": SCALES}),
    "upsampling by attribute": (8, [node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 2.0], mode="linear")], {}),
    "linear downsampling": (10, [node("Resize", ["x", "s"], ["y"], mode="linear")], {"s": SHRINK}),
    "nearest downsampling": (10, [node("Resize", ["x", "s"], ["y"])], {"s": SHRINK}),
    "grid": (
        16,
        [node("GridSample", ["x", "g"], ["y"], mode="bilinear")],
        {"g": RNG.uniform(-1, 1, (2, 3, 3, 2)).astype(np.float32)},
    ),
    "control flow": (
        11,
        [
            node("ReduceMax", ["x"], ["top"], keepdims=0),
            node("Greater", ["top", "zero"], ["positive"]),
            node("ReduceSum", ["input"], ["x"], axes=[2]),
            node("If", ["positive"], ["y"], then_branch=branch("Neg"), else_branch=branch("Abs")),
        ],
        {"zero": np.array(0, np.float32)},
    ),
}


def computed(proto_or_model: onnx.ModelProto | ir.Model, feeds: Mapping[str, Array]) -> dict[str, Array]:
    whole = proto_or_model if isinstance(proto_or_model, ir.Model) else ir.from_proto(proto_or_model)
    found: dict[str, Array] = onnx_function(whole)(feeds)
    return found


@pytest.mark.parametrize("what", OLD)
@pytest.mark.parametrize("opset", [OPSET, 21])
def test_old_ops_compute_the_same_at_the_new_opset(what: str, opset: int) -> None:
    found, nodes, weights = OLD[what]
    source = "input" if what == "control flow" else "x"
    nodes = sorted(nodes, key=lambda each: list(each.output) != ["x"])  # what makes x comes first
    old = model(graph(nodes, {source: X.shape}, {"y": None}, **weights), found)
    new = upgrade(ir.from_proto(old), opset)
    assert new.opset_imports[""] == opset
    assert all(each.name for each in new.graph.all_nodes())
    np.testing.assert_allclose(computed(new, {source: X})["y"], computed(old, {source: X})["y"], rtol=1e-5, atol=1e-6)


def test_graph_of_the_newest_opset_is_left_alone() -> None:
    whole = ir.from_proto(model(graph([node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": [2]}), OPSET))
    assert upgrade(whole) is whole
    newer = ir.from_proto(model(graph([node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": [2]}), OPSET + 2))
    assert upgrade(newer) is newer


def test_large_weights_are_carried_over_and_the_old_graph_keeps_its_own() -> None:
    assert KERNEL.nbytes > SMALL_BYTES
    nodes = [node("Conv", ["x", "k"], ["c"]), node("Squeeze", ["b"], ["s"], axes=[0]), node("Add", ["c", "s"], ["y"])]
    whole = graph(nodes, {"x": X.shape}, {"y": None}, k=KERNEL, b=np.ones((1, 1, 4, 4), np.float32))
    old = ir.from_proto(model(whole, 11))
    new = upgrade(old)
    for each in (old, new):
        assert [value.name for value in each.graph.inputs] == ["x"]
        np.testing.assert_array_equal(each.graph.initializers["k"].const_value.numpy(), KERNEL)  # type: ignore[union-attr]
    np.testing.assert_allclose(computed(new, {"x": X})["y"], computed(old, {"x": X})["y"], rtol=1e-6, atol=1e-6)


def test_graph_that_onnx_has_upgraded_before_can_be_upgraded_again() -> None:
    nodes = [node("Pad", ["x"], ["p"], pads=[0, 0, 1, 1, 0, 0, 1, 1]), node("Squeeze", ["p"], ["y"], axes=[0])]
    old = model(graph(nodes, {"x": [1, 2, 3, 3]}, {"y": None}), 10)
    between = onnx.version_converter.convert_version(old, 11)  # it calls what it adds _v_7 and so on, each time
    x = X[:1, :2, :3, :3]
    np.testing.assert_array_equal(
        computed(upgrade(ir.from_proto(between)), {"x": x})["y"], computed(old, {"x": x})["y"]
    )


def test_op_that_cannot_be_upgraded_is_named_with_its_node() -> None:
    body = graph(
        [node("Add", ["state", "step"], ["sum"]), node("Identity", ["sum"], ["out"])],
        {"state": [3], "step": [3]},
        {"sum": [3], "out": [3]},
    )
    scan = node("Scan", ["lengths", "start", "x"], ["end", "y"], body=body, num_scan_inputs=1, name="recurrence")
    weights = {"lengths": np.array([4]), "start": np.zeros((1, 3), np.float32)}
    whole = graph([scan], {"x": [1, 4, 3]}, {"y": [1, 4, 3]}, **weights)
    with pytest.raises(
        ExportError, match=r"node 'recurrence' \(Scan\) cannot be brought from opset 8 to 20: .*opset 13"
    ):
        upgrade(ir.from_proto(model(whole, 8)))
