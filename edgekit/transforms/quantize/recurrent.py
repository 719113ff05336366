"""Holds the weights of recurrent layers in eight bits; kernels quantize what they multiply, in every call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.export import save_model
from edgekit.transforms.fuse import fuse
from edgekit.transforms.quantize.layers import is_constant
from edgekit.transforms.quantize.qdq import SMALLEST_SCALE, initializer, stored_constant
from edgekit.transforms.quantize.workpiece import Workpiece

if TYPE_CHECKING:
    import onnx_ir as ir

WEIGHTS = {
    "GRU": (1, 2),
    "LSTM": (1, 2),
}  # places among the inputs: (directions, gates * hidden, values)
OPS = ("GRU", "LSTM", "WaveNet")
LEVELS = 127


def quantize(work: Workpiece, destination: Path) -> None:
    """See `edgekit.transforms.quantize.quantize`: s8 weights, a scale for each gate of each unit; no ranges."""
    import onnx_ir as ir

    copy = ir.from_proto(ir.to_proto(work.model))
    fuse(copy)
    for node in [node for node in copy.graph if node.op_type in OPS]:
        for place in weight_places(node):
            _hold(copy, node, place)
    save_model(copy, destination)


def weight_places(node: ir.Node) -> tuple[int, ...]:
    """Which inputs of a node of `OPS` are constant weights of bulk: two of GRU and LSTM, all matrices of a WaveNet."""
    if node.op_type != "WaveNet":
        return tuple(place for place in (1, 2) if is_constant(node.inputs[place]))
    ranks = [(place, len(v.shape)) for place, v in enumerate(node.inputs) if v is not None and v.shape is not None]
    return tuple(place for place, rank in ranks[3:] if rank == 2)  # behind sample, past and embedding


def _hold(model: ir.Model, node: ir.Node, place: int) -> None:
    """Replace the float weight by what a DequantizeLinear makes of its s8 form; one direction is one block of rows."""
    import onnx_ir as ir

    value = node.inputs[place]
    assert value is not None and value.const_value is not None  # noqa: S101, PT018 - `weight_places` has asked
    weights = value.const_value.numpy()
    rows = weights.reshape(-1, weights.shape[-1])
    scale = np.maximum(np.abs(rows).max(axis=1) / LEVELS, SMALLEST_SCALE).astype(np.float32)
    levels = np.clip(np.rint(rows / scale[:, None]), -LEVELS, LEVELS).astype(np.int8)
    stored = stored_constant(model, node, f"weight{place}", levels, scale=scale, axis=0)
    if weights.ndim == rows.ndim:
        node.replace_input_with(place, stored)
        return
    shape = initializer(model, f"{node.name}_weight{place}_shape", np.array(weights.shape, np.int64))
    reshape = ir.node("Reshape", [stored, shape], name=f"{node.name}_weight{place}_reshape")
    made = reshape.outputs[0]
    made.name, made.dtype, made.shape = f"{reshape.name}d", ir.DataType.FLOAT, value.shape
    model.graph.insert_before(node, reshape)
    node.replace_input_with(place, made)
