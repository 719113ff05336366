"""Which nodes are layers and joins, and which tensors take a range."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from layer_graphs import layer_graph

from edgekit.errors import BackendError
from edgekit.tensors import Array
from edgekit.transforms.quantize.layers import check_names, float_tensors, joins_of, layers_of


def ones(*shape: int, dtype: str = "float32") -> Array:
    return np.ones(shape, dtype)


LAYERS = {
    "Conv": ("(float[1,2,5,5] x) => (float[1,3,4,4] y) { y = Conv(x, w) }", ones(3, 2, 2, 2)),
    "grouped Conv": ("(float[1,4,5,5] x) => (float[1,4,4,4] y) { y = Conv<group=4>(x, w) }", ones(4, 1, 2, 2)),
    "Conv in one dimension": ("(float[1,2,5] x) => (float[1,3,4] y) { y = Conv(x, w) }", ones(3, 2, 2)),
    "ConvTranspose": ("(float[1,2,5,5] x) => (float[1,3,6,6] y) { y = ConvTranspose(x, w) }", ones(2, 3, 2, 2)),
    "Gemm": ("(float[2,3] x) => (float[2,4] y) { y = Gemm(x, w) }", ones(3, 4)),
    "Gemm, transposed": ("(float[2,3] x) => (float[2,4] y) { y = Gemm<transB=1>(x, w) }", ones(4, 3)),
    "MatMul": ("(float[2,3] x) => (float[2,4] y) { y = MatMul(x, w) }", ones(3, 4)),
    "MatMul of stacks": ("(float[7,2,3] x) => (float[7,2,4] y) { y = MatMul(x, w) }", ones(7, 3, 4)),
    "MatMul by a vector": ("(float[2,3] x) => (float[2] y) { y = MatMul(x, w) }", ones(3)),
}
OTHERS = {
    "constant on the left": ("(float[3,4] x) => (float[2,4] y) { y = MatMul(w, x) }", ones(2, 3)),
    "scaled product": ("(float[2,3] x) => (float[2,4] y) { y = Gemm<alpha=0.5>(x, w) }", ones(3, 4)),
    "scaled bias": ("(float[2,3] x, float[4] b) => (float[2,4] y) { y = Gemm<beta=2.0>(x, w, b) }", ones(3, 4)),
    "transposed data": ("(float[3,2] x) => (float[2,4] y) { y = Gemm<transA=1>(x, w) }", ones(3, 4)),
    "half precision": ("(float16[2,3] x) => (float16[2,4] y) { y = MatMul(x, w) }", ones(3, 4, dtype="float16")),
    "double precision": ("(double[2,3] x) => (double[2,4] y) { y = MatMul(x, w) }", ones(3, 4, dtype="float64")),
    "integers": ("(int32[2,3] x) => (int32[2,4] y) { y = MatMul(x, w) }", ones(3, 4, dtype="int32")),
    "no arithmetic": ("(float[2,3] x) => (float[2,3] y) { y = Mul(x, w) }", ones(3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_found(name: str) -> None:
    text, weight = LAYERS[name]
    model = layer_graph(text, w=weight)
    assert layers_of(model) == (model.graph[0].name,)
    assert joins_of(model) == ()


@pytest.mark.parametrize("name", OTHERS)
def test_what_has_no_form_in_eight_bits_is_no_layer(name: str) -> None:
    text, weight = OTHERS[name]
    assert layers_of(layer_graph(text, w=weight)) == ()


def test_a_product_of_two_activations_is_a_layer() -> None:
    model = layer_graph("(float[2,3] x) => (float[2,2] y) { t = Transpose(x)  y = MatMul(x, t) }")
    assert layers_of(model) == (model.graph[1].name,)


def test_layers_come_in_the_order_of_the_graph() -> None:
    model = layer_graph(
        "(float[2,3] x) => (float[2,3] y) { [b] h = MatMul(x, w)  [c] r = Relu(h)  [a] y = MatMul(r, w) }", w=ones(3, 3)
    )
    assert layers_of(model) == ("b", "a")


def test_layers_inside_of_branches_are_left_alone() -> None:
    model = layer_graph(
        """(float[3,3] x, bool c) => (float[3,3] y) {
            y = If(c) <then_branch = yes () => (float[3,3] a) { a = MatMul(x, w) },
                       else_branch = no () => (float[3,3] b) { b = Neg(x) }>
        }""",
        w=ones(3, 3),
    )
    assert layers_of(model) == ()
    assert float_tensors(model) == ("x", "y")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(float[2,3] x, float[2,3] z) => (float[2,3] y) { y = Add(x, z) }", True),
        ("(float[2,3] x) => (float[2,3] y) { y = Add(x, x) }", True),
        ("(float[2,3] x, float[1,3] z) => (float[2,3] y) { y = Add(x, z) }", True),
        ("(float[2,3] x, float[3] z) => (float[2,3] y) { y = Add(x, z) }", False),  # OpenVINO fails on it
        ("(float[3] x) => (float[3] y) { y = Add(x, w) }", False),
        ("(int64[3] x, int64[3] z) => (int64[3] y) { y = Add(x, z) }", False),
        ("(float[1,2,4,4] x) => (float[1,2,1,1] y) { y = GlobalAveragePool(x) }", True),
        ("(float[1,2,4,4] x) => (float[1,2,3,3] y) { y = AveragePool<kernel_shape=[2,2]>(x) }", True),
        ("(float[2,3] x, int64[1] axes) => (float[2,1] y) { y = ReduceMean(x, axes) }", True),
        ("(float[1,2,4,4] x) => (float[1,2,3,3] y) { y = MaxPool<kernel_shape=[2,2]>(x) }", False),
    ],
)
def test_joins_take_activations_of_one_rank(text: str, found: bool) -> None:
    model = layer_graph(text, w=ones(3))
    assert joins_of(model) == ((model.graph[0].name,) if found else ())


@pytest.mark.parametrize("unknown", [(0,), (1,), (0, 1)])
def test_a_sum_whose_rank_is_unknown_is_no_join(unknown: tuple[int, ...]) -> None:
    model = layer_graph("(float[2,3] x, float[2,3] z) => (float[2,3] y) { y = Add(x, z) }")
    for place in unknown:
        model.graph.inputs[place].shape = None
    assert joins_of(model) == ()


def test_float_tensors_are_what_is_fed_or_computed_in_single_precision() -> None:
    model = layer_graph(
        """(float[2,3] x, int64[2] i, float16[3] h) => (float[2,4] y, int64[2] n) {
            p = MatMul(x, w)  y = Relu(p)  n = Neg(i)  d = Cast<to=11>(p)  g = Cast<to=1>(h)
        }""",
        w=ones(3, 4),
    )
    assert float_tensors(model) == ("x", "p", "y", "g")


def test_a_tensor_of_unknown_dtype_takes_no_range() -> None:
    model = layer_graph("(float[2,3] x) => (float[2,3] y) { p = Neg(x)  y = Neg(p) }")
    model.graph[0].outputs[0].type = None
    assert float_tensors(model) == ("x", "y")


def test_a_sequence_of_tensors_takes_no_range() -> None:
    model = layer_graph("(float[2,3] x) => (float[2,3] y) { s = Identity(x)  y = Identity(x) }")
    model.graph[0].outputs[0].type = ir.SequenceType(ir.TensorType(ir.DataType.FLOAT))
    assert float_tensors(model) == ("x", "y")


def test_a_name_that_no_node_bears_is_refused() -> None:
    model = layer_graph("(float[2,3] x) => (float[2,4] y) { [stem] y = MatMul(x, w) }", w=ones(3, 4))
    check_names(model, ["stem"])
    with pytest.raises(BackendError, match="the graph has no node 'stm'; did you mean 'stem'"):
        check_names(model, ["stem", "stm"])
