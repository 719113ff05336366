"""Weights in the layouts that the kernels read: see kernels/common/packed.h."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Array

BLOCK_OUTPUTS = 64
LANE_OUTPUTS = 16


def round_up(value: int, multiple: int) -> int:
    """The least multiple of `multiple` that is at least `value`."""
    return -(-value // multiple) * multiple


def pack_weights(weights: Array) -> Array:
    """int8 weights (outputs, inputs), or (outputs, segments, inputs) of a convolution, in blocks of 64 outputs.

    Each block is [segments][inputs / 4][outputs][4], inputs of a segment and outputs filled up with zeros to
    multiples of 4 and 16. Gives a flat int8 array.
    """
    segmented = weights if weights.ndim == 3 else weights[:, None]
    outputs, segments, inputs = segmented.shape
    groups = round_up(inputs, 4) // 4
    full = np.zeros((round_up(outputs, LANE_OUTPUTS), segments, groups * 4), np.int8)
    full[:outputs, :, :inputs] = segmented
    blocks = [
        full[first : first + BLOCK_OUTPUTS].reshape(-1, segments, groups, 4).transpose(1, 2, 0, 3).ravel()
        for first in range(0, len(full), BLOCK_OUTPUTS)
    ]
    return np.concatenate(blocks)


def pack_lanes(values: Array) -> Array:
    """A value for each output (int32 or float32), filled up with zeros to a multiple of 16."""
    return np.pad(values, (0, round_up(len(values), LANE_OUTPUTS) - len(values)))


def fold_bias(bias: Array, weights: Array, *, zero_point: int) -> Array:
    """int32 bias (outputs,) less what the input's zero point adds: weights (outputs, ...) int8."""
    sums = weights.astype(np.int64).reshape(len(weights), -1).sum(axis=1)
    folded: Array = bias.astype(np.int64) - zero_point * sums
    return folded.astype(np.int32)


def pack_depthwise(weights: Array) -> Array:
    """int8 taps (channels, taps_y, taps_x) of a depthwise convolution as [taps_x][taps_y / 4][channels][4].

    Four taps of a column lie side by side; taps_y and channels are filled up with zeros to multiples of 4 and 16.
    Gives a flat int8 array.
    """
    channels, taps_y, taps_x = weights.shape
    full = np.zeros((round_up(channels, LANE_OUTPUTS), round_up(taps_y, 4), taps_x), np.int8)
    full[:channels, :taps_y] = weights
    return np.ascontiguousarray(full.reshape(len(full), -1, 4, taps_x).transpose(3, 1, 0, 2)).ravel()


def pack_dense_f32(weights: Array) -> Array:
    """float32 weights (outputs, inputs) in blocks of 64 outputs, as dense_f32 reads them.

    Each block is [inputs][outputs], outputs filled up with zeros to a multiple of 16. Gives a flat float32 array.
    """
    outputs = len(weights)
    full = np.pad(weights.astype(np.float32), ((0, round_up(outputs, LANE_OUTPUTS) - outputs), (0, 0)))
    return np.concatenate(
        [full[first : first + BLOCK_OUTPUTS].T.ravel() for first in range(0, len(full), BLOCK_OUTPUTS)]
    )
