"""The references of depthwise_u8, pool_u8, add_u8 and border_u8 give what their ONNX forms give in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.backends.native.packing import fold_bias
from edgekit.ops import add_u8, border_u8, depthwise_u8, pool_u8
from edgekit.ops.rounding import requantize

pytest.importorskip("onnxruntime")


def _run(model, **feeds):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # as written, in float32
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def _levels(rng: np.random.Generator, *shape: int):
    return rng.integers(0, 256, shape).astype(np.uint8)


def _channels_first(image):
    return image.transpose(2, 0, 1)[None]


def _agree(got, wanted) -> None:
    """Levels differ by one at most, and seldom: near a tie, another order of roundings may go the other way."""
    difference = np.abs(got.astype(int) - wanted.astype(int))
    assert difference.max() <= 1
    assert (difference != 0).mean() < 0.01
    assert len(np.unique(wanted)) > 20  # not all clamped


@pytest.mark.parametrize(
    ("taps", "strides", "dilations"), [((3, 3), (1, 1), (1, 1)), ((3, 3), (2, 2), (1, 1)), ((5, 3), (1, 2), (2, 1))]
)
def test_depthwise_is_a_grouped_convolution_of_a_padded_image(taps, strides, dilations):
    rng = np.random.default_rng(0)
    x, weights = _levels(rng, 12, 15, 9), rng.integers(-127, 128, (9, *taps)).astype(np.int8)
    bias, scale = rng.integers(-3000, 3000, 9), (rng.uniform(0.5, 2, 9) / 200).astype(np.float32)
    padded = border_u8.reference(x, top=1, bottom=2, left=2, right=1, value=77)
    folded = fold_bias(bias, weights, zero_point=77)
    values = depthwise_u8.reference(padded, weights, bias=folded, scale=scale, strides=strides, dilations=dilations)
    model = depthwise_u8.onnx_model(
        weights, bias=bias, scale=scale, zero_points=(77, 120), strides=strides, pads=(1, 2, 2, 1), dilations=dilations
    )
    _agree(_run(model, x=_channels_first(x)), _channels_first(requantize(values, zero_point=120)))


@pytest.mark.parametrize("maximum", [False, True])
@pytest.mark.parametrize(("taps", "strides"), [((2, 2), (2, 2)), ((3, 4), (1, 2)), ((9, 12), (1, 1))])
def test_pool_is_a_pool_of_dequantized_values(maximum: bool, taps, strides):
    rng = np.random.default_rng(1)
    x = (rng.integers(0, 216, 50) + rng.integers(0, 40, (9, 12, 50))).astype(np.uint8)  # channels differ in level
    scales, zero_points = (0.05, 0.047), (100, 90)
    ratio = scales[0] / scales[1] / (1 if maximum else taps[0] * taps[1])
    values = pool_u8.reference(x, maximum=maximum, taps=taps, strides=strides, zero_point=zero_points[0], scale=ratio)
    model = pool_u8.onnx_model(
        maximum=maximum, taps=taps, strides=strides, scales=scales, zero_points=zero_points, channels=50
    )
    _agree(_run(model, x=_channels_first(x)), _channels_first(requantize(values, zero_point=zero_points[1])))


def test_add_is_a_sum_of_dequantized_values():
    rng = np.random.default_rng(2)
    a, b = _levels(rng, 40, 50), _levels(rng, 40, 50)
    scales, zero_points = (0.031, 0.047, 0.06), (100, 140, 128)
    values = add_u8.reference(
        a, b, a_scale=scales[0] / scales[2], b_scale=scales[1] / scales[2], a_zero_point=100, b_zero_point=140
    )
    model = add_u8.onnx_model(scales=scales, zero_points=zero_points, shape=a.shape)
    _agree(_run(model, a=a, b=b), requantize(values, zero_point=128))
