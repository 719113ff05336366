"""The rules of a dialect whose grids are all s8 around zero: each yields a sentence for every node that breaks it.

Source: what TensorRT for RTX 1.7 refuses, reads as something else, or leaves in float when it builds an engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgekit.transforms.quantize.dialects.grids import KINDS, constant, dtype_of, grid_of, nodes_of

if TYPE_CHECKING:
    import onnx_ir as ir

TAKEN = ("INT8", "INT4")
ACTIVATIONS = ("INT8",)


def outside_of_control_flow(model: ir.Model) -> Iterator[str]:
    """No QDQ in the branches of an If, in the body of a loop, or in a function."""
    for node in model.graph.all_nodes():
        if node.op_type in KINDS and node.graph is not model.graph:
            yield f"{_title(node)} is inside control flow, where pairs are not rewritten; leave that part in float"
    for function in model.functions.values():
        for node in function.all_nodes():
            if node.op_type in KINDS:
                yield f"{_title(node)} is inside the function {function.name!r}; inline functions first"


def parameters_are_constants(model: ir.Model) -> Iterator[str]:
    """Scales and zero points are known before the graph runs."""
    for node in _qdq(model):
        if grid_of(node) is None:
            yield f"{_title(node)} gets its scale or zero point from the graph's input or a node; quantize statically"


def grids_are_symmetric(model: ir.Model) -> Iterator[str]:
    """s8 with zero point 0; constants may be s4 too, for which blocks are usual."""
    for node in _qdq(model):
        dtype, grid = dtype_of(node), grid_of(node)
        taken = TAKEN if node.op_type == "DequantizeLinear" and _is_constant(node) else ACTIVATIONS
        if dtype not in taken:
            yield f"{_title(node)} is in {dtype.lower() or 'an unknown dtype'}; expected {' or '.join(taken).lower()}"
        elif grid is not None and grid.zero_point.any():
            yield f"{_title(node)} has zero points other than 0; quantize it symmetrically"
        elif grid is not None and not (grid.scale > 0).all():
            yield f"{_title(node)} has a scale that is not positive; quantize it again, or leave it in float"


def activations_have_one_scale(model: ir.Model) -> Iterator[str]:
    """One for a tensor, and as a scalar: an engine computes a layer in float where its input has a list of scales."""
    for node in _qdq(model):
        grid = grid_of(node)
        if not _is_constant(node) and grid is not None and grid.scale.ndim:
            yield f"{_title(node)} has scales of shape {grid.scale.shape}; expected one for the whole tensor"


def pairs_are_complete(model: ir.Model) -> Iterator[str]:
    """Nothing stands between QuantizeLinear and DequantizeLinear, nor between an integer constant and its own."""
    for node in nodes_of(model.graph, "QuantizeLinear"):
        users = [user.op_type for user, _ in node.outputs[0].uses()]
        if node.outputs[0].is_graph_output() or not users:
            users.append("an output of the graph" if users or node.outputs[0].is_graph_output() else "nothing")
        for other in sorted(set(users) - {"DequantizeLinear"}):
            yield f"{_title(node)} feeds {other}; expected DequantizeLinear right behind it"
    for node in nodes_of(model.graph, "DequantizeLinear"):
        producer = node.inputs[0].producer() if node.inputs[0] is not None else None
        if producer is not None and producer.op_type not in ("QuantizeLinear", "Constant"):
            yield f"{_title(node)} takes what {producer.op_type} gives; expected QuantizeLinear or a constant"


def pairs_serve_one_edge(model: ir.Model) -> Iterator[str]:
    """A pair of its own for each input that it feeds."""
    for node in _qdq(model):
        served = len(node.outputs[0].uses()) + node.outputs[0].is_graph_output()
        if served > 1:
            yield f"{_title(node)} serves {served} inputs; expected a pair for each"


def _qdq(model: ir.Model) -> Iterator[ir.Node]:
    return (node for node in model.graph if node.op_type in KINDS)


def _is_constant(node: ir.Node) -> bool:
    return constant(node.inputs[0]) is not None


def _title(node: ir.Node) -> str:
    return f"{node.op_type} {node.name or node.outputs[0].name!r}"
