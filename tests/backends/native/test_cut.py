"""Graphs are cut where no kernel is: each part has a plan, and the whole computes what it did."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from small_graphs import graph_of, quantized, run_onnx, samples_of

from edgekit.backends.native.cut import Cut, cut, inlined, without_bodies
from edgekit.errors import BackendError

RNG = np.random.default_rng(2)
HALF = """(float[N,3,12,12] x) => (float[N,4,10,10] y) {
    c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b)
    r = Relu(c)
    d = Conv<pads=[1,1,1,1], group=8>(r, dw, db)
    t = ConvTranspose<strides=[2,2]>(d, tw, tb)
    e = Conv(t, ew, eb)
    s = Relu(e)
    y = Conv(s, yw, yb)
}"""


def weight(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def two_parts() -> ir.Model:
    model = graph_of(
        HALF,
        w=weight(8, 3, 3, 3), b=weight(8), dw=weight(8, 1, 3, 3), db=weight(8),
        tw=weight(8, 8, 2, 2), tb=weight(8), ew=weight(6, 8, 1, 1), eb=weight(6),
        yw=weight(4, 6, 3, 3), yb=weight(4),
    )  # fmt: skip
    return quantized(model)


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.fixture(scope="module")
def whole() -> ir.Model:
    return two_parts()


@pytest.fixture(scope="module")
def found(whole: ir.Model) -> Cut:
    return cut(whole)


def test_nodes_without_a_kernel_split_the_graph(found: Cut) -> None:
    layers = [[name for name in part if name.startswith("Conv_")] for part in found.parts]
    assert layers == [["Conv_c", "Conv_d"], ["Conv_e"]]
    assert ops(without_bodies(found)).count("Plan") == 2


def test_what_stays_outside_is_told_with_its_reason(found: Cut) -> None:
    assert any("Conv_y" in reason and "float32" in reason for reason in found.refusals)


def test_inlined_graph_computes_what_the_whole_did_to_the_last_bit(found: Cut, whole: ir.Model) -> None:
    for feeds in samples_of(whole, 3):
        np.testing.assert_array_equal(run_onnx(inlined(found), feeds)[0], run_onnx(whole, feeds)[0])


def test_cut_graph_is_sound_with_and_without_bodies(found: Cut) -> None:
    onnx.checker.check_model(ir.to_proto(found.model))
    bare = without_bodies(found)
    assert not bare.functions
    plans = [node for node in bare.graph if node.op_type == "Plan"]
    assert all(node.domain == "edgekit" and node.overload == "" for node in plans)
    assert len({value.name for node in plans for value in node.inputs}) == sum(len(node.inputs) for node in plans)


def test_source_stays_as_it_was(whole: ir.Model) -> None:
    before = ir.to_proto(whole).SerializeToString(deterministic=True)
    cut(whole)
    assert ir.to_proto(whole).SerializeToString(deterministic=True) == before


def test_layer_outside_keeps_a_pair_of_its_own(found: Cut) -> None:
    """OpenVINO computes a layer in eight bits only behind a pair."""
    bare = without_bodies(found)
    outside = next(node for node in bare.graph if node.op_type == "ConvTranspose")
    assert outside.inputs[0].producer().op_type == "DequantizeLinear"


def test_inner_border_passes_levels_in_and_channels_last(found: Cut) -> None:
    first, second = (node for node in without_bodies(found).graph if node.op_type == "Plan")
    assert first.inputs[1].is_graph_input()
    assert tuple(first.outputs[0].shape) == (1, 6, 6, 8)
    assert second.inputs[1].dtype == ir.DataType.UINT8
    assert tuple(second.inputs[1].shape) == (1, 12, 12, 8)


def test_way_around_a_node_without_kernel_does_not_close_a_part_over_it() -> None:
    """x -> a -> Sin -> sum and a -> b -> sum: the sum cannot be in the part of a, which would need its own result."""
    model = graph_of(
        """(float[1,8] x) => (float[1,8] y) {
            a = Gemm<transB=1>(x, w1)
            s = Sin(a)
            b = Gemm<transB=1>(a, w2)
            d = Gemm<transB=1>(s, w3)
            y = Add(b, d)
        }""",
        w1=weight(8, 8), w2=weight(8, 8), w3=weight(8, 8),
    )  # fmt: skip
    found = cut(model)
    layers = [{name for name in part if name.startswith("Gemm")} for part in found.parts]
    assert {"Gemm_a", "Gemm_b"} in layers
    assert {"Gemm_d"} in layers
    feeds = samples_of(model, 1)[0]
    np.testing.assert_array_equal(run_onnx(inlined(found), feeds)[0], run_onnx(model, feeds)[0])


def test_constant_that_both_sides_use_is_copied() -> None:
    model = graph_of(
        """(float[1,1,8] x) => (float[1,8] y) {
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            m = DequantizeLinear(wq, ws)
            n = Neg(m)
            f = Reshape(d, shape)
            g = Gemm(f, m)
            k = Sin(g)
            y = MatMul(k, n)
        }""",
        s=np.float32(0.02), z=np.uint8(128), wq=RNG.integers(-127, 127, (8, 8)).astype(np.int8),
        ws=np.float32(0.01), shape=np.array([1, 8]),
    )  # fmt: skip
    found = cut(model)
    assert [[n for n in part if n.startswith(("Gemm", "MatMul"))] for part in found.parts] == [["Gemm_g"]]
    feeds = samples_of(model, 1)[0]
    np.testing.assert_array_equal(run_onnx(inlined(found), feeds)[0], run_onnx(model, feeds)[0])


def test_graph_without_any_part_says_why() -> None:
    model = graph_of("(float[1,4] x) => (float[1,4] y) { y = Sin(x) }")
    with pytest.raises(BackendError, match="no part of the graph is covered by edgekit's kernels"):
        cut(model)
