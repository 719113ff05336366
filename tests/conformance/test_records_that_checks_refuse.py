"""Records of dense, float and quantize ops that their checks refuse: a record comes from a file."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
from case import run_case

import edgekit._native as native
from edgekit.backends.native.records import Ref, Space

FAR = 1 << 20
STRIDED = ("rows", "columns", "input_row_stride", "input_column_stride", "output_row_stride", "output_column_stride")
REFUSED = {
    "quantize_u8": [*STRIDED, "channels", "input_channel_stride", "zero_point"],
    "dequantize_u8": [*STRIDED, "channels", "output_channel_stride", "zero_point"],
    "softmax_f32": ["rows", "columns", "input_stride", "output_stride"],
    "layernorm_f32": ["rows", "columns", "input_stride", "output_stride"],
    "activation_f32": ["count", "activation"],
    "dense_f32": ["rows", "inputs", "outputs", "input_stride", "output_stride", "activation"],
    "binary_f32": ["count", "kind", "b_count"],
    "dense_u8": ["rows", "inputs", "outputs", "input_stride", "output_stride", "zero_point", "low", "high"],
}
READ = {"binary_f32": "a"}


def largest_case(op: str):
    cases = importlib.import_module(f"cases_{op}").cases()
    return max(cases, key=lambda case: min(case.params.get(name, 2) for name in ("rows", "columns")))


@pytest.mark.parametrize(("op", "field"), [(op, field) for op, fields in REFUSED.items() for field in fields])
def test_check_refuses_numbers_that_leave_a_tensor(op: str, field: str):
    case = largest_case(op)
    run_case(case, "scalar")
    for value in (-1, FAR, FAR + 4, (1 << 31) - 4):
        with pytest.raises(native.PlanError):
            run_case(replace(case, params={**case.params, field: value}), "scalar")


@pytest.mark.parametrize("op", REFUSED)
def test_check_refuses_tensors_outside_of_their_space(op: str):
    case = largest_case(op)
    for field in (READ.get(op, "input"), "output"):
        space, offset = case.params[field]
        for moved in (Ref(space, offset + FAR), Ref(space, (1 << 32) - 4), Ref(70, 0), Ref(Space.NONE, 0)):
            with pytest.raises(native.PlanError):
                run_case(replace(case, params={**case.params, field: moved}), "scalar")


@pytest.mark.parametrize("op", [op for op in REFUSED if not op.endswith("_u8")])
def test_check_refuses_floats_that_are_not_aligned(op: str):
    case = largest_case(op)
    space, offset = case.params["output"]
    with pytest.raises(native.PlanError, match="multiple of 4"):
        run_case(replace(case, params={**case.params, "output": Ref(space, offset - 1)}), "scalar")


@pytest.mark.parametrize("op", REFUSED)
def test_check_refuses_to_write_what_is_only_read(op: str):
    case = largest_case(op)
    with pytest.raises(native.PlanError, match="only read"):
        run_case(replace(case, inputs=8), "scalar") if case.params["output"][0] >= Space.IO else _into_constants(case)


def _into_constants(case) -> None:
    buffers = {**case.buffers, Space.CONSTANTS: case.buffers[Space.ARENA]}
    output = Ref(Space.CONSTANTS, case.params["output"][1])
    run_case(replace(case, params={**case.params, "output": output}, buffers=buffers), "scalar")
