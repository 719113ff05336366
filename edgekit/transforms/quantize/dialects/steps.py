"""The steps that rewrite a QDQ graph for a backend whose grids are all s8 around zero; each changes the graph in place.

A step leaves alone what it has no form for; the rules of the dialect then name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgekit.tensors import Array
from edgekit.transforms.quantize.dialects.grids import (
    EIGHT_BITS,
    Grid,
    Names,
    constant,
    grid_of,
    nodes_of,
    set_grid,
)

if TYPE_CHECKING:
    import onnx_ir as ir

LOWEST, HIGHEST = -128, 127  # of s8
NON_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax")
# Ops that give no negative value where they take none.
KEEP_THE_SIGN = (
    *("Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "MaxPool", "AveragePool"),
    *("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "QuantizeLinear", "DequantizeLinear"),
)


def store_quantized_constants(model: ir.Model) -> None:
    """Put the integers in place of a float constant and its QuantizeLinear."""
    names = Names(model.graph)
    for node in nodes_of(model.graph, "QuantizeLinear"):
        values, grid, integers = constant(node.inputs[0]), grid_of(node), node.outputs[0]
        if values is None or grid is None or not _writable(grid) or integers.is_graph_output():
            continue
        if not (grid.scale > 0).all():
            continue
        ends = np.iinfo(grid.dtype.lower())
        rounded = np.rint(values / grid.along(grid.scale, rank=values.ndim))
        shifted = rounded.astype(np.int64) + grid.along(grid.zero_point, rank=values.ndim)
        stored = np.clip(shifted, ends.min, ends.max).astype(ends.dtype)
        integers.replace_all_uses_with(names.initializer(f"{integers.name}_int8", stored))
        model.graph.remove(node, safe=True)


def make_int32_constants_float(model: ir.Model) -> None:
    """Put a float constant in place of an int32 one and its DequantizeLinear: TensorRT takes float biases alone."""
    names = Names(model.graph)
    for node in nodes_of(model.graph, "DequantizeLinear"):
        values, grid, dequantized = constant(node.inputs[0]), grid_of(node), node.outputs[0]
        if values is None or values.dtype != np.int32 or grid is None or grid.block_size:
            continue
        if dequantized.is_graph_output():
            continue
        steps = values.astype(np.int64) - grid.along(grid.zero_point, rank=values.ndim)
        floats = steps.astype(grid.scale.dtype) * grid.along(grid.scale, rank=values.ndim)
        dequantized.replace_all_uses_with(names.initializer(f"{dequantized.name}_float", floats))
        model.graph.remove(node, safe=True)


def make_constants_symmetric(model: ir.Model) -> None:
    """Store constants of eight bits in s8 with zero point 0; exactly, unless one is further off than s8 reaches."""
    names = Names(model.graph)
    for node in nodes_of(model.graph, "DequantizeLinear"):
        values, grid = constant(node.inputs[0]), grid_of(node)
        if values is None or grid is None or not _writable(grid) or _is_plain(grid):
            continue
        stored, scale = _symmetric_constant(values, grid)
        base = str(node.outputs[0].name)
        node.replace_input_with(0, names.initializer(f"{base}_int8", stored))
        zeros = np.zeros(scale.shape, np.int8)
        set_grid(node, names.initializer(f"{base}_scale", scale), names.initializer(f"{base}_zero_point", zeros))


def make_activations_symmetric(model: ir.Model) -> None:
    """Give activations s8 grids with zero point 0 and one scale a tensor.

    s8 just reaches over the old grid, and a symmetric one stays as it is. What any other one cut off at its end nearer
    to zero, a Relu or Clip cuts off from now on: onnxruntime's quantizer drops those of the graph where the grid does
    their work.
    """
    names = Names(model.graph)
    for node in nodes_of(model.graph, "QuantizeLinear"):
        value, grid = node.inputs[0], grid_of(node)
        pairs = [user for user, _ in node.outputs[0].uses()]
        if value is None or grid is None or not _writable(grid) or node.outputs[0].is_graph_output():
            continue
        if _is_plain(grid) and not grid.scale.ndim:
            continue
        if not all(user.op_type == "DequantizeLinear" and _same(grid_of(user), grid) for user in pairs):
            continue
        low, high = (float(find(ends)) for find, ends in zip((np.min, np.max), grid.ranges(), strict=True))
        if not grid.is_symmetric:
            _cut_off(model.graph, node, low, high, names=names)
        step = max(low / LOWEST, high / HIGHEST)
        base = str(node.outputs[0].name)
        scale = names.initializer(f"{base}_scale", np.array(step, grid.scale.dtype))
        zero_point = names.initializer(f"{base}_zero_point", np.array(0, np.int8))
        for each in (node, *pairs):
            set_grid(each, scale, zero_point)
            each.attributes.pop("axis", None)


def give_each_edge_a_pair(model: ir.Model) -> None:
    """Repeat pairs until no DequantizeLinear serves two inputs, and no QuantizeLinear two DequantizeLinear."""
    names = Names(model.graph)
    for node in nodes_of(model.graph, "DequantizeLinear"):
        value = node.outputs[0]
        uses = list(value.uses())
        for user, index in uses if value.is_graph_output() else uses[1:]:
            copy = _copy(node, names=names)
            model.graph.insert_after(node, copy)
            user.replace_input_with(index, copy.outputs[0])
    for node in nodes_of(model.graph, "QuantizeLinear"):
        for user, index in list(node.outputs[0].uses())[1:]:
            copy = _copy(node, names=names)
            model.graph.insert_after(node, copy)
            user.replace_input_with(index, copy.outputs[0])


def drop_what_is_unused(model: ir.Model) -> None:
    """Remove the constants, and nodes, that nothing reads."""
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    RemoveUnusedNodesPass()(model)


def _writable(grid: Grid) -> bool:
    """Eight bits, in a grid or one for each channel."""
    return grid.dtype in EIGHT_BITS and not grid.block_size and bool((grid.scale >= 0).all())


def _is_plain(grid: Grid) -> bool:
    """Already in s8 with zero point 0 and scales that TensorRT takes."""
    return grid.dtype == "INT8" and not grid.zero_point.any() and bool((grid.scale > 0).all())


def _same(found: Grid | None, grid: Grid) -> bool:
    return (
        found is not None
        and (found.dtype, found.axis, found.block_size) == (grid.dtype, grid.axis, grid.block_size)
        and np.array_equal(found.scale, grid.scale)
        and np.array_equal(found.zero_point, grid.zero_point)
    )


def _symmetric_constant(values: Array, grid: Grid) -> tuple[npt.NDArray[np.int8], Array]:
    """The constant in s8 and its scale, which grows only where a value is out of reach of s8."""
    rank = values.ndim
    steps = values.astype(np.int64) - grid.along(grid.zero_point, rank=rank)
    others = tuple(axis for axis in range(rank) if axis != grid.axis % rank) if grid.scale.size > 1 else None
    low, high = (np.reshape(find(steps, axis=others), grid.scale.shape) for find in (np.min, np.max))
    reach = np.where((low < LOWEST) | (high > HIGHEST), np.maximum(-low, high) / HIGHEST, 1.0)
    stored = np.rint(steps / grid.along(reach, rank=rank))
    # A scale of zero, which TensorRT refuses, makes zeros of whatever it scales.
    scale = np.where(grid.scale > 0, grid.scale * reach, 1.0).astype(grid.scale.dtype)
    kept = grid.along((grid.scale > 0).astype(np.int64), rank=rank)
    return (stored * kept).astype(np.int8), scale


def _cut_off(graph: ir.Graph, node: ir.Node, low: float, high: float, *, names: Names) -> None:
    """Cut the input of the QuantizeLinear `node` off at the end of its grid that is nearer to zero."""
    value, scale = node.inputs[0], constant(node.inputs[1])
    if value is None or scale is None or (low == 0 and _is_non_negative(value)):
        return
    inputs: list[ir.Value | None] = [value]
    if low < 0:
        below = -low < high
        end = names.initializer(f"{value.name}_end", np.array(low if below else high, scale.dtype))
        inputs += [end] if below else [None, end]
    cut = names.node("Clip" if low < 0 else "Relu", inputs, like=value)
    graph.insert_before(node, cut)
    node.replace_input_with(0, cut.outputs[0])


def _is_non_negative(value: ir.Value) -> bool:
    """Whether the nodes that make `value` show that none of it is below zero."""
    node = value.producer()
    while node is not None and node.op_type in KEEP_THE_SIGN and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Clip":
        return node is not None and node.op_type in NON_NEGATIVE
    least = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return least is not None and float(least) >= 0


def _copy(node: ir.Node, *, names: Names) -> ir.Node:
    return names.node(node.op_type, list(node.inputs), like=node.outputs[0], attributes=node.attributes.values())
