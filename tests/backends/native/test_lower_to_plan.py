"""Quantized graphs lowered to plans compute what onnxruntime computes of them, to a rounding of one step."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from small_graphs import graph_of, open_plan, quantized, run_onnx, samples_of

RNG = np.random.default_rng(1)


def weight(*shape: int):
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def ending(channels: int, size: int = 1) -> dict[str, np.ndarray]:
    """Weights of the dense layer that most graphs end in, so that their result is float32."""
    return {"fw": weight(5, channels * size), "fb": weight(5)}


CONVOLUTION = """(float[N,{i},9,7] x) => (float[N,5] y) {{
    c = Conv<pads=[{p},{p},{p},{p}], strides=[{s},{s}], dilations=[{d},{d}], group={g}>(x, w, b)
    r = {act}
    f = Flatten(r)
    y = Gemm<transB=1>(f, fw, fb)
}}"""


def closeness(model: ir.Model, folder, **changes) -> float:
    """The largest error against onnxruntime over several samples, in units of the outputs' standard deviation."""
    pairs = quantized(model)
    runner = open_plan(pairs, folder)
    feeds = samples_of(model)
    expected = np.concatenate([run_onnx(pairs, f)[0] for f in feeds])
    got = np.concatenate([runner.run(f)["y"] for f in feeds])
    return float(np.abs(got - expected).max() / expected.std())


@pytest.mark.parametrize("act", ["Relu(c)", "Clip(c, zero, six)", "Identity(c)"])
@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "pad", "stride", "dilation"),
    [
        (3, 17, 3, 1, 1, 1),
        (4, 16, 3, 1, 2, 1),
        (1, 8, 5, 2, 1, 1),
        (6, 70, 1, 0, 1, 1),
        (5, 9, 3, 2, 1, 2),
        (2, 3, 3, 0, 2, 1),
    ],
)
def test_convolution(tmp_path, act, channels, outputs, kernel, pad, stride, dilation):
    reach = (kernel - 1) * dilation + 1
    rows, columns = ((n + 2 * pad - reach) // stride + 1 for n in (9, 7))
    text = CONVOLUTION.format(
        i=channels, p=pad, s=stride, d=dilation, g=1, act=act if "Identity" not in act else "Neg(c)"
    )
    if "Identity" in act:
        text = text.replace("r = Neg(c)\n", "").replace("Flatten(r)", "Flatten(c)")
    constants = {"zero": np.float32(0), "six": np.float32(1)} if "Clip" in act else {}
    model = graph_of(
        text,
        w=weight(outputs, channels, kernel, kernel),
        b=weight(outputs),
        **ending(outputs, rows * columns),
        **constants,
    )
    assert closeness(model, tmp_path) < 0.03


@pytest.mark.parametrize(("channels", "kernel", "stride"), [(8, 3, 1), (20, 3, 2), (64, 5, 1), (3, 3, 1)])
def test_depthwise_convolution(tmp_path, channels, kernel, stride):
    pad = kernel // 2
    rows, columns = ((n + 2 * pad - kernel) // stride + 1 for n in (9, 7))
    text = CONVOLUTION.format(i=channels, p=pad, s=stride, d=1, g=channels, act="Relu(c)")
    model = graph_of(
        text, w=weight(channels, 1, kernel, kernel), b=weight(channels), **ending(channels, rows * columns)
    )
    assert closeness(model, tmp_path) < 0.03
