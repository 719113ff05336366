"""Weights and biases of quantized layers: s8 in steps of their channel, s32 in steps of the product of both scales."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import pytest
from layer_graphs import constant, layer_graph, made_by, quantized, relative_error, run, seen, the

from edgekit.tensors import Array
from edgekit.transforms.quantize.layers import layers_of
from edgekit.transforms.quantize.qdq import BIAS_LIMIT, write_qdq

RNG = np.random.default_rng(12)


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.fixture(autouse=True)
def numpy_does_not_warn() -> Iterator[None]:
    """Overflow and division by zero end in warnings, and in wrong integers."""
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        yield


# A layer -> its node, the shape of its data and of its weight, and the weight's axis of output channels.
KINDS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], int | None]] = {
    "Conv": ("Conv(x, w)", (2, 4, 6, 6), (3, 4, 3, 3), 0),
    "Conv, 1-d": ("Conv(x, w)", (2, 4, 9), (3, 4, 3), 0),
    "Conv, 3-d": ("Conv(x, w)", (2, 2, 5, 5, 5), (3, 2, 2, 2, 2), 0),
    "Conv, grouped": ("Conv<group=2>(x, w)", (2, 4, 6, 6), (6, 2, 3, 3), 0),
    "Conv, depthwise": ("Conv<group=4>(x, w)", (2, 4, 6, 6), (4, 1, 3, 3), 0),
    "ConvTranspose": ("ConvTranspose(x, w)", (2, 4, 5, 5), (4, 3, 2, 2), 1),
    "ConvTranspose, grouped": ("ConvTranspose<group=2>(x, w)", (2, 4, 5, 5), (4, 3, 2, 2), None),
    "Gemm": ("Gemm(x, w)", (7, 5), (5, 3), 1),
    "Gemm, transposed": ("Gemm<transB=1>(x, w)", (7, 5), (3, 5), 0),
    "MatMul": ("MatMul(x, w)", (2, 7, 5), (5, 3), 1),
    "MatMul of stacks": ("MatMul(x, w)", (2, 7, 5), (2, 5, 3), None),
    "MatMul by a vector": ("MatMul(x, w)", (2, 7, 5), (5,), None),
}


def one_layer(node: str, data: tuple[int, ...], **weights: Array) -> ir.Model:
    """A graph of one node, from x to y."""
    rank = len(data) - (weights["w"].ndim == 1)
    sizes = ",".join("abcde"[:rank])
    return layer_graph(f"(float[{','.join(map(str, data))}] x) => (float[{sizes}] y) {{ y = {node} }}", **weights)


def stored(model: ir.Model, node: ir.Node, place: int) -> tuple[Array, Array, int | None]:
    """A quantized constant: its integers, its scale and the axis of its scales."""
    assert made_by(model, node, place) == "DequantizeLinear"
    pair = node.inputs[place].producer()
    assert not constant(pair.inputs[2]).any()
    scale = constant(pair.inputs[1])
    return constant(pair.inputs[0]), scale, pair.attributes.get_int("axis", 1) if scale.ndim else None


@pytest.mark.parametrize("saturates", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_rounded_to_the_nearest_step_of_its_channel(kind: str, saturates: bool) -> None:
    node, data, shape, axis = KINDS[kind]
    weight = normal(*shape) * 10.0 ** RNG.integers(-2, 3, shape).astype(np.float32)
    graph, feeds = one_layer(node, data, w=weight), {"x": normal(*data)}
    written = quantized(graph, layers_of(graph), feeds, saturates=saturates)
    integers, scale, found_axis = stored(written, written.graph[-1], 1)
    others = tuple(d for d in range(weight.ndim) if d != axis) if axis is not None else None
    largest = np.abs(weight).max(axis=others, keepdims=axis is not None)
    levels = 63 if saturates else 127
    assert (integers.dtype, found_axis) == (np.int8, axis)
    np.testing.assert_allclose(scale.reshape(largest.shape), largest / levels, rtol=1e-6)
    assert np.abs(integers.astype(int)).max() == levels
    assert (np.abs(integers * scale.reshape(largest.shape) - weight) <= 0.5001 * scale.reshape(largest.shape)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_is_that_of_rounding(kind: str) -> None:
    """Noise of RMS step / sqrt(12) in data and weight passes a sum of products as the values themselves do."""
    node, data, shape, _ = KINDS[kind]
    errors, expected = [], []
    for _ in range(10):
        weight, feeds = normal(*shape), {"x": normal(*data)}
        graph = one_layer(node, data, w=weight)
        written = quantized(graph, layers_of(graph), feeds)
        errors.append(relative_error(run(written, feeds)[0], run(graph, feeds)[0]))
        steps = [np.abs(feeds["x"]).max() / 127, np.sqrt(np.mean(np.square(stored(written, written.graph[-1], 1)[1])))]
        shares = [
            step / np.sqrt(12) / np.sqrt(np.mean(v**2)) for step, v in zip(steps, (feeds["x"], weight), strict=True)
        ]
        expected.append(np.hypot(*shares))
    assert np.mean(errors) == pytest.approx(np.mean(expected), rel=0.25)


BIASED = {
    "Conv": ("Conv(x, w, b)", (2, 4, 5, 5), (3, 4, 1, 1), (3,)),
    "ConvTranspose": ("ConvTranspose(x, w, b)", (2, 4, 5, 5), (4, 3, 1, 1), (3,)),
    "Gemm": ("Gemm(x, w, b)", (7, 4), (4, 3), (3,)),
    "Gemm, bias of a row": ("Gemm(x, w, b)", (7, 4), (4, 3), (1, 3)),
    "Gemm, one channel": ("Gemm(x, w, b)", (7, 4), (4, 1), (1,)),
}


@pytest.mark.parametrize("kind", BIASED)
def test_a_bias_is_rounded_to_the_product_of_both_scales(kind: str) -> None:
    node, data, shape, bias_shape = BIASED[kind]
    bias, feeds = 3 * normal(*bias_shape), {"x": normal(*data)}
    graph = one_layer(node, data, w=normal(*shape), b=bias)
    written = quantized(graph, layers_of(graph), feeds)
    layer = written.graph[-1]
    integers, scale, axis = stored(written, layer, 2)
    assert (integers.dtype, axis) == (np.int32, 0)
    activation = float(constant(layer.inputs[0].producer().inputs[1]))
    np.testing.assert_allclose(scale, stored(written, layer, 1)[1] * activation, rtol=1e-6)
    assert (np.abs(integers * scale.astype(np.float64) - bias.reshape(-1)) <= 0.5001 * scale).all()
    assert relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.03


@pytest.mark.parametrize("shape", [(4, 1), (4, 4), ()], ids=["one for each row", "one for each place", "one for all"])
def test_a_bias_of_another_shape_stays_float(shape: tuple[int, ...]) -> None:
    """With as many rows as channels, a column would pass for a row."""
    bias, feeds = 10 * normal(*shape) if shape else np.array(10, np.float32), {"x": normal(4, 5)}
    graph = layer_graph("(float[4,5] x) => (float[4,4] y) { y = Gemm(x, w, b) }", w=normal(5, 4), b=bias)
    written = quantized(graph, layers_of(graph), feeds)
    np.testing.assert_array_equal(constant(the(written, "Gemm").inputs[2]), bias)
    assert relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.02


def test_a_grouped_transposed_convolution_keeps_its_bias_in_float() -> None:
    graph = layer_graph(
        "(float[2,4,5,5] x) => (float[2,6,6,6] y) { y = ConvTranspose<group=2>(x, w, b) }",
        w=normal(4, 3, 2, 2), b=normal(6),
    )  # fmt: skip
    feeds = {"x": normal(2, 4, 5, 5)}
    written = quantized(graph, layers_of(graph), feeds)
    assert made_by(written, the(written, "ConvTranspose"), 2) is None
    assert relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.03


@pytest.mark.parametrize("huge", [1e7, -1e7, 1e20])
def test_a_huge_bias_widens_the_step_of_its_own_channel(huge: float) -> None:
    weight, bias = normal(3, 2, 1, 1), np.array([0.5, huge, -0.5], np.float32)
    weight[1] = 1e-4
    graph = layer_graph("(float[1,2,4,4] x) => (float[1,3,4,4] y) { y = Conv(x, w, b) }", w=weight, b=bias)
    feeds = {"x": normal(1, 2, 4, 4)}
    written = quantized(graph, layers_of(graph), feeds)
    integers, _, _ = stored(written, the(written, "Conv"), 2)
    assert abs(int(integers[1])) <= BIAS_LIMIT
    got, expected = run(written, feeds)[0], run(graph, feeds)[0]
    for channel in range(3):
        assert relative_error(got[:, channel], expected[:, channel]) < 0.03


def test_channels_and_tensors_that_are_zero_throughout_stay_zero() -> None:
    weight = normal(3, 2, 1, 1)
    weight[1] = 0
    text = "(float[1,2,4,4] x) => (float[1,3,4,4] y) { y = Conv(x, w, b) }"
    for bias in ([0, 0, 0], [0.5, 0, 3], [0, -7, 0]):
        for data in (normal(1, 2, 4, 4), np.zeros((1, 2, 4, 4), np.float32)):
            graph, feeds = layer_graph(text, w=weight, b=np.array(bias, np.float32)), {"x": data}
            got, expected = (run(each, feeds)[0] for each in (quantized(graph, layers_of(graph), feeds), graph))
            np.testing.assert_allclose(got, expected, rtol=0, atol=0.03 * max(float(np.abs(expected).max()), 1e-30))
            np.testing.assert_allclose(got[:, 1], bias[1], rtol=1e-6)


@pytest.mark.parametrize(("data", "weights"), [(1e30, 1.0), (1.0, 1e30), (1e-12, 1.0), (1.0, 1e-12), (1e-9, 1e-9)])
def test_magnitudes_do_not_matter(data: float, weights: float) -> None:
    """The bias is of the outputs' magnitude."""
    product = np.float32(data * weights)
    graph = layer_graph(
        "(float[1,2,4,4] x) => (float[1,3,4,4] y) { y = Conv(x, w, b) }",
        w=normal(3, 2, 1, 1) * np.float32(weights), b=normal(3) * product,
    )  # fmt: skip
    feeds = {"x": normal(1, 2, 4, 4) * np.float32(data)}
    written = quantized(graph, layers_of(graph), feeds)
    assert 0 < relative_error(run(written, feeds)[0] / product, run(graph, feeds)[0] / product) < 0.03


def test_layers_that_share_a_weight_go_on_sharing_it() -> None:
    graph = layer_graph(
        "(float[2,4] x) => (float[2,4] y) { a = MatMul(x, w)  b = Tanh(a)  c = MatMul(b, w)  y = Tanh(c) }",
        w=normal(4, 4),
    )
    feeds = {"x": normal(2, 4)}
    written = quantized(graph, layers_of(graph), feeds)
    weights = [value for value in written.graph.initializers.values() if constant(value).size == 16]
    assert [value.dtype for value in weights] == [ir.DataType.INT8]
    assert 0 < relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.05


def test_layers_that_read_a_weight_along_other_axes_have_one_each() -> None:
    weight = normal(4, 4) * np.array([1, 10, 100, 1000], np.float32)
    graph = layer_graph(
        "(float[2,4] x) => (float[2,4] y, float[2,4] z) { y = MatMul(x, w)  z = Gemm<transB=1>(x, w) }", w=weight
    )
    feeds = {"x": normal(2, 4)}
    written = quantized(graph, layers_of(graph), feeds)
    assert stored(written, the(written, "MatMul"), 1)[2] == 1
    assert stored(written, the(written, "Gemm"), 1)[2] == 0
    for got, expected in zip(run(written, feeds), run(graph, feeds), strict=True):
        assert relative_error(got, expected) < 0.03


def test_a_weight_that_is_used_elsewhere_stays_float_there() -> None:
    graph = layer_graph(
        "(int64[3] ids) => (float[3,5] y) { rows = Gather(w, ids)  h = Tanh(rows)  y = MatMul(h, v) }",
        w=normal(6, 4), v=normal(4, 5),
    )  # fmt: skip
    tied = layer_graph(
        "(int64[3] ids) => (float[3,6] y, float[3,4] rows) { rows = Gather(w, ids)  y = Gemm<transB=1>(rows, w) }",
        w=normal(6, 4),
    )
    feeds = {"ids": np.array([0, 5, 2])}
    for each in (graph, tied):
        written = quantized(each, layers_of(each), feeds)
        gather, before = the(written, "Gather"), the(each, "Gather")
        np.testing.assert_array_equal(constant(gather.inputs[0]), constant(before.inputs[0]))
        assert relative_error(run(written, feeds)[0], run(each, feeds)[0]) < 0.03


def test_the_same_graph_is_written_each_time() -> None:
    graph = layer_graph("(float[2,4] x) => (float[2,4] y) { h = MatMul(x, w)  y = MatMul(h, w) }", w=normal(4, 4))
    ranges = seen(graph, {"x": normal(2, 4)})
    written = [write_qdq(graph, layers_of(graph), ranges=ranges) for _ in range(2)]
    one, other = (ir.to_proto(each).SerializeToString(deterministic=True) for each in written)
    assert one == other
