"""How GRU and LSTM nodes become calls, one for each direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends.native.buffers import Buffer
from edgekit.backends.native.calls.recurrent import GateWeights, Recurrent
from edgekit.backends.native.graph import NotCoveredError, constant, stored_weight
from edgekit.backends.native.recurrent import scratch_bytes
from edgekit.backends.native.walk import View, Walk, floats_at
from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx_ir as ir

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
GATES = {"GRU": 3, "LSTM": 4}
STATES = {"GRU": (5,), "LSTM": (5, 6)}  # places of the initial states among the inputs
DEFAULTS = {"GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def layer(walk: Walk, node: ir.Node) -> None:
    """GRU or LSTM over (steps, batch, inputs)."""
    _check(node)
    view = walk.floats(node)
    steps, rows, inputs = view.shape
    directions = DIRECTIONS[node.attributes.get_string("direction", "forward")]
    weights = [_weights(node, place) for place in (1, 2)]
    hidden = weights[1].values.shape[1]
    bias = _bias(node, len(directions) * 2 * GATES[node.op_type] * hidden).reshape(len(directions), -1)
    output = _output(walk, node, steps * len(directions) * rows * hidden)
    finals = [floats_at(f"{node.name} state {i}", len(directions) * rows * hidden) for i in STATES[node.op_type]]
    for value, final in zip(node.outputs[1:], finals, strict=False):
        walk.own(value, final)
    quantized = weights[0].scale is not None
    scratch = scratch_bytes(
        gates=GATES[node.op_type], quantized=quantized, steps=steps, rows=rows, inputs=inputs, hidden=hidden
    )
    for index, reverse in enumerate(directions):
        walk.calls.append(
            Recurrent(
                label=str(node.name),
                op=f"{node.op_type.lower()}_{'i8' if quantized else 'f32'}",
                source=view.buffer,
                states_in=tuple(_state(walk, node, place, index, rows * hidden) for place in STATES[node.op_type]),
                states_out=tuple(_part(final, index, rows * hidden) for final in finals),
                output=output,
                scratch=floats_at(f"{node.name} scratch", -(-scratch // 4)),
                weights=_direction(weights[0], index, len(directions)),
                recurrent=_direction(weights[1], index, len(directions)),
                bias=bias[index],
                steps=steps,
                rows=rows,
                reverse=reverse,
                linear_before_reset=_before_reset(node),
                first=index * rows * hidden * 4,
                step_bytes=len(directions) * rows * hidden * 4,
            )
        )
    if output is not None:
        walk.put(node.outputs[0], View(output, (steps, len(directions), rows, hidden)))
    for value, final in zip(node.outputs[1:], finals, strict=False):
        walk.put(value, View(final, (len(directions), rows, hidden)))


def _check(node: ir.Node) -> None:
    if node.attributes.get_int("layout", 0) or "clip" in node.attributes or node.attributes.get_int("input_forget", 0):
        raise NotCoveredError(node, "batch-first layout, clip and input_forget have no kernel")
    lengths = node.inputs[4] if len(node.inputs) > 4 else None
    peepholes = node.inputs[7] if len(node.inputs) > 7 else None
    if lengths is not None or peepholes is not None:
        raise NotCoveredError(node, "sequence lengths and peepholes have no kernel")
    usual = DEFAULTS[node.op_type] * len(DIRECTIONS[node.attributes.get_string("direction", "forward")])
    if list(node.attributes.get_strings("activations", usual)) != usual:
        raise NotCoveredError(node, "other activations than Sigmoid and Tanh have no kernel")


def _before_reset(node: ir.Node) -> bool | None:
    return bool(node.attributes.get_int("linear_before_reset", 0)) if node.op_type == "GRU" else None


def _weights(node: ir.Node, place: int) -> GateWeights:
    """All directions' weights, (directions * gates * hidden, values)."""
    value = node.inputs[place]
    floats = constant(value)
    if floats is not None:
        return GateWeights(floats.reshape(-1, floats.shape[-1]).astype(np.float32))
    producer = value.producer() if value is not None else None
    stored = stored_weight(producer.inputs[0] if producer is not None and producer.op_type == "Reshape" else value)
    if stored is None or stored[0].dtype != np.int8:
        raise NotCoveredError(node, "its weights are neither constant nor stored in s8")
    levels, scale = stored
    rows = levels.reshape(-1, levels.shape[-1])
    return GateWeights(rows, np.ascontiguousarray(np.broadcast_to(scale, len(rows))))


def _direction(weights: GateWeights, index: int, directions: int) -> GateWeights:
    values = np.split(weights.values, directions)[index]
    return GateWeights(values, None if weights.scale is None else np.split(weights.scale, directions)[index])


def _bias(node: ir.Node, count: int) -> Array:
    value = node.inputs[3] if len(node.inputs) > 3 else None
    if value is None:
        return np.zeros(count, np.float32)
    found = constant(value)
    if found is None:
        raise NotCoveredError(node, "its bias is not a constant")
    return found.reshape(-1).astype(np.float32)


def _output(walk: Walk, node: ir.Node, count: int) -> Buffer | None:
    """Where every step's hidden state goes, if anyone asks for it."""
    value = node.outputs[0]
    if not list(value.uses()) and not value.is_graph_output():
        return None
    return walk.vector(value, count)


def _state(walk: Walk, node: ir.Node, place: int, index: int, count: int) -> Buffer | None:
    if len(node.inputs) <= place or node.inputs[place] is None:
        return None
    return _part(walk.floats(node, place).buffer, index, count)


def _part(whole: Buffer, index: int, count: int) -> Buffer:
    """The state of one direction."""
    if whole.elements == count:
        return whole
    part = floats_at(f"part of {whole.name}", count)
    part.parent, part.inside = whole, index * count * 4
    return part
