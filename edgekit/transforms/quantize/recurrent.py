"""Holds the weights of recurrent layers in eight bits; kernels quantize what they multiply, in every call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.export import save_model
from edgekit.transforms.quantize.qdq import SMALLEST_SCALE, initializer, stored_constant
from edgekit.transforms.quantize.workpiece import Workpiece

if TYPE_CHECKING:
    import onnx_ir as ir

WEIGHTS = {
    "GRU": (1, 2),
    "LSTM": (1, 2),
}  # places among the inputs: (directions, gates * hidden, values)
LEVELS = 127


def quantize(work: Workpiece, destination: Path) -> None:
    """See `edgekit.transforms.quantize.quantize`: s8 weights, a scale for each gate of each unit; no ranges."""
    import onnx_ir as ir

    copy = ir.from_proto(ir.to_proto(work.model))
    for node in list(copy.graph):
        for place in WEIGHTS.get(node.op_type, ()):
            _hold(copy, node, place)
    save_model(copy, destination)


def _hold(model: ir.Model, node: ir.Node, place: int) -> None:
    """Replace the float weight by what a DequantizeLinear makes of its s8 form; one direction is one block of rows."""
    import onnx_ir as ir

    value = node.inputs[place]
    if value is None or value.const_value is None:
        return
    weights = value.const_value.numpy()
    rows = weights.reshape(-1, weights.shape[-1])
    scale = np.maximum(np.abs(rows).max(axis=1) / LEVELS, SMALLEST_SCALE).astype(np.float32)
    levels = np.clip(np.rint(rows / scale[:, None]), -LEVELS, LEVELS).astype(np.int8)
    stored = stored_constant(model, node, f"weight{place}", levels, scale=scale, axis=0)
    shape = initializer(model, f"{node.name}_weight{place}_shape", np.array(weights.shape, np.int64))
    reshape = ir.node("Reshape", [stored, shape], name=f"{node.name}_weight{place}_reshape")
    made = reshape.outputs[0]
    made.name, made.dtype, made.shape = f"{reshape.name}d", ir.DataType.FLOAT, value.shape
    model.graph.insert_before(node, reshape)
    node.replace_input_with(place, made)
