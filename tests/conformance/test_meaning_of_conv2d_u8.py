"""conv2d_u8 beside ONNX Runtime, and the records that its check refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from case import run_case
from cases_conv2d_u8 import cases

import edgekit._native as native
from edgekit.backends.native.packing import fold_bias
from edgekit.backends.native.records import Ref, Space
from edgekit.ops import conv2d_u8
from edgekit.ops.exact import fma
from edgekit.ops.rounding import requantize

MIB = 1 << 20


@pytest.mark.parametrize(
    ("kernel", "strides", "dilations", "pads"),
    [
        ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
        ((3, 2), (2, 2), (1, 1), (0, 1, 1, 0)),
        ((2, 3), (1, 2), (2, 3), (2, 3, 0, 1)),
    ],
)
def test_reference_gives_what_onnx_runtime_gives(kernel, strides, dilations, pads):
    ort = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (9, 11, 5)).astype(np.uint8)
    weights = rng.integers(-127, 128, (7, *kernel, 5)).astype(np.int8)
    bias = rng.integers(-2000, 2000, 7).astype(np.int32)
    scale = (rng.uniform(0.5, 2, 7) / 700).astype(np.float32)
    padded = np.pad(x, ((pads[0], pads[2]), (pads[1], pads[3]), (0, 0)), constant_values=77)
    folded = fold_bias(bias, weights, zero_point=77)
    values = conv2d_u8.reference(padded, weights, bias=folded, scale=scale, strides=strides, dilations=dilations)
    form = {"strides": strides, "dilations": dilations, "pads": pads, "zero_points": (77, 128)}
    model = conv2d_u8.onnx_model(weights, bias=bias, scale=scale, **form)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (there,) = session.run(None, {"x": x.transpose(2, 0, 1)[None]})
    np.testing.assert_array_equal(requantize(values, zero_point=128), there[0].transpose(1, 2, 0))


def test_fused_multiply_add_rounds_once():
    a, b = np.float32([1 + 2**-18]), np.float32([2**-24 * (1 - 2**-18)])
    odd = np.float32([1 + 2**-23])  # the sum is a little less than half a unit above: twice rounded, it goes up
    assert fma(a, b, odd) == odd
    assert (a.astype(np.float64) * b + odd).astype(np.float32) != odd


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rows", 0),
        ("rows", 1 << 20),
        ("columns", 35),
        ("outputs", 17),
        ("input_row_stride", -1),
        ("input_row_stride", MIB),
        ("input_column_stride", MIB),
        ("taps_y", 4),
        ("taps_x", 1 << 20),
        ("tap_y_stride", MIB),
        ("tap_bytes", 1 << 20),
        ("output_row_stride", MIB),
        ("output_column_stride", 15),
        ("residual_row_stride", MIB),
        ("residual_scale", float("nan")),
        ("zero_point", 256),
        ("high", 256),
        ("bias", Ref(Space.CONSTANTS, 2)),
        ("weights", Ref(Space.CONSTANTS, MIB)),
        ("output", Ref(Space.CONSTANTS, 0)),
        ("residual", Ref(Space.STATE, 0)),
    ],
)
def test_check_refuses_what_leaves_a_tensor(field, value):
    case = next(case for case in cases() if "apart" in case.name)
    run_case(case, "scalar")
    with pytest.raises(native.PlanError):
        run_case(replace(case, params={**case.params, field: value}), "scalar")


def test_input_of_the_user_is_read_only_where_taps_are_whole_groups():
    case = next(case for case in cases() if case.params["tap_bytes"] % 4)
    moved = {**case.buffers, Space.IO + 1: case.buffers[Space.ARENA]}
    params = {**case.params, "input": Ref(Space.IO + 1, case.params["input"].offset)}
    with pytest.raises(native.PlanError, match="reads a little further"):
        run_case(replace(case, params=params, buffers=moved), "scalar")
    whole = {**params, "tap_bytes": case.params["tap_bytes"] // 4 * 4}
    run_case(replace(case, params=whole, buffers=moved), "scalar")
