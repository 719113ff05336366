"""Writes the plan file that kernels/plan/read.cpp reads; docs/plan-format.md specifies it byte by byte."""

from __future__ import annotations

import struct
import zlib

import edgekit._native as native
from edgekit.backends.native.plan import NativePlan, PlanCall, PlanState, PlanTensor
from edgekit.backends.native.records import pack_record

MAGIC = b"EDGEPLAN"
VERSION = 1
DTYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 4, "int64": 5, "bool": 6}
INSIDE_OP = 2**64 - 1
HEADER = struct.Struct("<QQQQQIIII")  # what follows the checksum
ALIGNMENT = 64


def plan_bytes(plan: NativePlan) -> bytes:
    """The file of `plan`."""
    records = b"".join(
        [
            *map(_tensor, plan.inputs),
            *map(_tensor, plan.outputs),
            *(_state(plan, state) for state in plan.states),
            *map(_call, plan.calls),
        ]
    )
    constants = bytes(plan.constants)
    start = len(MAGIC) + 8 + HEADER.size + len(records)
    constants_at = -(-start // ALIGNMENT) * ALIGNMENT
    counts = (len(plan.inputs), len(plan.outputs), len(plan.states), len(plan.calls))
    sizes = (plan.arena_bytes, plan.state_bytes, len(constants), constants_at)
    body = (
        HEADER.pack(constants_at + len(constants), *sizes, *counts) + records + bytes(constants_at - start) + constants
    )
    return MAGIC + struct.pack("<II", VERSION, zlib.crc32(body)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<I", len(encoded)) + encoded + bytes(-len(encoded) % 4)


def _tensor(tensor: PlanTensor) -> bytes:
    shape = tensor.shape
    return _text(tensor.name) + struct.pack(f"<II{len(shape)}I", DTYPES[tensor.dtype], len(shape), *shape)


def _state(plan: NativePlan, state: PlanState) -> bytes:
    inputs = [tensor.name for tensor in plan.inputs]
    outputs = [tensor.name for tensor in plan.outputs]
    offset = INSIDE_OP if state.offset is None else state.offset
    return struct.pack("<IIQ", inputs.index(state.input), outputs.index(state.output), offset)


def _call(call: PlanCall) -> bytes:
    record = pack_record(call.op, call.params)
    return struct.pack("<II", native.op_ids()[call.op], len(record)) + record + _text(call.label)
