"""The shapes that each op is timed at, as small ONNX graphs that hold it: `SHAPES`, by op."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from edgekit.tensors import Array


@dataclass(frozen=True)
class Shape:
    """A graph of one input `x`, whose plan has a call of the op that is timed.

    text: a graph for onnx.parser. weights: the constants, or their shapes.
    """

    name: str
    text: str
    weights: Mapping[str, tuple[int, ...] | Array] = field(default_factory=dict)

    def arrays(self) -> dict[str, Array]:
        """The constants; random ones where a shape is given, of a size that keeps values near one."""
        rng = np.random.default_rng(0)
        given = self.weights.items()
        return {name: _weight(rng, each) if isinstance(each, tuple) else each for name, each in given}


def _weight(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    fan_in = max(1, int(np.prod(shape[1:])))
    return (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)


def _image(
    name: str, body: str, *, maps: int, size: tuple[int, int], outputs: int, **weights: tuple[int, ...]
) -> Shape:
    """`body` computes `r` of `x`; what follows keeps the result in eight bits."""
    text = (
        f"(float[1,{maps},{size[0]},{size[1]}] x) => (float[1,5] y) "
        f"{{ {body} "
        "p = GlobalAveragePool(r) f = Flatten(p) y = Gemm<transB=1>(f, fw, fb) }"
    )
    return Shape(name, text, {**weights, "fw": (5, outputs), "fb": (5,)})


def conv(
    size: tuple[int, int],
    maps: int,
    outputs: int,
    kernel: tuple[int, int] = (1, 1),
    stride: int = 1,
    *,
    depthwise: bool = False,
    residual: bool = False,
) -> Shape:
    """A convolution with bias and ReLU, padded by half its kernel; with the addition of its input if `residual`."""
    (rows, columns), group = (kernel[0] // 2, kernel[1] // 2), maps if depthwise else 1
    settings = f"pads=[{rows},{columns},{rows},{columns}], strides=[{stride},{stride}], group={group}"
    behind = "s = Add(c, x) r = Relu(s)" if residual else "r = Relu(c)"
    name = f"{size[0]}x{size[1]}, {maps} to {outputs}, {kernel[0]}x{kernel[1]}"
    name += f", stride {stride}" * (stride > 1) + ", residual" * residual
    weights = {"w": (outputs, maps // group, *kernel), "b": (outputs,)}
    return _image(name, f"c = Conv<{settings}>(x, w, b) {behind}", maps=maps, size=size, outputs=outputs, **weights)


def depthwise(size: tuple[int, int], maps: int, stride: int = 1) -> Shape:
    return conv(size, maps, maps, (3, 3), stride, depthwise=True)


def dense(inputs: int, outputs: int) -> Shape:
    body = "c = Gemm<transB=1>(x, w, b) r = Relu(c) y = Gemm<transB=1>(r, fw, fb)"
    text = f"(float[1,{inputs}] x) => (float[1,5] y) {{ {body} }}"
    weights = {"w": (outputs, inputs), "b": (outputs,), "fw": (5, outputs), "fb": (5,)}
    return Shape(f"{inputs} to {outputs}", text, weights)


def pool(size: tuple[int, int], maps: int) -> Shape:
    text = (
        f"(float[1,{maps},{size[0]},{size[1]}] x) => (float[1,5] y) "
        "{ p = GlobalAveragePool(x) f = Flatten(p) y = Gemm<transB=1>(f, fw, fb) }"
    )
    return Shape(f"{size[0]}x{size[1]}, {maps}, mean of all", text, {"fw": (5, maps), "fb": (5,)})


def max_pool(size: tuple[int, int], maps: int) -> Shape:
    body = "r = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)"
    return _image(f"{size[0]}x{size[1]}, {maps}, largest of 3x3, stride 2", body, maps=maps, size=size, outputs=maps)


def add(size: tuple[int, int], maps: int) -> Shape:
    body = "a = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) r = Add(a, x)"
    return _image(f"{size[0]}x{size[1]}, {maps}", body, maps=maps, size=size, outputs=maps)


def copy(size: tuple[int, int], maps: int) -> Shape:
    """Two images side by side in the channels, of which one is also used alone."""
    body = "a = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) r = Concat<axis=1>(a, x)"
    return _image(f"{size[0]}x{size[1]}, {maps}", body, maps=maps, size=size, outputs=2 * maps)


def vector(count: int, expression: str, name: str = "") -> Shape:
    """`expression` of x, in float32."""
    text = f"(float[1,{count}] x) => (float[1,{count}] t) {{ t = {expression} }}"
    weights = {word: (count,) for word in ("scale", "bias") if word in expression}
    return Shape(name or f"{expression.partition('(')[0]} of {count}", text, weights)


def dequantized(count: int) -> Shape:
    body = "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) t = Softmax<axis=-1>(d)"
    text = f"(float[1,{count}] x) => (float[1,{count}] t) {{ {body} }}"
    return Shape(str(count), text, {"s": np.array(1 / 255, np.float32), "z": np.array(0, np.uint8)})


def recurrent(op: str, gates: int, inputs: int, hidden: int, steps: int = 1) -> Shape:
    settings = f"hidden_size={hidden}" + (", linear_before_reset=1" if op == "GRU" else "")
    text = (
        f"(float[{steps},1,{inputs}] x) => (float[{steps},1,1,{hidden}] t, float[1,1,{hidden}] last) "
        f"{{ t, last = {op}<{settings}>(x, w, r, b) }}"
    )
    rows = gates * hidden
    weights = {"w": (1, rows, inputs), "r": (1, rows, hidden), "b": (1, 2 * rows)}
    return Shape(f"{inputs} to {hidden}, {steps} step" + "s" * (steps > 1), text, weights)


def _recurrents(op: str, gates: int) -> tuple[Shape, ...]:
    return (recurrent(op, gates, 256, 256), recurrent(op, gates, 64, 128), recurrent(op, gates, 64, 128, 50))


def _vectors(*expressions: str, counts: Iterable[int] = (256, 4096)) -> tuple[Shape, ...]:
    return tuple(vector(count, expression) for expression in expressions for count in counts)


PADDED = (conv((32, 32), 16, 16, (3, 3)), depthwise((25, 5), 64), depthwise((56, 56), 144))
DENSE = (dense(640, 128), dense(128, 128), dense(128, 8), dense(8, 128), dense(1280, 1000))
SHAPES: dict[str, tuple[Shape, ...]] = {
    "conv2d_u8": (
        conv((32, 32), 3, 16, (3, 3)),  # ResNet-8
        conv((32, 32), 16, 16, (3, 3)),
        conv((32, 32), 16, 16, (3, 3), residual=True),
        conv((32, 32), 16, 32, (3, 3), 2),
        conv((16, 16), 32, 32, (3, 3)),
        conv((8, 8), 64, 64, (3, 3)),
        conv((49, 10), 1, 64, (10, 4), 2),  # DS-CNN
        conv((25, 5), 64, 64),
        conv((48, 48), 8, 16),  # MobileNetV1 at a quarter of its width
        conv((6, 6), 128, 128),
        conv((112, 112), 32, 16),  # MobileNetV2
        conv((56, 56), 24, 144),
        conv((56, 56), 144, 24),
        conv((14, 14), 384, 64),
        conv((7, 7), 960, 160),
        conv((7, 7), 320, 1280),
    ),
    "depthwise_u8": (
        depthwise((25, 5), 64),
        depthwise((48, 48), 8),
        depthwise((24, 24), 32),
        depthwise((56, 56), 144),
        depthwise((56, 56), 144, 2),
        depthwise((14, 14), 384),
        depthwise((7, 7), 960),
    ),
    "dense_u8": DENSE,
    "dense_f32": DENSE,
    "border_u8": PADDED,
    "pool_u8": (pool((8, 8), 64), pool((7, 7), 1280), max_pool((56, 56), 64)),
    "add_u8": (add((32, 32), 16), add((56, 56), 24), add((14, 14), 96)),
    "lookup_u8": (copy((32, 32), 16), copy((14, 14), 96)),
    "quantize_u8": (dense(640, 128), conv((49, 10), 1, 64, (10, 4), 2), conv((224, 224), 3, 32, (3, 3), 2)),
    "dequantize_u8": (dequantized(640), dequantized(50176)),
    "activation_f32": _vectors("Tanh(x)", "Sigmoid(x)", "Gelu(x)", "HardSwish(x)"),
    "binary_f32": _vectors("Mul(x, x)"),
    "softmax_f32": (vector(12, "Softmax<axis=-1>(x)", "12"), vector(1000, "Softmax<axis=-1>(x)", "1000")),
    "layernorm_f32": (vector(384, "LayerNormalization(x, scale, bias)", "384"),),
    "gru_i8": _recurrents("GRU", 3),
    "gru_f32": _recurrents("GRU", 3),
    "lstm_i8": _recurrents("LSTM", 4),
    "lstm_f32": _recurrents("LSTM", 4),
}
