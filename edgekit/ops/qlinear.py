"""The ONNX form that quantized convolutions share: QLinearConv with scales of 1 for input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx


def qlinear_conv(
    name: str, weights: Array, *, bias: Array, scale: Array, zero_points: tuple[int, int], **geometry: Any
) -> onnx.ModelProto:
    """x (1, channels, height, width) uint8 -> y uint8.

    weights: (outputs, channels / group, taps_y, taps_x) int8; bias, scale, zero_points: as
    `conv2d_u8.onnx_model` has them. geometry: strides, pads, dilations, group, as ONNX has them.
    """
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "one": np.array(1, np.float32),
        "x_zero": np.array(zero_points[0], np.uint8),
        "y_zero": np.array(zero_points[1], np.uint8),
        "w": weights,
        "w_scale": scale.astype(np.float32),
        "w_zero": np.zeros(len(weights), np.int8),
        "bias": bias.astype(np.int32),
    }
    names = ["x", "one", "x_zero", "w", "w_scale", "w_zero", "one", "y_zero", "bias"]
    node = helper.make_node("QLinearConv", names, ["y"], **geometry)
    channels = weights.shape[1] * geometry.get("group", 1)
    graph = helper.make_graph(
        [node],
        name,
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, channels, "height", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, len(weights), "rows", "columns"])],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
