"""The plans that are fuzzed call every op, run on this CPU, and are small."""

from __future__ import annotations

import numpy as np
import pytest

import edgekit._native as native

pytest.importorskip("onnxruntime", reason="graphs are quantized over what onnxruntime computes")

from dump_plans import small_plans

from edgekit.backends.native.write import plan_bytes

FILES = {name: plan_bytes(plan) for name, plan in small_plans()}


def test_every_op_is_fuzzed():
    assert set(native.op_ids()) <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_plan_is_read_and_runs(name: str):
    data = np.frombuffer(FILES[name], np.uint8)
    assert len(data) < 64_000
    plan = native.Plan.parse(data)
    run = native.Run(plan)
    dtypes = {1: np.float32, 2: np.uint8, 4: np.int32, 5: np.int64}
    inputs, outputs = ([np.zeros(shape, dtypes[d]) for _, d, shape in side] for side in (plan.inputs, plan.outputs))
    for index, array in enumerate(inputs):
        run.bind_input(index, array)
    for index, array in enumerate(outputs):
        run.bind_output(index, array)
    run()


def test_lowered_plans_hold_what_they_are_for():
    image = {op for op, *_ in native.Plan.parse(np.frombuffer(FILES["lowered_image"], np.uint8)).steps}
    assert {"quantize_u8", "conv2d_u8", "depthwise_u8", "pool_u8", "dense_u8", "border_u8"} <= image
    assert native.Plan.parse(np.frombuffer(FILES["lowered_stream"], np.uint8)).states == [(1, 1, False)]
