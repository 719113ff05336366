"""Plans are written and read back; whatever is wrong with a file is refused before it runs."""

from dataclasses import replace

import numpy as np
import pytest

import edgekit._native as native
from edgekit.backends.native.packing import pack_lanes, pack_weights
from edgekit.backends.native.plan import NativePlan, PlanCall, PlanTensor
from edgekit.backends.native.records import ABSENT, Ref, Space, pack_record, unpack_record
from edgekit.backends.native.write import plan_bytes
from edgekit.errors import BackendError

INPUTS, OUTPUTS = 8, 3


def dense_plan(**changed):
    rng = np.random.default_rng(0)
    weights = pack_weights(rng.integers(-9, 9, (OUTPUTS, INPUTS)).astype(np.int8)).tobytes()
    lanes = pack_lanes(np.full(OUTPUTS, 0.5, np.float32)).tobytes()
    params = {
        "input": Ref(Space.ARENA, 0), "weights": Ref(Space.CONSTANTS, 128), "bias": Ref(Space.CONSTANTS, 0),
        "scale": Ref(Space.CONSTANTS, 64), "output": ABSENT, "output_f32": Ref(Space.IO + 1, 0), "rows": 1,
        "inputs": INPUTS, "outputs": OUTPUTS, "input_stride": INPUTS, "output_stride": OUTPUTS * 4,
        "zero_point": 0, "low": 0, "high": 255,
    } | changed  # fmt: skip
    return NativePlan(
        inputs=[PlanTensor("x", "uint8", (1, INPUTS))],
        outputs=[PlanTensor("y", "float32", (1, OUTPUTS))],
        calls=[PlanCall("dense_u8", "node", params)],
        constants=bytes(64) + lanes + weights,
        arena_bytes=64,
    )


def parse(data: bytes, row: str = "") -> native.Plan:
    return native.Plan.parse(np.frombuffer(data, np.uint8), row)


def test_a_plan_is_read_back_as_it_was_written():
    plan = dense_plan()
    found = parse(plan_bytes(plan))
    assert found.inputs == [("x", 2, [1, INPUTS])]
    assert found.outputs == [("y", 1, [1, OUTPUTS])]
    assert (found.arena_bytes, found.constant_bytes) == (64, len(plan.constants))
    (op, _, label, record) = found.steps[0]
    assert (op, label) == ("dense_u8", "node")
    assert unpack_record(op, record) == plan.calls[0].params


def test_every_changed_byte_is_refused():
    data = plan_bytes(dense_plan())
    for position in range(len(data)):
        altered = bytearray(data)
        altered[position] ^= 1 << (position % 8)
        with pytest.raises(native.PlanError):
            parse(bytes(altered))


@pytest.mark.parametrize("length", [0, 7, 8, 15, 16, 71, 72, 100, -1])
def test_a_truncated_file_is_refused(length: int):
    with pytest.raises(native.PlanError):
        parse(plan_bytes(dense_plan())[:length])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input": Ref(Space.ARENA, 60)}, "8 bytes at 60 of the arena, which has 64"),
        ({"weights": Ref(Space.CONSTANTS, 192)}, "weights"),
        ({"output_f32": Ref(Space.CONSTANTS, 0)}, "memory that is only read"),
        ({"output_f32": Ref(Space.IO, 0)}, "output_f32"),
        ({"output_f32": Ref(Space.IO + 2, 0)}, "space 6, which the plan does not have"),
        ({"input": Ref(Space.IO, 0), "inputs": 7}, "must not be an input"),
        ({"bias": Ref(Space.CONSTANTS, 2)}, "multiple of 4"),
        ({"rows": 0}, "rows = 0; expected 1 to"),
        ({"inputs": 2**31 - 1}, "inputs = 2147483647"),
        ({"output": Ref(Space.ARENA, 0)}, "one of output and output_f32"),
        ({"high": 256}, "high = 256"),
    ],
)
def test_a_call_outside_of_its_memories_is_refused(changed, message: str):
    with pytest.raises(native.PlanError, match=message):
        parse(plan_bytes(dense_plan(**changed)))


def test_a_newer_op_or_format_is_named(monkeypatch):
    data = bytearray(plan_bytes(dense_plan()))
    data[8] = 2
    with pytest.raises(native.PlanError, match="format version 2"):
        parse(bytes(data))


def test_a_state_must_lie_inside_of_its_memory():
    from edgekit.backends.native.plan import PlanState

    plan = replace(dense_plan(), states=[PlanState("x", "y", 0)], state_bytes=4)
    with pytest.raises(native.PlanError, match="differ in size"):
        parse(plan_bytes(plan))


def test_a_run_refuses_tensors_of_another_size():
    run = native.Run(parse(plan_bytes(dense_plan())))
    with pytest.raises(native.PlanError, match="x has 7 bytes; expected 8"):
        run.bind_input(0, np.zeros(7, np.uint8))
    with pytest.raises(native.PlanError, match="no tensor"):
        run.bind_output(5, np.zeros(3, np.float32))


def test_records_name_what_is_missing_or_does_not_fit():
    with pytest.raises(BackendError, match=r"\['rows'\] are missing"):
        pack_record("dense_u8", {name: v for name, v in dense_plan().calls[0].params.items() if name != "rows"})
    with pytest.raises(BackendError, match="does not fit its field"):
        pack_record("dense_u8", {**dense_plan().calls[0].params, "rows": 2**40})
