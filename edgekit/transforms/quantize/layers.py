"""Which nodes of a float graph can be quantized, and which tensors that takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgekit.errors import BackendError, did_you_mean

if TYPE_CHECKING:
    import onnx_ir as ir

HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# What stands between layers and is cheap in integers: residual connections and pooling.
JOINS = ("Add", "AveragePool", "GlobalAveragePool", "ReduceMean")
# They move values or pick among them, so that they are exact in a grid that holds their inputs.
MOVERS = (
    "Concat", "Flatten", "Gather", "MaxPool", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"
)  # fmt: skip


def layers_of(model: ir.Model) -> tuple[str, ...]:
    """Names of the nodes that do the arithmetic and can do it in eight bits, in the graph's order."""
    return tuple(str(node.name) for node in model.graph if node.op_type in HEAVY and _is_layer(node))


def joins_of(model: ir.Model) -> tuple[str, ...]:
    """Names of the nodes of `JOINS` that take activations of one rank, in the graph's order."""
    return tuple(str(node.name) for node in model.graph if node.op_type in JOINS and _is_join(node))


def float_tensors(model: ir.Model) -> tuple[str, ...]:
    """Names of all float32 tensors that are fed or computed, in the graph's order."""
    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    return tuple(str(value.name) for value in values if is_activation(value))


def check_names(model: ir.Model, names: Iterable[str]) -> None:
    """Raise a BackendError where no node of the graph bears one of `names`."""
    known = {str(node.name) for node in model.graph}
    for name in names:
        if name not in known:
            raise BackendError(f"the graph has no node {name!r}; {did_you_mean(name, known)}")


def data_places(node: ir.Node) -> tuple[int, ...]:
    """Which inputs carry activations or weights: not shapes, axes, or a bias."""
    if node.op_type in HEAVY:
        return (0, 1)
    return tuple(range(len(node.inputs))) if node.op_type in ("Add", "Concat") else (0,)


def is_activation(value: ir.Value | None) -> bool:
    """A float32 tensor that is fed or computed, not a constant."""
    import onnx_ir as ir

    if value is None or value.const_value is not None or not isinstance(value.type, ir.TensorType):
        return False  # a sequence of tensors has their dtype, but no values of its own
    return value.dtype == ir.DataType.FLOAT


def is_constant(value: ir.Value | None) -> bool:
    """A float32 tensor that is known when the graph is."""
    import onnx_ir as ir

    return value is not None and value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT


def _is_layer(node: ir.Node) -> bool:
    values = [node.inputs[place] for place in data_places(node)]
    if not all(is_activation(value) or is_constant(value) for value in values) or not _plain(node):
        return False
    return is_activation(values[0])


def _plain(node: ir.Node) -> bool:
    """A Gemm that scales its terms has no integer form."""
    if node.op_type != "Gemm":
        return True
    factors = [node.attributes.get_float(name, 1.0) for name in ("alpha", "beta")]
    return factors == [1.0, 1.0] and not node.attributes.get_int("transA", 0)


def _is_join(node: ir.Node) -> bool:
    """OpenVINO 2026.4 fails on the sum of two dequantized tensors of different rank."""
    values = [node.inputs[place] for place in data_places(node)]
    ranks = {len(value.shape) if value is not None and value.shape is not None else None for value in values}
    return all(map(is_activation, values)) and len(ranks) == 1 and None not in ranks
