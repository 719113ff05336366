"""How each operator of a graph becomes calls; `HANDLERS` is the table of what is covered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends.native import float_nodes, recurrent_nodes, wavenet_nodes
from edgekit.backends.native.buffers import Buffer, Grid, Pads
from edgekit.backends.native.calls import UNLIMITED, Clamp, Conv, Dense, Depthwise, Lookup, Pool, Sum, Weights, Window
from edgekit.backends.native.calls.call import levels_of
from edgekit.backends.native.functions import FUNCTIONS
from edgekit.backends.native.graph import (
    NotCoveredError,
    clamp_of,
    constant,
    grid_of,
    needed,
    only_use,
    stored_weight,
    window_of,
)
from edgekit.backends.native.walk import Tail, View, Walk, as_image
from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx_ir as ir


def _quantize(walk: Walk, node: ir.Node) -> None:
    walk.quantize(node)


def _dequantize(walk: Walk, node: ir.Node) -> None:
    if constant(node.inputs[0]) is not None:
        return  # a weight, which its layer reads
    walk.put(node.outputs[0], walk.view(node))


def _conv(walk: Walk, node: ir.Node) -> None:
    view = walk.levels(node)
    source = view.buffer
    found = stored_weight(node.inputs[1])
    if found is None or found[0].dtype != np.int8:
        raise NotCoveredError(node, "its weight is not stored in s8")
    values, scales = found
    group = node.attributes.get_int("group", 1)
    depthwise = group == source.channels == len(values) and values.shape[1] == 1
    if group != 1 and not depthwise:
        raise NotCoveredError(node, f"a convolution of {group} groups has no kernel")
    window = window_of(node, values.shape[2:])
    source.need(window.pads)
    weights = _weights(node, values, scales, input_scale=levels_of(source).scale)
    tail = walk.tail(node.outputs[0])
    rows, columns = window.output_size(source.rows, source.columns)
    grid = _tail_grid(node, tail)
    target = walk.image(str(tail.value.name), (rows, columns, len(values)), grid)
    if depthwise:
        shaped = replace(weights, values=values.reshape(len(values), *window.kernel))
        walk.calls.append(Depthwise(str(node.name), source, target, shaped, window, tail.clamp))
    else:
        taps = values.reshape(len(values), -1, *window.kernel).transpose(0, 2, 3, 1)
        walk.calls.append(Conv(str(node.name), source, target, replace(weights, values=taps), window, tail.clamp))
    spatial = (rows, columns) if len(view.shape) == 4 else (columns,)
    walk.finish(tail, target, (1, len(values), *spatial))


def _tail_grid(node: ir.Node, tail: Tail) -> Grid:
    if tail.quantize is None:
        raise NotCoveredError(node, "its result is used in float32, for which there is no kernel")
    return grid_of(tail.quantize)


def _weights(node: ir.Node, values: Array, scales: Array, *, input_scale: float) -> Weights:
    """The layer's weights with a scale for each output, and its bias in steps of weight and input."""
    full = np.broadcast_to(scales, len(values)).astype(np.float32)
    return Weights(values, full, _bias(node, full.astype(np.float64) * input_scale))


def _bias(node: ir.Node, steps: Array) -> Array:
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return np.zeros(len(steps), np.int32)
    stored = stored_weight(value)
    floats = constant(value) if stored is None else stored[0].reshape(-1).astype(np.float64) * stored[1]
    if floats is None or floats.size not in (1, len(steps)):
        raise NotCoveredError(node, "its bias is not a constant with one term for each output")
    levels = np.rint(np.broadcast_to(floats.reshape(-1).astype(np.float64), len(steps)) / steps)
    return np.clip(levels, -(2**31), 2**31 - 1).astype(np.int32)


def _dense(walk: Walk, node: ir.Node) -> None:
    view = walk.view(node)
    found = stored_weight(node.inputs[1])
    if found is None or view.buffer.grid is None:
        float_nodes.dense(walk, node)
        return
    values, scales = found
    turned = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", False))
    weights = _weights(
        node, values if turned else np.ascontiguousarray(values.T), scales, input_scale=levels_of(view.buffer).scale
    )
    source = _vector(walk, node, view)
    if view.flattened:
        weights = replace(weights, values=_channels_last(weights.values, view.buffer))
    if weights.values.shape[1] != source.elements:
        raise NotCoveredError(node, f"it takes {weights.values.shape[1]} values of {source.elements}: not a vector")
    outputs = len(weights.values)
    tail = walk.tail(node.outputs[0])
    if tail.quantize is None and tail.clamp != UNLIMITED:
        raise NotCoveredError(node, "its activation in float32 has no kernel here")
    target = (
        walk.image(str(tail.value.name), (1, 1, outputs), grid_of(tail.quantize))
        if tail.quantize is not None
        else walk.vector(tail.value, outputs)
    )
    walk.calls.append(Dense(str(node.name), source, target, weights, tail.clamp))
    walk.finish(tail, target, (1, outputs))


def _vector(walk: Walk, node: ir.Node, view: View) -> Buffer:
    """The view's buffer without a frame, as a dense layer reads it."""
    if view.buffer.elements > view.buffer.channels and not view.flattened:
        raise NotCoveredError(node, "a dense layer over an image, position by position, has no kernel")
    size = (view.buffer.rows, view.buffer.columns, view.buffer.channels)
    if view.buffer.pads == Pads():
        return view.buffer
    plain = walk.image(f"{view.buffer.name} unframed", size, levels_of(view.buffer))
    walk.calls.append(Lookup(f"copy for {node.name}", view.buffer, plain))
    return plain


def _channels_last(weights: Array, image: Buffer) -> Array:
    """Weights (outputs, channels * rows * columns) for an image that is flattened channels last."""
    turned = weights.reshape(-1, image.channels, image.rows, image.columns).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(turned.reshape(len(weights), -1))


def _pool(walk: Walk, node: ir.Node) -> None:
    """MaxPool and AveragePool; the average of a frame's zeros is that of torch's count_include_pad."""
    view = walk.levels(node)
    maximum = node.op_type == "MaxPool"
    window = window_of(node, tuple(node.attributes.get_ints("kernel_shape", [])))
    framed = window.pads != Pads()
    if framed and maximum and levels_of(view.buffer).zero_point != 0:
        raise NotCoveredError(node, "the maximum over a frame needs a grid without negative values")
    if framed and not maximum and not node.attributes.get_int("count_include_pad", 0):
        raise NotCoveredError(node, "an average that leaves its frame out has no kernel")
    if len(node.outputs) > 1 and list(node.outputs[1].uses()):
        raise NotCoveredError(node, "the places of the maxima have no kernel")
    _pooled(walk, node, view, window, maximum=maximum)


def _mean(walk: Walk, node: ir.Node) -> None:
    """GlobalAveragePool, and ReduceMean over all positions."""
    view = walk.levels(node)
    if node.op_type == "ReduceMean":
        axes = sorted(int(a) % len(view.shape) for a in needed(node, 1, "list of axes").reshape(-1))
        if axes != list(range(2, len(view.shape))):
            raise NotCoveredError(node, f"a mean over axes {axes} has no kernel")
    keep = node.op_type == "GlobalAveragePool" or bool(node.attributes.get_int("keepdims", 1))
    _pooled(walk, node, view, Window(kernel=(view.buffer.rows, view.buffer.columns)), maximum=False, keep=keep)


def _pooled(walk: Walk, node: ir.Node, view: View, window: Window, *, maximum: bool, keep: bool = True) -> None:
    source = view.buffer
    source.need(window.pads)
    rows, columns = window.output_size(source.rows, source.columns)
    tail = walk.tail(node.outputs[0])
    if tail.clamp != UNLIMITED:
        raise NotCoveredError(node, "pooling with an activation behind it has no kernel")
    grid = grid_of(tail.quantize) if tail.quantize is not None else levels_of(source)
    target = walk.image(str(tail.value.name), (rows, columns, source.channels), grid)
    walk.calls.append(Pool(str(node.name), source, target, window, maximum))
    spatial = ((rows, columns) if len(view.shape) == 4 else (columns,)) if keep else ()
    walk.finish(tail, target, (1, source.channels, *spatial))


def _add(walk: Walk, node: ir.Node) -> None:
    if any(walk.view(node, place).buffer.grid is None for place in (0, 1)):
        float_nodes.binary(walk, node)
        return
    a, b = walk.levels(node, 0), walk.levels(node, 1)
    if a.shape != b.shape or a.flattened != b.flattened:
        raise NotCoveredError(node, f"a sum of shapes {a.shape} and {b.shape} has no kernel")
    tail = walk.tail(node.outputs[0])
    grid = _tail_grid(node, tail)
    size = (a.buffer.rows, a.buffer.columns, a.buffer.channels)
    target = walk.image(str(tail.value.name), size, grid)
    if not _as_residual(walk, node, (b.buffer, a.buffer), target, tail.clamp):
        walk.calls.append(Sum(str(node.name), a.buffer, b.buffer, target, tail.clamp))
    walk.finish(tail, target, a.shape)


def _as_residual(walk: Walk, node: ir.Node, addends: tuple[Buffer, Buffer], target: Buffer, clamp: Clamp) -> bool:
    """Let the convolution that made one addend add the other: its own rounding falls away.

    Only where nothing else reads that addend, and nothing limits it before the sum.
    """
    for made, other, place in (*addends, 1), (*addends[::-1], 0):
        conv, value = walk.conv_before(made), node.inputs[place]
        if conv is None or conv.clamp != UNLIMITED or made is other or value is None or only_use(value) is not node:
            continue
        walk.calls.remove(conv)
        walk.calls.append(
            replace(conv, label=f"{conv.label} + {node.name}", target=target, residual=other, clamp=clamp)
        )
        return True
    return False


def _move(walk: Walk, node: ir.Node) -> None:
    """What gives the values another shape: any of float32; of levels, a vector or an image to a vector."""
    if stored_weight(node.inputs[0]) is not None:
        return  # a weight, which its layer reads
    view = walk.view(node)
    shape = node.outputs[0].shape
    if shape is None or any(not isinstance(d, int) for d in list(shape)[1:]):
        raise NotCoveredError(node, "the shape of its result is not known")
    to = tuple(d if isinstance(d, int) else 1 for d in shape)
    image = view.buffer.rows * view.buffer.columns > 1
    if image and (len(to) != 2 or to[0] != 1):
        raise NotCoveredError(node, f"an image of shape {view.shape} becomes {to}, which moves values")
    walk.put(node.outputs[0], View(view.buffer, to, flattened=view.flattened or image))


def _concat(walk: Walk, node: ir.Node) -> None:
    """Along the channels; every part is copied to its place, in the grid of the result."""
    if all(walk.view(node, place).floats for place in range(len(node.inputs))):
        float_nodes.concat(walk, node)
        return
    views = [walk.levels(node, place) for place in range(len(node.inputs))]
    if node.attributes.get_int("axis", 0) not in (1, 1 - len(views[0].shape)) or any(view.flattened for view in views):
        raise NotCoveredError(node, "only images side by side along the channels have a kernel")
    tail = walk.tail(node.outputs[0])
    grid = _tail_grid(node, tail)
    first, (rows, columns, _) = 0, as_image(views[0].shape)
    target = walk.image(str(tail.value.name), (rows, columns, sum(view.buffer.channels for view in views)), grid)
    for view in views:
        source = walk.requantized(view.buffer, grid, f"part of {node.name}")
        walk.calls.append(Lookup(str(node.name), source, target, first=first))
        first += view.buffer.channels
    walk.finish(tail, target, (1, first, *views[0].shape[2:]))


def _function(walk: Walk, node: ir.Node) -> None:
    """An activation of one level: 256 results, looked up."""
    view = walk.view(node)
    if view.buffer.grid is None:
        float_nodes.activation(walk, node)
        return
    tail = walk.tail(node.outputs[0])
    grid, source = _tail_grid(node, tail), levels_of(view.buffer)
    values = FUNCTIONS[node.op_type](node, source.values())
    table = grid.levels(np.clip(values, tail.clamp.low, tail.clamp.high))
    target = walk.looked_up(view.buffer, table, grid, str(node.name))
    walk.finish(tail, target, view.shape)


def _clip(walk: Walk, node: ir.Node) -> None:
    """A clamp that no layer has taken over."""
    view, clamp = walk.view(node), clamp_of(node)
    if view.buffer.grid is None or clamp is None:
        float_nodes.activation(walk, node)
        return
    source = levels_of(view.buffer)
    levels = np.clip(np.arange(256), source.level(clamp.low), source.level(clamp.high)).astype(np.uint8)
    walk.put(node.outputs[0], View(walk.looked_up(view.buffer, levels, source, str(node.name)), view.shape))


HANDLERS: dict[str, Callable[[Walk, ir.Node], None]] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Conv": _conv,
    "Gemm": _dense,
    "MatMul": _dense,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _mean,
    "ReduceMean": _mean,
    "Add": _add,
    "Reshape": _move,
    "Flatten": _move,
    "Squeeze": _move,
    "Unsqueeze": _move,
    "Transpose": float_nodes.transpose,
    "Gather": float_nodes.select,
    "Slice": float_nodes.cut,
    "Concat": _concat,
    "Softmax": float_nodes.softmax,
    "LayerNormalization": float_nodes.layer_norm,
    "Mul": float_nodes.binary,
    "Sub": float_nodes.binary,
    "Clip": _clip,
    "GRU": recurrent_nodes.layer,
    "LSTM": recurrent_nodes.layer,
    "WaveNet": wavenet_nodes.step,
    **dict.fromkeys(FUNCTIONS, _function),
}
