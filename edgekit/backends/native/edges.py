"""What passes the border of a part: levels rather than float32, and channels last, as kernels and OpenVINO keep images.

In float32, channels first, a plan would turn and round what the runtime around it has turned and made float just before: for small
layers that took longer than the layers. A Transpose outside that undoes the runtime's own order costs it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.backends.native.parts import Part

if TYPE_CHECKING:
    import onnx_ir as ir

LEVELS = ("UINT8", "INT8")


def with_level_edges(part: Part) -> Part:
    """The part without pairs' halves at its border: what it takes and gives is levels, where a pair stands there.

    What the graph is fed and gives itself stays float32, since the plan rounds and turns it in one go.
    """
    starts = {node for node in part.nodes if _may_start(node, part)}
    ends = {value: end for value in part.outputs if (end := _end(value, part, starts)) is not None}
    outside = starts | {end for value, end in ends.items() if not _uses(value, part, inside=True)}
    nodes = tuple(node for node in part.nodes if node not in outside)
    inputs = [value for value in part.inputs if any(use.node in nodes for use in value.uses())]
    inputs += [node.outputs[0] for node in part.nodes if node in starts]
    outputs = [ends[value].inputs[0] if value in ends else value for value in part.outputs]
    return Part(nodes, tuple(inputs), tuple(v for v in dict.fromkeys(outputs) if v is not None))


def channels_last(model: ir.Model, part: Part) -> Part:
    """The part over transposed images of levels: it turns them inside, and the graph outside; `model` is changed."""
    for value in part.outputs:
        _dequantize_outside(model, part, value)
    nodes, inputs, outputs = list(part.nodes), list(part.inputs), list(part.outputs)
    for place, value in enumerate(inputs):
        if _is_image(value):
            last = _transposed(model, value, _to_last(value), f"{value.name}_last")
            first = _transposed(model, last, _to_first(value), f"{value.name}_first")
            for use in _uses(value, part, inside=True):
                use.node.replace_input_with(use.idx, first)
            inputs[place] = last
            nodes.insert(0, _maker(first))
    for place, value in enumerate(outputs):
        if _is_image(value):
            uses = _uses(value, part, inside=False)
            last = _transposed(model, value, _to_last(value), f"{value.name}_last")
            first = _transposed(model, last, _to_first(value), f"{value.name}_first")
            for use in uses:
                use.node.replace_input_with(use.idx, first)
            outputs[place] = last
            nodes.append(_maker(last))
    return replace(part, nodes=tuple(nodes), inputs=tuple(inputs), outputs=tuple(outputs))


def _may_start(node: ir.Node, part: Part) -> bool:
    """Whether it rounds what comes from outside, all for dequantizers inside."""
    value, levels = node.inputs[0], node.outputs[0]
    if node.op_type != "QuantizeLinear" or value not in part.inputs or value.is_graph_input():
        return False
    dequantized = all(u.node in part.nodes and u.node.op_type == "DequantizeLinear" for u in levels.uses())
    return dequantized and _fits(levels)


def _end(value: ir.Value, part: Part, starts: set[ir.Node]) -> ir.Node | None:
    """The dequantizer that gives `value` to the outside, of levels that are made inside."""
    node = _maker(value)
    levels = node.inputs[0]
    if node.op_type != "DequantizeLinear" or value.is_graph_output() or levels is None:
        return None
    maker = levels.producer()
    return node if maker in part.nodes and maker not in starts and _fits(levels) else None


def _dequantize_outside(model: ir.Model, part: Part, levels: ir.Value) -> None:
    """Where a dequantizer inside gives its result to the outside too, give that a dequantizer of its own."""
    import onnx_ir as ir

    for node in [use.node for use in levels.uses() if use.node in part.nodes and levels.dtype.name in LEVELS]:
        value = node.outputs[0]
        if node.op_type != "DequantizeLinear" or not (uses := _uses(value, part, inside=False)):
            continue
        own = ir.Node("", node.op_type, node.inputs, node.attributes.values(), name=f"{node.name}_outside")
        own.outputs[0].name, own.outputs[0].type, own.outputs[0].shape = f"{value.name}_outside", value.type, value.shape
        model.graph.insert_after(node, own)
        for use in uses:
            use.node.replace_input_with(use.idx, own.outputs[0])


def _transposed(model: ir.Model, value: ir.Value, order: Sequence[int], name: str) -> ir.Value:
    import onnx_ir as ir

    node = ir.Node("", "Transpose", [value], [ir.AttrInt64s("perm", order)], name=name)
    result = node.outputs[0]
    shape = list(value.shape or ())
    result.name, result.type, result.shape = name, value.type, ir.Shape([shape[axis] for axis in order])
    maker = value.producer()
    assert maker is not None  # noqa: S101 - levels are computed
    model.graph.insert_after(maker, node)
    return result


def _uses(value: ir.Value, part: Part, *, inside: bool) -> list[ir.Usage]:
    return [use for use in value.uses() if (use.node in part.nodes) == inside]


def _to_last(value: ir.Value) -> tuple[int, ...]:
    return (0, *range(2, _rank(value)), 1)


def _to_first(value: ir.Value) -> tuple[int, ...]:
    rank = _rank(value)
    return (0, rank - 1, *range(1, rank - 1))


def _is_image(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.name in LEVELS and _rank(value) > 2


def _fits(value: ir.Value) -> bool:
    """Whether it is one image, signal or vector, as a plan takes levels."""
    return value.shape is not None and 2 <= _rank(value) <= 4 and value.shape[0] == 1


def _rank(value: ir.Value) -> int:
    return len(value.shape or ())


def _maker(value: ir.Value) -> ir.Node:
    maker = value.producer()
    assert maker is not None  # noqa: S101 - it was computed
    return maker
