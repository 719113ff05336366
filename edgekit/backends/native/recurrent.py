"""Weights of GRU and LSTM layers in the layouts that the kernels read: see kernels/common/recurrent.h."""

from __future__ import annotations

import numpy as np

from edgekit.backends.native.packing import pack_weights, round_up
from edgekit.tensors import Array

UNITS = 16  # units of a block
PROJECTED_ROWS = 16  # input rows that are multiplied in one pass over the weights
ZERO_LEVEL = 128


def pack_gates_s8(weights: Array, *, gates: int) -> Array:
    """int8 weights (gates * hidden, inputs), gate by gate as ONNX has them: flat uint8, one block for 16 units.

    A block is what the zero point adds to each sum, int32 [gates][16], and the weights [inputs / 4][gates][16][4].
    """
    parts = []
    for block in _blocks(weights, gates):
        start = -ZERO_LEVEL * block.astype(np.int64).sum(axis=1)
        parts += [start.astype(np.int32).view(np.uint8), pack_weights(block).view(np.uint8)]
    return np.concatenate(parts)


def pack_gates_f32(weights: Array, *, gates: int) -> Array:
    """float32 weights (gates * hidden, inputs): flat float32 [blocks][inputs][gates][16]."""
    return np.concatenate([block.astype(np.float32).T.ravel() for block in _blocks(weights, gates)])


def pack_gate_lanes(values: Array, *, gates: int) -> Array:
    """A float32 value for each output (gates * hidden,), bias or scale: flat float32 [blocks][gates][16]."""
    return np.concatenate([block.astype(np.float32).ravel() for block in _blocks(values[:, None], gates)])


def scratch_bytes(*, gates: int, quantized: bool, steps: int, rows: int, inputs: int, hidden: int) -> int:
    """Bytes of scratch memory that a call of gru_i8, lstm_i8 (quantized), gru_f32 or lstm_f32 needs."""
    positions = min(steps, max(PROJECTED_ROWS // rows, 1)) * rows
    unit_bytes = 4 * round_up(hidden, UNITS)
    operands = rows * _operand_bytes(hidden, quantized) + (positions * _operand_bytes(inputs, True) if quantized else 0)
    reset_gates = 2 * unit_bytes if gates == 3 else 0
    return operands + reset_gates + positions * gates * unit_bytes


def _operand_bytes(count: int, quantized: bool) -> int:
    return 64 + round_up(count, 64) if quantized else round_up(4 * count, 64)


def _blocks(values: Array, gates: int) -> list[Array]:
    """(gates * hidden, inputs) cut into (gates * 16, inputs) for each 16 units, filled up with zeros."""
    hidden, inputs = len(values) // gates, values.shape[1]
    full = np.zeros((gates, round_up(hidden, UNITS), inputs), values.dtype)
    full[:, :hidden] = values.reshape(gates, hidden, inputs)
    return [full[:, first : first + UNITS].reshape(gates * UNITS, inputs) for first in range(0, full.shape[1], UNITS)]
