"""Writes a quantized graph: pairs of QuantizeLinear and DequantizeLinear in front of what computes in eight bits.

A node is quantized by its inputs, and its output stays what it is unless a quantized node takes it: a node is turned
back to float by leaving it out, and nothing else changes.
- An activation of both signs is s8, symmetric; one that is never negative is u8 from 0. With a zero point in between,
  OpenVINO took 20 % longer for a transformer's dense layers.
- A weight is s8, symmetric, with one scale for each output channel; a bias s32 with the product of both scales.
- What only moves values computes in the grid of what it feeds: see `_Edges.spread`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.tensors import Array
from edgekit.transforms.quantize.layers import HEAVY, MOVERS, check_names, data_places, is_activation, is_constant
from edgekit.transforms.quantize.ranges import Range, step_of

if TYPE_CHECKING:
    import onnx_ir as ir

BIAS_LIMIT = 2.0**30  # a bias of more steps than this would leave no room for the sum
SMALLEST_SCALE = 2.0**-63  # of a tensor or channel that is zero throughout: the product of two is a normal float32
WEIGHT, BIAS = 1, 2  # places among a layer's inputs


@dataclass(frozen=True)
class Grid:
    """The values that eight bits stand for: q * scale, q from -128 if `signed`, else from 0 to 255."""

    scale: float
    signed: bool


def grid_of(found: Range, *, signed: bool = False) -> Grid:
    """The grid over a range that holds 0. signed: s8 even if nothing in it is negative."""
    low, high = found
    scale = high / 127 if signed and low == 0 else step_of(found)
    return Grid(float(np.float32(max(scale, SMALLEST_SCALE))), signed or low < 0)


def write_qdq(
    model: ir.Model,
    nodes: Collection[str],
    *,
    ranges: Mapping[str, Range],
    saturates: bool = False,
    signed: bool = False,
) -> ir.Model:
    """A copy of the float graph `model` in which `nodes` are quantized.

    nodes: names of layers and joins, see `edgekit.transforms.quantize.layers`.
    ranges: of every float activation, from a calibrator.
    saturates: the target adds pairs of u8 x s8 products in 16 bits: weights give up one bit.
    signed: every activation is s8, which TensorRT's dialect has too: the graph then computes the same everywhere.

    Raises:
        BackendError: the graph has no node of such a name.
    """
    import onnx_ir as ir
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    check_names(model, nodes)
    copy = ir.from_proto(ir.to_proto(model))
    chosen = [node for node in copy.graph if node.name in set(nodes)]
    edges = _Edges(copy, {name: grid_of(found, signed=signed) for name, found in ranges.items()})
    for node in chosen:
        edges.mark(node)
    edges.spread()
    edges.rewrite()
    constants = _Constants(copy, levels=63 if saturates else 127)
    for node in chosen:
        if node.op_type in HEAVY and is_constant(node.inputs[WEIGHT]):
            constants.quantize(node, edges.marked[node, 0])
    return RemoveUnusedNodesPass()(copy).model  # the float weights are among what is unused now


class _Edges:
    """The edges of the graph, as (node, place of an input), that get a pair; `marked` has the grid of each."""

    def __init__(self, model: ir.Model, grids: Mapping[str, Grid]) -> None:
        self._model = model
        self._grids = grids
        self.marked: dict[tuple[ir.Node, int], Grid] = {}

    def mark(self, node: ir.Node) -> None:
        """Mark the activations that `node` takes."""
        for place in data_places(node):
            if is_activation(value := node.inputs[place]):
                self.marked[node, place] = self._grids[str(value.name)]  # type: ignore[union-attr]

    def spread(self) -> None:
        """Mark the data of every mover whose result is quantized, in one grid, wherever it is used."""
        for node in reversed(list(self._model.graph)):
            if node.op_type not in MOVERS or any(value.is_graph_output() for value in node.outputs):
                continue
            grids = {self.marked.get((use.node, use.idx)) for value in node.outputs for use in value.uses()}
            grid = grids.pop() if len(grids) == 1 else None
            if grid is None:
                continue
            for place in data_places(node):
                if is_activation(node.inputs[place]):
                    self.marked[node, place] = grid

    def rewrite(self) -> None:
        """Put one pair for each tensor and grid in front of the marked edges."""
        pairs: dict[tuple[ir.Value, Grid], ir.Value] = {}
        for (node, place), grid in self.marked.items():
            value = node.inputs[place]
            assert value is not None  # noqa: S101 - an activation, or it would not be marked
            if (value, grid) not in pairs:
                pairs[value, grid] = _pair(self._model, value, grid, number=len(pairs))
            node.replace_input_with(place, pairs[value, grid])


def _pair(model: ir.Model, value: ir.Value, grid: Grid, *, number: int) -> ir.Value:
    import onnx_ir as ir

    name = f"{value.name}_pair{number}"
    scale = initializer(model, f"{name}_scale", np.array(grid.scale, np.float32))
    zero = initializer(model, f"{name}_zero_point", np.array(0, np.int8 if grid.signed else np.uint8))
    quantize = ir.node("QuantizeLinear", [value, scale, zero], name=f"{name}_quantize")
    dequantize = ir.node("DequantizeLinear", [quantize.outputs[0], scale, zero], name=f"{name}_dequantize")
    stored = ir.DataType.INT8 if grid.signed else ir.DataType.UINT8
    for node, dtype in ((quantize, stored), (dequantize, ir.DataType.FLOAT)):
        node.outputs[0].name, node.outputs[0].dtype, node.outputs[0].shape = f"{node.name}d", dtype, value.shape
    producer = value.producer()
    if producer is None:
        model.graph.insert_before(model.graph[0], [quantize, dequantize])
    else:
        model.graph.insert_after(producer, [quantize, dequantize])
    return dequantize.outputs[0]


class _Constants:
    """Stores the weights of layers in s8, and their biases in s32; layers that share a weight go on sharing it."""

    def __init__(self, model: ir.Model, *, levels: int) -> None:
        self._model = model
        self._levels = levels
        self._weights: dict[tuple[ir.Value | None, int | None, bytes], ir.Value] = {}

    def quantize(self, layer: ir.Node, activation: Grid) -> None:
        """Replace the weight and the bias of `layer`, whose data is quantized in the grid `activation`."""
        array, axis = _array(layer.inputs[WEIGHT]), _channel_axis(layer)
        others = None if axis is None else tuple(d for d in range(array.ndim) if d != axis)
        scale = np.maximum(np.abs(array).max(axis=others) / self._levels, SMALLEST_SCALE)
        bias = None if axis is None else _bias(layer, channels=scale.size)
        if bias is not None:
            scale = np.maximum(scale, np.abs(bias) / (activation.scale * BIAS_LIMIT))
        scale = scale.astype(np.float32)
        self._quantize_weight(layer, array, scale=scale, axis=axis)
        if bias is not None:
            product = (scale * np.float32(activation.scale)).astype(np.float32)
            terms = np.round(bias / product).astype(np.int32)
            layer.replace_input_with(BIAS, stored_constant(self._model, layer, "bias", terms, scale=product, axis=0))

    def _quantize_weight(self, layer: ir.Node, array: Array, *, scale: Array, axis: int | None) -> None:
        key = (layer.inputs[WEIGHT], axis, scale.tobytes())
        if key not in self._weights:
            steps = scale if axis is None else scale.reshape([-1 if d == axis else 1 for d in range(array.ndim)])
            rounded = np.clip(np.round(array / steps), -self._levels, self._levels).astype(np.int8)
            self._weights[key] = stored_constant(self._model, layer, "weight", rounded, scale=scale, axis=axis)
        layer.replace_input_with(WEIGHT, self._weights[key])


def _bias(layer: ir.Node, *, channels: int) -> Array | None:
    """The constant bias of `layer`, (channels,) float64; None where there is none, or it is not one term a channel."""
    bias = layer.inputs[BIAS] if len(layer.inputs) > BIAS else None
    if not is_constant(bias):
        return None
    array = _array(bias)
    if array.size != channels or array.shape[-1:] != (channels,):
        return None
    return array.reshape(-1).astype(np.float64)


def _array(value: ir.Value | None) -> Array:
    assert value is not None and value.const_value is not None  # noqa: S101, PT018 - asked for constants alone
    return value.const_value.numpy()


def stored_constant(
    model: ir.Model, layer: ir.Node, what: str, array: Array, *, scale: Array, axis: int | None
) -> ir.Value:
    """The output of a DequantizeLinear of the constant `array`, in front of `layer`."""
    import onnx_ir as ir

    name = f"{layer.name}_{what}"
    inputs = [
        initializer(model, f"{name}_quantized", array),
        initializer(model, f"{name}_scale", scale),
        initializer(model, f"{name}_zero_point", np.zeros(scale.shape, array.dtype)),
    ]
    node = ir.node("DequantizeLinear", inputs, {} if axis is None else {"axis": axis}, name=f"{name}_dequantize")
    value = node.outputs[0]
    value.name, value.dtype, value.shape = f"{name}_dequantized", ir.DataType.FLOAT, ir.Shape(array.shape)
    model.graph.insert_before(layer, node)
    return value


def initializer(model: ir.Model, name: str, array: Array) -> ir.Value:
    """A new constant of the graph."""
    import onnx_ir as ir

    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    model.graph.register_initializer(value)
    return value


def _channel_axis(layer: ir.Node) -> int | None:
    """The axis of the weight that counts output channels; None where there is none to scale by."""
    if layer.op_type == "Conv":
        return 0
    if layer.op_type == "ConvTranspose":
        return 1 if layer.attributes.get_int("group", 1) == 1 else None
    if layer.op_type == "Gemm":
        return 0 if layer.attributes.get_int("transB", 0) else 1
    return 1 if _array(layer.inputs[WEIGHT]).ndim == 2 else None
