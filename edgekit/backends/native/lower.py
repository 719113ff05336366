"""Lowers an ONNX graph that kernels cover completely to a plan: a list of calls over one arena."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.backends.native.arena import Lifetime, place
from edgekit.backends.native.buffers import Buffer, Pads
from edgekit.backends.native.calls import Border, Call
from edgekit.backends.native.constants import Constants
from edgekit.backends.native.graph import NotCoveredError
from edgekit.backends.native.nodes import HANDLERS
from edgekit.backends.native.plan import NativePlan, PlanCall
from edgekit.backends.native.records import SLACK, Space
from edgekit.backends.native.states import hold
from edgekit.backends.native.walk import Walk

if TYPE_CHECKING:
    import onnx_ir as ir


def lower_to_plan(model: ir.Model) -> NativePlan:
    """The plan of `model`, at batch 1.

    Raises:
        BackendError: a node that no kernel covers, or a dimension that stays open; the message names it.
    """
    walk = Walk(model)
    for node in model.graph:
        if node in walk.done:
            continue
        if node.op_type not in HANDLERS or node.domain not in ("", "ai.onnx", "edgekit"):
            raise NotCoveredError(node, "no kernel of edgekit computes it")
        HANDLERS[node.op_type](walk, node)
    walk.write_outputs()
    calls = with_borders(walk.calls)
    inputs, outputs = walk.io_buffers()
    held = hold(walk.state, calls, inputs=inputs, outputs=outputs, inside=walk.kept_inside, taken=walk.state_bytes)
    arena_bytes = place_buffers(calls)
    constants = Constants()
    written = [PlanCall(call.op, call.label, call.params(constants)) for call in calls]
    return NativePlan(
        inputs=walk.inputs,
        outputs=walk.outputs,
        calls=written,
        constants=bytes(constants.data),
        arena_bytes=arena_bytes,
        state_bytes=max(held.state_bytes, walk.state_bytes),
        states=held.states,
    )


def with_borders(calls: list[Call]) -> list[Call]:
    """`calls`, with the frame of each framed image filled just before the image is first written."""
    found: list[Call] = []
    framed: set[Buffer] = set()
    for call in calls:
        for buffer in call.writes:
            if buffer.pads != Pads() and buffer not in framed:
                found.append(Border(f"frame of {buffer.name}", buffer))
                framed.add(buffer)
        found.append(call)
    return found


def place_buffers(calls: list[Call]) -> int:
    """Give every buffer of the arena its offset; the size of the arena."""
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    buffers: dict[Buffer, None] = {}
    for index, call in enumerate(calls):
        for buffer in (part.root for part in (*call.writes, *call.reads)):
            if buffer.space != Space.ARENA:
                continue
            buffers[buffer] = None
            first.setdefault(buffer, index)
            last[buffer] = index
    ordered = list(buffers)
    offsets, size = place([Lifetime(buffer.nbytes, first[buffer], last[buffer]) for buffer in ordered])
    for buffer, offset in zip(ordered, offsets, strict=True):
        buffer.offset = offset
    return size + SLACK
