"""How a fused WaveNet step becomes one call, with its delay lines in the plan's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends.native.calls.wavenet import Wavenet
from edgekit.backends.native.graph import NotCoveredError, constant, stored_weight
from edgekit.backends.native.pack_wavenet import pack_wavenet
from edgekit.backends.native.records import Ref, Space
from edgekit.backends.native.walk import View, Walk
from edgekit.ops.wavenet import WavenetWeights
from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx_ir as ir

FIRST, EACH, LAST = 3, 4, 4  # inputs before the layers' weights, of each layer, and behind them


def step(walk: Walk, node: ir.Node) -> None:
    """The function WaveNet of `edgekit.transforms.fuse.wavenet`."""
    sample, past = walk.view(node, 0), walk.floats(node, 1)
    name = str(node.inputs[1].name if node.inputs[1] is not None else "")
    state = walk.state.get(name)
    if state is None:
        raise NotCoveredError(node, "its past is not declared as state, so the dilations are not known")
    quantized = stored_weight(node.inputs[FIRST]) is not None
    values = [_values(node, place) for place in range(2, len(node.inputs))]
    packed = pack_wavenet(_weights(values, state.delays), kind="i8" if quantized else "f32")
    logits = walk.vector(node.outputs[0], packed.fields["classes"])
    push = walk.vector(node.outputs[1], past.buffer.elements)
    if walk.state_bytes or not node.outputs[1].is_graph_output():
        raise NotCoveredError(node, "a second WaveNet, or one whose layers are watched, has no kernel")
    walk.calls.append(
        Wavenet(str(node.name), packed, sample.buffer, past.buffer, logits, push, Ref(Space.STATE, walk.state_bytes))
    )
    walk.state_bytes += packed.state_bytes
    walk.kept_inside.append(name)
    walk.put(node.outputs[0], View(logits, (1, packed.fields["classes"])))
    walk.put(node.outputs[1], View(push, past.shape))


def _values(node: ir.Node, place: int) -> Array:
    stored = stored_weight(node.inputs[place])
    if stored is not None:
        levels, scale = stored
        return levels.astype(np.float32) * scale.reshape(-1, *[1] * (levels.ndim - 1))
    found = constant(node.inputs[place])
    if found is None:
        raise NotCoveredError(node, f"its input {place} is not a constant")
    return found.astype(np.float32)


def _weights(values: list[Array], dilations: tuple[int, ...]) -> WavenetWeights:
    layers = values[1 : len(values) - LAST]
    gates, gate_bias, mixes, mix_bias = (np.stack(layers[i::EACH]) for i in range(EACH))
    hidden, hidden_bias, logits, logits_bias = values[-LAST:]
    return WavenetWeights(
        values[0], gates, gate_bias, mixes, mix_bias, hidden, hidden_bias, logits, logits_bias, dilations
    )
