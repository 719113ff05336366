"""The writer of pairs: what is named is quantized, what is left out stays as it was to the bit."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from layer_graphs import constant, layer_graph, made_by, quantized, relative_error, run, seen, the
from torch import nn

from edgekit.errors import BackendError
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.quantize.layers import MOVERS, float_tensors, joins_of, layers_of
from edgekit.transforms.quantize.qdq import Grid, grid_of, write_qdq
from edgekit.transforms.quantize.ranges import Range

RNG = np.random.default_rng(11)
Ranges = dict[str, Range]


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


IMAGES = [normal(2, 4, 12, 12) for _ in range(4)]


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
def ranges(model: ir.Model) -> Ranges:
    return seen(model, *({"x": image} for image in IMAGES))


def scores(model: ir.Model, image: Array = IMAGES[0]) -> Array:
    return run(model, {"x": image})[0]


def everything(model: ir.Model) -> tuple[str, ...]:
    return (*layers_of(model), *joins_of(model))


def pairs(model: ir.Model) -> list[tuple[str | None, float]]:
    """The tensor and the scale of each pair."""
    nodes = [node for node in model.graph if node.op_type == "QuantizeLinear"]
    return [(node.inputs[0].name, float(constant(node.inputs[1]))) for node in nodes]


def test_layers_and_joins_are_found(model: ir.Model) -> None:
    ops = {node.name: node.op_type for node in model.graph}
    assert [ops[name] for name in layers_of(model)] == ["Conv", "Conv", "ConvTranspose", "Gemm"]
    assert [ops[name] for name in joins_of(model)] == ["Add"]


def test_nothing_named_changes_nothing(model: ir.Model, ranges: Ranges) -> None:
    np.testing.assert_array_equal(scores(write_qdq(model, (), ranges=ranges)), scores(model))


def test_all_layers_quantized_stay_close_to_float(model: ir.Model, ranges: Ranges) -> None:
    written = write_qdq(model, everything(model), ranges=ranges)
    for node in written.graph:
        if node.name in everything(model):
            assert {made_by(written, node, 0), made_by(written, node, 1)} == {"DequantizeLinear"}
    assert 0 < relative_error(scores(written), scores(model)) < 0.03


def test_every_batch_works(model: ir.Model, ranges: Ranges) -> None:
    written = write_qdq(model, everything(model), ranges=ranges)
    whole = scores(written, np.concatenate(IMAGES[:2]))
    np.testing.assert_allclose(whole, np.concatenate([scores(written, image) for image in IMAGES[:2]]), atol=1e-6)


@pytest.mark.parametrize("position", range(4))
def test_a_layer_alone_is_quantized_and_no_other(model: ir.Model, ranges: Ranges, position: int) -> None:
    layers = layers_of(model)
    written = write_qdq(model, layers[position : position + 1], ranges=ranges)
    weights = [made_by(written, node, 1) for node in written.graph if node.name in layers]
    assert weights == ["DequantizeLinear" if index == position else None for index in range(4)]
    assert 0 < relative_error(scores(written), scores(model)) < 0.02


@pytest.mark.parametrize("position", range(4))
def test_what_a_quantized_layer_does_not_feed_stays_as_it_was_to_the_bit(
    model: ir.Model, ranges: Ranges, position: int
) -> None:
    layer = next(node for node in model.graph if node.name == layers_of(model)[position])
    written = write_qdq(model, [str(layer.name)], ranges=ranges)
    names = [name for name in float_tensors(model) if name not in ("x", "y")]
    before = run(model, {"x": IMAGES[0]}, names)[1:]
    after = run(written, {"x": IMAGES[0]}, names)[1:]
    changed = {name for name, one, other in zip(names, before, after, strict=True) if not np.array_equal(one, other)}
    downstream = {name for name in names if name in fed_by(layer)}
    assert downstream <= changed
    makers = {value.name: node.op_type for node in model.graph for value in node.outputs}
    assert {makers[name] for name in changed - downstream} <= set(MOVERS)  # they feed it alone


def fed_by(node: ir.Node) -> set[str | None]:
    """Names of all values that are computed from those of `node`, its own among them."""
    values = {value.name for value in node.outputs}
    return values.union(*(fed_by(use.node) for value in node.outputs for use in value.uses()))


def test_weights_and_biases_of_layers_left_out_stay_as_they_were(model: ir.Model, ranges: Ranges) -> None:
    written = write_qdq(model, layers_of(model)[1:], ranges=ranges)
    before, after = (next(n for n in each.graph if n.name == layers_of(model)[0]) for each in (model, written))
    for place in (1, 2):
        np.testing.assert_array_equal(constant(after.inputs[place]), constant(before.inputs[place]))


def test_the_float_graph_is_not_touched(model: ir.Model, ranges: Ranges) -> None:
    before = ir.to_proto(model).SerializeToString()
    write_qdq(model, layers_of(model), ranges=ranges)
    assert ir.to_proto(model).SerializeToString() == before


def test_inputs_and_outputs_stay_as_they_were(model: ir.Model, ranges: Ranges) -> None:
    before, after = (ir.to_proto(each).graph for each in (model, write_qdq(model, everything(model), ranges=ranges)))
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)


def test_float_weights_of_quantized_layers_are_gone(model: ir.Model, ranges: Ranges) -> None:
    """What is left in float are scales, one for each of 14 channels at most."""
    written = write_qdq(model, layers_of(model), ranges=ranges)
    floats = [value for value in written.graph.initializers.values() if value.dtype == ir.DataType.FLOAT]
    assert [value.name for value in floats if constant(value).size > 14] == []


def test_one_tensor_has_one_pair_a_grid(model: ir.Model, ranges: Ranges) -> None:
    found = pairs(write_qdq(model, everything(model), ranges=ranges))
    assert len(found) == len(set(found))


def test_a_name_that_no_node_bears_is_refused(model: ir.Model, ranges: Ranges) -> None:
    with pytest.raises(BackendError, match="the graph has no node 'stem'"):
        write_qdq(model, ("stem",), ranges=ranges)


@pytest.mark.parametrize("image", range(4))
def test_signed_grids_are_within_one_percent_in_both_dialects(model: ir.Model, ranges: Ranges, image: int) -> None:
    """The same calibration, for the CPU and as TensorRT takes it: s8 throughout makes them one and the same."""
    from edgekit.transforms.quantize.dialects import to_dialect

    general = write_qdq(model, everything(model), ranges=ranges, signed=True)
    tensorrt = to_dialect(ir.from_proto(ir.to_proto(general)), "tensorrt")
    assert relative_error(scores(tensorrt, IMAGES[image]), scores(general, IMAGES[image])) < 0.01


def test_a_grid_is_signed_where_the_range_has_both_signs() -> None:
    assert grid_of((-1.27, 0.5)) == Grid(float(np.float32(0.01)), signed=True)
    assert grid_of((-1.27, 0.0)) == Grid(float(np.float32(0.01)), signed=True)
    assert grid_of((0.0, 2.55)) == Grid(float(np.float32(0.01)), signed=False)
    assert grid_of((0.0, 1.27), signed=True) == Grid(float(np.float32(0.01)), signed=True)
    assert grid_of((0.0, 0.0)).scale > 0


def test_the_zero_point_says_which_bytes_are_stored(model: ir.Model, ranges: Ranges) -> None:
    written = write_qdq(model, everything(model), ranges=ranges)
    stored = {n.inputs[0].name: constant(n.inputs[2]).dtype for n in written.graph if n.op_type == "QuantizeLinear"}
    assert stored["x"] == np.int8
    assert {dtype for name, dtype in stored.items() if str(name).startswith("relu")} == {np.dtype(np.uint8)}


# Movers


def test_a_mover_computes_in_the_grid_of_what_it_feeds(model: ir.Model, ranges: Ranges) -> None:
    """The first MaxPool feeds a layer alone; the second one's input is joined from two."""
    written = write_qdq(model, layers_of(model), ranges=ranges)
    pools = [node for node in written.graph if node.op_type == "MaxPool"]
    assert len(pools) == 2
    for pool in pools:
        assert made_by(written, pool, 0) == "DequantizeLinear"
        scale = constant(pool.inputs[0].producer().inputs[1])
        after = [use.node for use in pool.outputs[0].uses()]
        while after[0].op_type != "QuantizeLinear":
            after = [use.node for use in after[0].outputs[0].uses()]
        assert constant(after[0].inputs[1]) == scale


MOVED = {
    "MaxPool": "MaxPool<kernel_shape=[2,2],strides=[2,2]>(r)",
    "Pad": "Pad(r, pads, value)",
    "Reshape": "Reshape(r, shape)",
    "Transpose": "Transpose<perm=[0,1,3,2]>(r)",
    "Slice": "Slice(r, starts, ends)",
    "Gather": "Gather<axis=2>(r, starts)",
}
SHAPES = {
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "value": np.array(-7.5, np.float32),
    "shape": np.array([0, 0, 2, 8]),
    "starts": np.array([0, 0, 1, 1]),
    "ends": np.array([1, 2, 4, 4]),
}


@pytest.mark.parametrize("kind", MOVED)
def test_moving_in_eight_bits_changes_nothing_but_the_rounding_that_follows_anyway(kind: str) -> None:
    """Rounding first and moving then gives the very bytes that moving first and rounding then gives."""
    text = f"(float[1,2,4,4] x) => (float[1,3,n,m] y) {{ r = Tanh(x)  p = {MOVED[kind]}  y = Conv(p, w) }}"
    used = {name: array for name, array in SHAPES.items() if name in MOVED[kind]}
    graph, feeds = layer_graph(text, w=normal(3, 2, 1, 1), **used), {"x": normal(1, 2, 4, 4)}
    written = quantized(graph, layers_of(graph), feeds)
    mover = the(written, kind)
    assert made_by(written, mover, 0) == "DequantizeLinear"
    plain = ir.from_proto(ir.to_proto(written))
    pair = the(plain, kind).inputs[0].producer()
    the(plain, kind).replace_input_with(0, pair.inputs[0].producer().inputs[0])
    np.testing.assert_array_equal(run(written, feeds)[0], run(plain, feeds)[0])


def test_movers_in_a_row_share_a_grid() -> None:
    graph = layer_graph(
        """(float[1,2,4,4] x) => (float[1,3,4,4] y) {
            r = Relu(x)  a = Transpose<perm=[0,1,3,2]>(r)  b = Reshape(a, shape)  y = Conv(b, w)
        }""",
        w=normal(3, 2, 1, 1), shape=np.array([0, 0, 4, 4]),
    )  # fmt: skip
    found = pairs(quantized(graph, layers_of(graph), {"x": normal(1, 2, 4, 4)}))
    assert [name for name, _ in found] == ["r", "a", "b"]
    assert len({scale for _, scale in found}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "(float[2,4] x) => (float[2,3] y, float[2,4] m) { r = Tanh(x)  m = Reshape(r, shape)  y = MatMul(m, w) }",
        "(float[2,4] x) => (float[2,3] y, float[2,4] z) { r = Tanh(x)  m = Reshape(r, shape)  y = MatMul(m, w)"
        " z = Neg(m) }",
        "(float[2,4] x) => (float[2,4] y) { r = Tanh(x)  m = Reshape(r, shape)  n = Neg(m)  y = Reshape(n, shape) }",
    ],
    ids=["is an output", "feeds float too", "feeds float alone"],
)
def test_a_mover_whose_result_is_needed_in_float_stays_float(text: str) -> None:
    graph, feeds = layer_graph(text, w=normal(4, 3), shape=np.array([2, 4])), {"x": normal(2, 4)}
    written = quantized(graph, layers_of(graph), feeds)
    assert "r" not in [name for name, _ in pairs(written)]
    if len(graph.graph.outputs) == 2:
        np.testing.assert_array_equal(run(written, feeds)[1], run(graph, feeds)[1])


def test_a_mover_between_grids_stays_float() -> None:
    """The parts of a Split have a range each, which the whole could not be held in."""
    graph = layer_graph(
        """(float[2,4] x) => (float[2,3] y, float[2,3] z) {
            s = Mul(x, k)  a, b = Split<axis=1, num_outputs=2>(s)  y = MatMul(a, w)  z = MatMul(b, w)
        }""",
        w=normal(2, 3), k=np.array([1, 1, 1000, 1000], np.float32),
    )  # fmt: skip
    feeds = {"x": normal(2, 4)}
    written = quantized(graph, layers_of(graph), feeds)
    assert {name for name, _ in pairs(written)} == {"a", "b"}
    for got, expected in zip(run(written, feeds), run(graph, feeds), strict=True):
        assert relative_error(got, expected) < 0.03


def test_what_is_concatenated_goes_into_one_grid() -> None:
    graph = layer_graph(
        """(float[2,2] x, float[2,3] z) => (float[2,3] y) {
            r = Relu(x)  both = Concat<axis=1>(r, z, c)  y = MatMul(both, w)
        }""",
        w=normal(9, 3), c=normal(2, 4),
    )  # fmt: skip
    feeds = {"x": normal(2, 2), "z": 5 * normal(2, 3)}
    written = quantized(graph, layers_of(graph), feeds)
    found = pairs(written)
    assert sorted(str(name) for name, _ in found) == ["both", "r", "z"]
    assert len({scale for _, scale in found}) == 1
    assert made_by(written, the(written, "Concat"), 2) is None
    assert relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.03


def test_a_branch_reads_the_float_tensor() -> None:
    graph = layer_graph(
        """(float[3,3] x, bool c) => (float[3,3] y, float[3,3] z) {
            h = Transpose(x)
            y = MatMul(h, w)
            z = If(c) <then_branch = yes () => (float[3,3] a) { a = Neg(h) },
                       else_branch = no () => (float[3,3] b) { b = Abs(h) }>
        }""",
        w=normal(3, 3),
    )
    feeds = {"x": normal(3, 3), "c": np.array(True)}
    written = quantized(graph, layers_of(graph), feeds)
    assert pairs(written)[0][0] == "h"
    np.testing.assert_array_equal(run(written, feeds)[1], run(graph, feeds)[1])


# Pairs


def test_an_input_of_the_graph_has_its_pair_and_stays_float_elsewhere() -> None:
    graph = layer_graph(
        "(float[2,4] x) => (float[2,3] y, float[2,4] z) { y = MatMul(x, w)  z = Neg(x) }", w=normal(4, 3)
    )
    feeds = {"x": normal(2, 4)}
    written = quantized(graph, layers_of(graph), feeds)
    assert [name for name, _ in pairs(written)] == ["x"]
    np.testing.assert_array_equal(run(written, feeds)[1], -feeds["x"])


def test_a_tensor_that_a_layer_takes_twice_has_one_pair() -> None:
    graph, feeds = layer_graph("(float[3,3] x) => (float[3,3] y) { y = MatMul(x, x) }"), {"x": normal(3, 3)}
    written = quantized(graph, layers_of(graph), feeds)
    assert [name for name, _ in pairs(written)] == ["x"]
    assert the(written, "MatMul").inputs[0] is the(written, "MatMul").inputs[1]
    assert 0 < relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.03


def test_a_product_of_activations_has_a_pair_for_each() -> None:
    graph = layer_graph("(float[2,3,4] a, float[2,4,5] b) => (float[2,3,5] y) { y = MatMul(a, b) }")
    feeds = {"a": normal(2, 3, 4), "b": 100 * normal(2, 4, 5)}
    written = quantized(graph, layers_of(graph), feeds)
    assert {name for name, _ in pairs(written)} == {"a", "b"}
    assert 0 < relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.03


def test_a_convolution_by_an_activation_has_a_pair_for_it_and_a_float_bias() -> None:
    graph = layer_graph("(float[1,2,4,4] x, float[3,2,1,1] k, float[3] b) => (float[1,3,4,4] y) { y = Conv(x, k, b) }")
    feeds = {"x": normal(1, 2, 4, 4), "k": normal(3, 2, 1, 1), "b": normal(3)}
    written = quantized(graph, layers_of(graph), feeds)
    assert {name for name, _ in pairs(written)} == {"x", "k"}
    assert the(written, "Conv").inputs[2].name == "b"
    assert 0 < relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.03


@pytest.mark.parametrize(
    "text",
    [
        "(float[2,3,4,4] x) => (float[2,3,1,1] y) { y = GlobalAveragePool(x) }",
        "(float[2,3,4,4] x) => (float[2,3,3,3] y) { y = AveragePool<kernel_shape=[2,2]>(x) }",
        "(float[2,3,4,4] x) => (float[2,3,4,4] y) { t = Neg(x)  r = Relu(t)  y = Add(x, r) }",
    ],
)
def test_joins_take_pairs_like_layers(text: str) -> None:
    graph, feeds = layer_graph(text), {"x": normal(2, 3, 4, 4)}
    written = quantized(graph, joins_of(graph), feeds)
    join = next(node for node in written.graph if node.name in joins_of(graph))
    assert {made_by(written, join, place) for place in range(len(join.inputs))} == {"DequantizeLinear"}
    assert 0 < relative_error(run(written, feeds)[0], run(graph, feeds)[0]) < 0.03
