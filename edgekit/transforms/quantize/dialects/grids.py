"""Reads and writes what the integers of a QuantizeLinear or DequantizeLinear stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx_ir as ir

KINDS = ("QuantizeLinear", "DequantizeLinear")
EIGHT_BITS = ("INT8", "UINT8")


@dataclass(frozen=True)
class Grid:
    """The numbers (q - zero_point) * scale, for all q that `dtype` holds.

    dtype: ONNX's name of it, as in "UINT8".
    scale: () or (1,) for one grid, (channels,) along `axis`, or one for each block of `block_size` values along it.
    zero_point: int64, of the shape of `scale`.
    """

    dtype: str
    scale: Array
    zero_point: npt.NDArray[np.int64]
    axis: int
    block_size: int

    @property
    def is_symmetric(self) -> bool:
        """Whether 0 stands in the middle of the integers: 0 of s8, 128 of u8."""
        return bool((self.zero_point == sum(self._ends(), 1) // 2).all())

    def ranges(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The least and the largest number, each of the shape of `scale`. Of eight bits only."""
        scale, (first, last) = self.scale.astype(np.float64), self._ends()
        return (first - self.zero_point) * scale, (last - self.zero_point) * scale

    def along(self, values: Array, *, rank: int) -> Array:
        """`values`, of the shape of `scale`, shaped to broadcast over a tensor of `rank` dimensions."""
        if values.size == 1:
            return values.reshape(())
        shape = [1] * rank
        shape[self.axis] = values.size
        return values.reshape(shape)

    def _ends(self) -> tuple[int, int]:
        ends = np.iinfo(self.dtype.lower())
        return int(ends.min), int(ends.max)


def nodes_of(graph: ir.Graph, kind: str) -> list[ir.Node]:
    """The QuantizeLinear or DequantizeLinear nodes of the graph, as `kind` says."""
    return [node for node in graph if node.op_type == kind]


def constant(value: ir.Value | None) -> Array | None:
    """The array that `value` always is; None where it is fed or computed."""
    import onnx_ir as ir

    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def grid_of(node: ir.Node) -> Grid | None:
    """The grid of a QuantizeLinear or DequantizeLinear; None where the graph computes its scale or zero point."""
    scale, given = constant(node.inputs[1]), _zero_point(node)
    zero_point = constant(given)
    if scale is None or (given is not None and zero_point is None):
        return None
    return Grid(
        dtype=dtype_of(node),
        scale=scale,
        zero_point=np.zeros(scale.shape, np.int64) if zero_point is None else zero_point.astype(np.int64),
        axis=node.attributes.get_int("axis", 1),
        block_size=node.attributes.get_int("block_size", 0),
    )


def dtype_of(node: ir.Node) -> str:
    """ONNX's name of the dtype that a QuantizeLinear gives or a DequantizeLinear takes; empty if it is not known."""
    import onnx_ir as ir

    if dtype := _dtype(_zero_point(node)):
        return dtype
    if node.op_type == "QuantizeLinear":  # without a zero point, u8 unless an attribute says otherwise
        return ir.DataType(node.attributes.get_int("output_dtype", 0) or ir.DataType.UINT8).name
    producer = node.inputs[0].producer() if node.inputs[0] is not None else None
    if producer is not None and producer.op_type == "QuantizeLinear":
        return dtype_of(producer)
    return _dtype(node.inputs[0])


def set_grid(node: ir.Node, scale: ir.Value, zero_point: ir.Value) -> None:
    """Give `node` other parameters; the old ones stay in the graph, since other nodes may share them."""
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(1, scale)
    node.replace_input_with(2, zero_point)
    node.attributes.pop("output_dtype", None)  # the zero point says it
    if node.op_type == "QuantizeLinear" and zero_point.dtype is not None:
        node.outputs[0].dtype = zero_point.dtype


class Names:
    """Makes values and nodes under names that the graph does not have yet."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._taken = set(_names(graph))

    def fresh(self, base: str) -> str:
        """`base`, or `base` with a number behind it."""
        name, number = base, 0
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name

    def initializer(self, base: str, array: Array) -> ir.Value:
        """A new initializer of the graph."""
        import onnx_ir as ir

        tensor = ir.tensor(array, name=self.fresh(base))
        value = ir.Value(
            name=tensor.name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self._graph.register_initializer(value)
        return value

    def node(
        self, op_type: str, inputs: list[ir.Value | None], *, like: ir.Value, attributes: Iterable[ir.Attr] = ()
    ) -> ir.Node:
        """A new node, not yet in the graph; its output has the dtype and shape of `like`."""
        import onnx_ir as ir

        name = self.fresh(f"{like.name}_{op_type}")
        output = ir.Value(name=self.fresh(f"{name}_output"), shape=like.shape, type=like.type)
        return ir.Node("", op_type, inputs, attributes, outputs=[output], name=name)


def _names(graph: ir.Graph) -> Iterator[str]:
    for each in (graph, *graph.subgraphs()):
        yield from (str(value.name) for value in each.inputs)
        yield from each.initializers
    for node in graph.all_nodes():
        yield str(node.name)
        yield from (str(value.name) for value in node.outputs)


def _zero_point(node: ir.Node) -> ir.Value | None:
    return node.inputs[2] if len(node.inputs) > 2 else None


def _dtype(value: ir.Value | None) -> str:
    """Of a value, or of the constant that it is, where shapes and dtypes have not been inferred."""
    import onnx_ir as ir

    if value is None:
        return ""
    tensor = value if value.dtype is not None else ir.convenience.get_const_tensor(value)
    return tensor.dtype.name if tensor is not None and tensor.dtype is not None else ""
