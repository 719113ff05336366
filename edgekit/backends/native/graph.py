"""Questions about a quantized ONNX graph: constants, pairs, activations, and why a node is not covered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends.native.buffers import Grid, Pads
from edgekit.backends.native.calls import Clamp, Window
from edgekit.errors import BackendError
from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx_ir as ir


class NotCoveredError(BackendError):
    """No kernel of edgekit computes a node of this form; another backend has to run the graph."""

    def __init__(self, node: ir.Node, reason: str) -> None:
        self.node = node
        super().__init__(f"native: node {node.name!r} ({node.op_type}): {reason}; another backend runs this graph")


def constant(value: ir.Value | None) -> Array | None:
    """The values of a constant or initializer; None for what is fed or computed."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def needed(node: ir.Node, place: int, what: str) -> Array:
    """The constant input `place` of `node`.

    Raises:
        NotCoveredError: it is not a constant.
    """
    found = constant(node.inputs[place]) if place < len(node.inputs) else None
    if found is None:
        raise NotCoveredError(node, f"its {what} is not a constant")
    return found


def grid_of(node: ir.Node) -> Grid:
    """The grid of a QuantizeLinear or DequantizeLinear of an activation, moved to u8.

    Raises:
        NotCoveredError: a scale for each channel, or another type than 8 bits.
    """
    scale = needed(node, 1, "scale")
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 else np.zeros((), np.uint8)
    if scale.size != 1 or zero is None or zero.dtype not in (np.uint8, np.int8):
        raise NotCoveredError(node, "an activation needs one scale and a zero point of 8 bits")
    shift = 128 if zero.dtype == np.int8 else 0
    return Grid(float(scale.reshape(())), int(zero.reshape(())) + shift)


def stored_weight(value: ir.Value | None) -> tuple[Array, Array] | None:
    """s8 or s32 values and the float32 scales (one, or one for each channel) of a dequantized constant; else None."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear":
        return None
    levels, scale = constant(node.inputs[0]), constant(node.inputs[1])
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if levels is None or scale is None or levels.dtype not in (np.int8, np.int32) or (zero is not None and zero.any()):
        return None
    return levels, scale.reshape(-1).astype(np.float32)


def only_use(value: ir.Value) -> ir.Node | None:
    """The one node that takes `value`; None where several do, or it leaves the graph."""
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def is_turn(node: ir.Node, *, to_last: bool) -> bool:
    """Whether it moves the channels of images or signals behind all else, or back to their first place."""
    order = tuple(node.attributes.get_ints("perm", ())) if node.op_type == "Transpose" else ()
    rank = len(order)
    return rank in (3, 4) and order == ((0, *range(2, rank), 1) if to_last else (0, rank - 1, *range(1, rank - 1)))


def clamp_of(node: ir.Node) -> Clamp | None:
    """The range that an activation leaves as it is; None for what is more than a clamp."""
    if node.op_type == "Relu":
        return Clamp(low=0.0)
    if node.op_type == "Clip":
        ends = [constant(node.inputs[i]) if len(node.inputs) > i else None for i in (1, 2)]
        given = [node.inputs[i] if len(node.inputs) > i else None for i in (1, 2)]
        if any(v is not None and end is None for v, end in zip(given, ends, strict=True)):
            return None
        low, high = (float(end.reshape(())) if end is not None else None for end in ends)
        return Clamp(-np.inf if low is None else low, np.inf if high is None else high)
    return None


def window_of(node: ir.Node, kernel: tuple[int, ...]) -> Window:
    """The window of a Conv or pooling node over an image, or over a signal, which is an image of one row.

    Raises:
        NotCoveredError: automatic or negative padding, or rounding up of the size.
    """
    rank = len(kernel)
    attributes = node.attributes
    if attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or attributes.get_int("ceil_mode", False):
        raise NotCoveredError(node, "automatic padding and ceil_mode have no kernel")
    strides = tuple(attributes.get_ints("strides", [1] * rank))
    dilations = tuple(attributes.get_ints("dilations", [1] * rank))
    pads = tuple(attributes.get_ints("pads", [0] * (2 * rank)))
    if rank not in (1, 2) or min(pads) < 0:
        raise NotCoveredError(node, f"a window of {rank} dimensions, or negative padding")
    if rank == 1:
        return Window((1, kernel[0]), (1, strides[0]), (1, dilations[0]), Pads(0, pads[0], 0, pads[1]))
    return Window(_two(kernel), _two(strides), _two(dilations), Pads(*pads))


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    down, right = values
    return down, right
