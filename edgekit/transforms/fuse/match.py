"""Small questions that rules ask of a graph; a failed check says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx_ir as ir


class NoMatchError(Exception):
    """A check of a rule failed; the message says which, with the value that failed it."""


def check(holds: object, reason: str) -> None:
    """Raise NoMatchError with `reason` unless `holds`."""
    if not holds:
        raise NoMatchError(reason)


def constant(value: ir.Value | None, what: str) -> Array:
    """The values of a constant."""
    if value is None or value.const_value is None:
        raise NoMatchError(f"{what} is not a constant")
    return value.const_value.numpy()


def width(value: ir.Value) -> int:
    """The size of the last axis."""
    size = value.shape[-1] if value.shape else None
    if not isinstance(size, int):
        raise NoMatchError(f"the last axis of {value.name!r} has no fixed size")
    return size


def users(value: ir.Value, op: str) -> list[ir.Node]:
    """The nodes of type `op` that take `value`."""
    return [node for node in dict.fromkeys(use.node for use in value.uses()) if node.op_type == op]


def only_user(value: ir.Value, op: str, what: str) -> ir.Node:
    """The node of type `op` that alone takes `value`."""
    uses = list(value.uses())
    check(not value.is_graph_output(), f"{what} is an output of the graph")
    check(len(uses) == 1, f"{what} is used {len(uses)} times; once, by {op}, was expected")
    check(uses[0].node.op_type == op, f"{what} is taken by {uses[0].node.op_type}; {op} was expected")
    return uses[0].node


def dense(node: ir.Node, *, outputs: int, inputs: int) -> tuple[ir.Value, ir.Value]:
    """Weight (outputs, inputs) and bias (outputs,) of a Gemm as torch's Linear is exported."""
    name = f"Gemm {node.name!r}"
    check(node.attributes.get_int("transB", 0) and not node.attributes.get_int("transA", 0), f"{name} is not x W^T + b")
    check(all(node.attributes.get_float(a, 1.0) == 1.0 for a in ("alpha", "beta")), f"{name} scales its terms")
    check(len(node.inputs) == 3 and node.inputs[2] is not None, f"{name} has no bias")
    weight, bias = node.inputs[1], node.inputs[2]
    shape = None if weight is None or weight.shape is None else tuple(weight.shape)
    check(shape == (outputs, inputs), f"{name} has a weight of shape {shape}; expected {(outputs, inputs)}")
    assert weight is not None and bias is not None  # noqa: S101, PT018 - checked above
    return weight, bias


def halves(value: ir.Value, what: str, parts: int = 2) -> tuple[ir.Node, tuple[ir.Value, ...]]:
    """The Split of `value` into equal parts along the last axis."""
    node = only_user(value, "Split", what)
    rank = len(value.shape) if value.shape is not None else 0
    check(node.attributes.get_int("axis", 0) in (-1, rank - 1), f"{what} is not split along the last axis")
    check(len(node.outputs) == parts, f"{what} is split into {len(node.outputs)}; {parts} were expected")
    check(len(node.inputs) < 2 or node.inputs[1] is None or _even(node), f"{what} is split into unequal parts")
    return node, tuple(node.outputs)


def _even(node: ir.Node) -> bool:
    return len(set(constant(node.inputs[1], "the sizes of a Split").tolist())) == 1
