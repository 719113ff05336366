"""QDQ dialects: what a written graph looks like, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from qdq_graphs import METHODS, Quantized, array, graph_of, nodes, quantized_conv, run, serialized

from edgekit.errors import BackendError
from edgekit.transforms.quantize.dialects import DIALECTS, check_dialect, to_dialect


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    return quantized_conv(tmp_path_factory.mktemp("conv"))


@pytest.mark.parametrize("method", METHODS)
def test_written_graph_is_valid_and_keeps_its_inputs_and_outputs(quantized: Quantized, method: str) -> None:
    general = quantized(method)
    untouched = serialized(general)
    before, after = ir.to_proto(general).graph, ir.to_proto(to_dialect(general, "tensorrt"))
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.input) == list(before.input)
    assert list(after.graph.output) == list(before.output)
    assert serialized(general) == untouched


@pytest.mark.parametrize("method", METHODS)
def test_writing_twice_is_writing_once(quantized: Quantized, method: str) -> None:
    written = to_dialect(quantized(method), "tensorrt")
    assert serialized(to_dialect(written, "tensorrt")) == serialized(written)


@pytest.mark.parametrize("method", METHODS)
def test_written_graph_has_signed_pairs_for_one_edge_each_and_float_biases(quantized: Quantized, method: str) -> None:
    written = to_dialect(quantized(method), "tensorrt")
    assert nodes(written, "QuantizeLinear")
    for node in nodes(written, "QuantizeLinear"):
        assert [user.op_type for user, _ in node.outputs[0].uses()] == ["DequantizeLinear"]
        assert array(node.inputs[2]).dtype == np.int8
    for node in nodes(written, "DequantizeLinear"):
        assert len(node.outputs[0].uses()) + node.outputs[0].is_graph_output() == 1
        assert not array(node.inputs[2]).any()
    for layer in (*nodes(written, "Conv"), *nodes(written, "Gemm")):
        assert array(layer.inputs[2]).dtype == np.float32
    assert all(value.uses() for value in written.graph.initializers.values())


def test_float_weight_with_both_nodes_of_a_pair_is_stored_as_integers() -> None:
    general = graph_of("""(float[N, 2] x) => (float[N, 3] y)
    <float[2, 3] w = {0.1, -0.26, 0.31, 0.4, -0.5, 0.64}, float[3] s = {0.01, 0.02, 0.1}, int8[3] z = {0, 0, 0}> {
        q = QuantizeLinear<axis = 1>(w, s, z)
        d = DequantizeLinear<axis = 1>(q, s, z)
        y = MatMul(x, d)
    }""")
    written = to_dialect(general, "tensorrt")
    x = np.eye(2, dtype=np.float32)
    np.testing.assert_array_equal(run(written, x=x), run(general, x=x))
    assert [node.op_type for node in written.graph] == ["DequantizeLinear", "MatMul"]
    assert {value.dtype.name for value in written.graph.initializers.values()} == {"INT8", "FLOAT"}


@pytest.mark.parametrize(
    ("before", "relus"),
    [("Relu(x)", 1), ("MaxPool<kernel_shape = [2]>(r)", 1), ("Clip(x, least, most)", 0), ("Tanh(x)", 1)],
)
def test_relu_is_added_only_where_values_may_be_negative(before: str, relus: int) -> None:
    general = graph_of(f"""(float[1, 3, 4] x) => (float[1, 3, M] y)
    <float s = {{0.1}}, uint8 z = {{0}}, float least = {{0}}, float most = {{6}}> {{
        r = Relu(x)
        v = {before}
        q = QuantizeLinear(v, s, z)
        y = DequantizeLinear(q, s, z)
    }}""")
    assert len(nodes(to_dialect(general, "tensorrt"), "Relu")) == relus


def test_scale_and_zero_point_may_come_from_constant_nodes() -> None:
    general = graph_of("""(float[2, 4] x) => (float[2, 4] y) {
        s = Constant<value = float {0.1}>()
        z = Constant<value = uint8 {128}>()
        q = QuantizeLinear(x, s, z)
        y = DequantizeLinear(q, s, z)
    }""")
    written = to_dialect(general, "tensorrt")
    assert [node.op_type for node in written.graph] == ["QuantizeLinear", "DequantizeLinear"]
    assert array(written.graph[0].inputs[1]) == np.float32(0.1)


def test_output_of_the_graph_that_also_feeds_a_node_gets_a_pair_beside_it() -> None:
    general = graph_of("""(float[2, 4] x) => (float[2, 4] y, float[2, 4] z) <float s = {0.1}, int8 zero = {0}> {
        q = QuantizeLinear(x, s, zero)
        y = DequantizeLinear(q, s, zero)
        z = Add(y, y)
    }""")
    written = to_dialect(general, "tensorrt")
    assert [value.name for value in written.graph.outputs] == ["y", "z"]
    assert len(nodes(written, "QuantizeLinear")) == len(nodes(written, "DequantizeLinear")) == 3


def test_weights_of_four_bits_in_blocks_stay() -> None:
    four_bits = np.arange(-8, 8).reshape(16, 1).repeat(2, axis=1)
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.INT4, (16, 2), four_bits.reshape(-1))
    scale = onnx.numpy_helper.from_array(np.array([[0.1, 0.2]], np.float32), "s")
    made = [
        onnx.helper.make_node("DequantizeLinear", ["w", "s"], ["d"], axis=0, block_size=16),
        onnx.helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, 1, [1, size]) for name, size in (("x", 16), ("y", 2))]
    graph = onnx.helper.make_graph(made, "blocks", ends[:1], ends[1:], [tensor, scale])
    general = ir.from_proto(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)]))
    assert serialized(to_dialect(general, "tensorrt")) == serialized(general)


def test_general_dialect_is_the_model_itself(quantized: Quantized) -> None:
    model = quantized("ort-minmax")
    assert to_dialect(model, "general") is model
    assert check_dialect(model, "general") == ()


REFUSED = {
    "'y' is in uint16; expected int8": """(float[2, 4] x) => (float[2, 4] y) <float s = {0.1}, uint16 z = {0}> {
        q = QuantizeLinear(x, s, z)
        y = DequantizeLinear(q, s, z)
    }""",
    "'q' feeds Transpose; expected DequantizeLinear": """(float[2, 4] x) => (float[4, 2] y)
    <float s = {0.1}, uint8 z = {0}> {
        q = QuantizeLinear(x, s, z)
        t = Transpose(q)
        y = DequantizeLinear(t, s, z)
    }""",
    "'q' feeds an output of the graph; expected DequantizeLinear": """(float[2, 4] x) => (int8[2, 4] q)
    <float s = {0.1}, int8 z = {0}> {
        q = QuantizeLinear(x, s, z)
    }""",
    "'q' gets its scale or zero point .* quantize statically": """(float[2, 4] x, float s) => (float[2, 4] y)
    <int8 z = {0}> {
        q = QuantizeLinear(x, s, z)
        y = DequantizeLinear(q, s, z)
    }""",
    "'d' takes what Transpose gives; expected QuantizeLinear or a constant": """(float[2, 4] x) => (float[2, 2] y)
    <int8[2, 4] w = {1, 2, 3, 4, 5, 6, 7, 8}, float s = {0.1}> {
        t = Transpose(w)
        d = DequantizeLinear(t, s)
        y = MatMul(x, d)
    }""",
    "'y' is in uint8; expected int8": """(uint8[2, 4] x) => (float[2, 4] y) <float s = {0.1}, uint8 z = {3}> {
        y = DequantizeLinear(x, s, z)
    }""",
    "'d' has zero points other than 0": """(float[2, 4] x) => (float[2, 4] y)
    <int4[4, 4] w = {1, 2, 3, 4, 5, 6, 7, -8, 1, 2, 3, 4, 5, 6, 7, -8}, float s = {0.1}, int4 z = {3}> {
        d = DequantizeLinear(w, s, z)
        y = MatMul(x, d)
    }""",
    "'q' is inside control flow": """(float[2, 4] x, bool c) => (float[2, 4] y) <float s = {0.1}, int8 z = {0}> {
        y = If (c) <
            then_branch = then () => (float[2, 4] a) {
                q = QuantizeLinear(x, s, z)
                a = DequantizeLinear(q, s, z)
            },
            else_branch = else () => (float[2, 4] b) { b = Identity(x) }
        >
    }""",
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refusal_names_the_node_and_what_was_expected(reason: str) -> None:
    with pytest.raises(BackendError, match=f"has no tensorrt form: .*{reason}"):
        to_dialect(graph_of(REFUSED[reason]), "tensorrt")


def test_check_names_every_node_that_breaks_a_rule(quantized: Quantized) -> None:
    general = quantized("ort-minmax")
    violations = check_dialect(general, "tensorrt")
    for node in nodes(general, "QuantizeLinear"):
        assert any(str(node.name) in violation and "uint8" in violation for violation in violations)
    assert sum("int32" in violation for violation in violations) == 4  # one bias for each layer
    assert check_dialect(to_dialect(general, "tensorrt"), "tensorrt") == ()


def test_unknown_dialect_is_refused_with_the_nearest_name(quantized: Quantized) -> None:
    with pytest.raises(BackendError, match="unknown QDQ dialect 'tensort'; did you mean 'tensorrt'"):
        to_dialect(quantized("ort-minmax"), "tensort")
    assert set(DIALECTS) == {"general", "tensorrt"}
