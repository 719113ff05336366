"""Where a plan keeps the state of a streaming model: in its own memory, in place, where nothing reads it too late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.backends.native.buffers import Buffer
from edgekit.backends.native.calls import Call
from edgekit.backends.native.plan import PlanState
from edgekit.tensors import State

ALIGNMENT = 64


@dataclass(frozen=True)
class Held:
    """The states that the plan keeps, and the bytes that they take; empty if one of them cannot be kept."""

    states: tuple[PlanState, ...] = ()
    state_bytes: int = 0


def hold(
    state: Mapping[str, State],
    calls: Sequence[Call],
    *,
    inputs: Mapping[str, Buffer],
    outputs: Mapping[str, Buffer],
    inside: Sequence[str],
    taken: int,
) -> Held:
    """Places for all of `state`, or none.

    inputs, outputs: the buffers of the plan's tensors. inside: inputs whose state an op keeps itself.
    taken: bytes of the state memory that ops have.
    """
    found, end = [], taken
    for name, each in state.items():
        if name in inside:
            found.append(PlanState(name, each.output, None))
            continue
        source, target = inputs[name], outputs[each.output]
        if each.delay != 1 or not _in_place(calls, source, target):
            return Held()
        found.append(PlanState(name, each.output, end))
        end += -(-source.nbytes // ALIGNMENT) * ALIGNMENT
    return Held(tuple(found), end)


def _in_place(calls: Sequence[Call], source: Buffer, target: Buffer) -> bool:
    """Whether `target` may be the memory of `source`: no call reads a part that an earlier call has overwritten.

    A recurrent layer may write its state where it reads it; see kernels/gru_i8 and the like.
    """
    written: list[range] = []
    for call in calls:
        reads = [_extent(buffer) for buffer in call.reads if buffer.root is source]
        if any(_meet(part, other) for part in reads for other in written):
            return False
        writes = [_extent(buffer) for buffer in call.writes if buffer.root is target]
        if reads and writes and not call.op.startswith(("gru", "lstm")):
            return False
        written += writes
    return True


def _extent(buffer: Buffer) -> range:
    start = 0
    part = buffer
    while part.parent is not None:
        start, part = start + part.inside, part.parent
    return range(start, start + buffer.nbytes)


def _meet(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop
