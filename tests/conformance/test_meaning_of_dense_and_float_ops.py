"""References of dense, float and quantize ops beside the ONNX nodes that they stand for, run by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.backends.native.packing import fold_bias
from edgekit.ops import (
    activation_f32,
    binary_f32,
    dense_f32,
    dense_u8,
    dequantize_u8,
    layernorm_f32,
    quantize_u8,
    softmax_f32,
)
from edgekit.ops.activation_f32 import Activation
from edgekit.ops.rounding import requantize

parser = pytest.importorskip("onnx.parser")
ort = pytest.importorskip("onnxruntime")

ACTIVATIONS = {
    Activation.NONE: "y = Identity (x)",
    Activation.RELU: "y = Relu (x)",
    Activation.RELU6: "lo = Constant <value_float = 0.0> () hi = Constant <value_float = 6.0> () y = Clip (x, lo, hi)",
    Activation.HARD_SWISH: "y = HardSwish (x)",
    Activation.SIGMOID: "y = Sigmoid (x)",
    Activation.TANH: "y = Tanh (x)",
    Activation.GELU_ERF: "y = Gelu (x)",
    Activation.GELU_TANH: 'y = Gelu <approximate = "tanh"> (x)',
    Activation.SILU: "gate = Sigmoid (x) y = Mul (x, gate)",
}
BINARY = {binary_f32.Kind.ADD: "Add", binary_f32.Kind.MULTIPLY: "Mul", binary_f32.Kind.SUBTRACT: "Sub"}
RNG = np.random.default_rng(0)


def run(nodes: str, result: str, **inputs):
    """What ONNX Runtime gives for `nodes`, whose output is y, of type `result`."""
    types = {"float32": "float", "uint8": "uint8", "int8": "int8", "int32": "int32"}
    given = ", ".join(f"{types[x.dtype.name]}[{','.join(map(str, x.shape))}] {name}" for name, x in inputs.items())
    text = f'<ir_version: 9, opset_import: ["": 20]> g ({given}) => ({result} y) {{ {nodes} }}'
    model = parser.parse_model(text)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(x) for name, x in inputs.items()})[0]


def floats(*shape: int):
    return RNG.normal(0, 2, shape).astype(np.float32)


@pytest.mark.parametrize("activation", list(Activation), ids=lambda activation: activation.name)
def test_activation_is_the_onnx_function(activation: Activation):
    x = np.concatenate([floats(500), np.float32([0, 3, -3, 6, 20, -20])])
    wanted = activation_f32.reference(x, activation=activation)
    np.testing.assert_allclose(run(ACTIVATIONS[activation], "float[506]", x=x), wanted, rtol=2e-6, atol=2e-6)


def test_softmax_is_softmax_of_the_last_dimension():
    x = floats(3, 11)
    np.testing.assert_allclose(
        run("y = Softmax <axis = -1> (x)", "float[3,11]", x=x), softmax_f32.reference(x), rtol=2e-6
    )


def test_layernorm_is_layer_normalization():
    x, scale, bias = floats(3, 40), floats(40), floats(40)
    got = run("y = LayerNormalization <axis = -1, epsilon = 0.001> (x, scale, bias)", "float[3,40]", **locals())
    np.testing.assert_allclose(got, layernorm_f32.reference(x, scale=scale, bias=bias, epsilon=1e-3), atol=5e-6)


@pytest.mark.parametrize("kind", list(BINARY), ids=lambda kind: kind.name)
def test_binary_repeats_its_second_operand_as_broadcasting_does(kind: binary_f32.Kind):
    a, b = floats(6, 5), floats(5)
    got = run(f"y = {BINARY[kind]} (a, b)", "float[6,5]", a=a, b=b)
    np.testing.assert_array_equal(got.ravel(), binary_f32.reference(a.ravel(), b, kind=kind))


def test_dense_f32_is_gemm_with_transposed_weights_and_an_activation():
    x, w, b = floats(3, 20), floats(7, 20), floats(7)
    got = run("z = Gemm <transB = 1> (x, w, b) y = Relu (z)", "float[3,7]", x=x, w=w, b=b)
    np.testing.assert_allclose(got, dense_f32.reference(x, w, bias=b, activation=Activation.RELU), atol=2e-5)


def test_dense_u8_is_gemm_between_dequantize_and_quantize():
    x = RNG.integers(0, 256, (3, 50)).astype(np.uint8)
    w = RNG.integers(-127, 128, (9, 50)).astype(np.int8)
    b = RNG.integers(-3000, 3000, 9).astype(np.int32)
    x_scale, x_zero, y_scale, y_zero = np.float32(0.02), np.uint8(77), np.float32(0.5), np.uint8(130)
    w_scale = RNG.uniform(0.001, 0.01, 9).astype(np.float32)
    got = run(
        "fx = DequantizeLinear (x, xs, xz) fw = DequantizeLinear <axis = 0> (w, ws, wz)"
        "fb = DequantizeLinear <axis = 0> (b, bs, bz)"
        "z = Gemm <transB = 1> (fx, fw, fb) y = QuantizeLinear (z, ys, yz)",
        "uint8[3,9]",
        x=x, xs=x_scale, xz=x_zero, w=w, ws=w_scale, wz=np.zeros(9, np.int8),
        b=b, bs=x_scale * w_scale, bz=np.zeros(9, np.int32), ys=y_scale, yz=y_zero,
    )  # fmt: skip
    folded = fold_bias(b, w, zero_point=int(x_zero))
    values = dense_u8.reference(x, w, bias=folded, scale=x_scale * w_scale / y_scale)
    levels = requantize(values, zero_point=int(y_zero))
    assert np.abs(got.astype(int) - levels).max() <= 1  # ONNX Runtime rounds float sums, the op exact ones
    assert (got == levels).mean() > 0.9


def test_quantize_is_quantize_linear_where_its_scale_has_an_exact_inverse():
    x = np.concatenate([floats(400) * 40, np.float32([0.125, 0.375, -0.125, 1e9, -1e9, np.inf, -np.inf])])
    got = run("y = QuantizeLinear (x, s, z)", "uint8[407]", x=x, s=np.float32(0.25), z=np.uint8(99))
    np.testing.assert_array_equal(got, quantize_u8.reference(x, inverse_scale=4.0, zero_point=99))


def test_dequantize_is_dequantize_linear():
    x = np.arange(256, dtype=np.uint8)
    got = run("y = DequantizeLinear (x, s, z)", "float[256]", x=x, s=np.float32(0.037), z=np.uint8(99))
    np.testing.assert_array_equal(got, dequantize_u8.reference(x, scale=0.037, zero_point=99))
