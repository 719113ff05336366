"""What passes the border of a part: images with channels last, and levels where a pair begins.

With channels first and float32 everywhere, a plan turned and rounded what the runtime around it had just turned and
made float: for small layers that took longer than the layers. OpenVINO keeps images with channels last itself, and a
Transpose that undoes its own order costs it nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends.native.graph import constant
from edgekit.backends.native.parts import Part
from edgekit.tensors import Array
from edgekit.transforms.quantize.layers import HEAVY

if TYPE_CHECKING:
    import onnx_ir as ir

    Use = tuple[ir.Node, int]  # who takes a value, as which of its inputs


def with_edges(model: ir.Model, part: Part) -> Part:
    """The part with its border as it should be; `model` is changed, and computes what it did.

    What the graph is fed and gives itself stays float32 with channels first: a plan rounds and turns it in one go.
    """
    _restore_pairs(model, part)
    part = _without_starts(model, part)
    return _with_channels_last(model, part)


def _restore_pairs(model: ir.Model, part: Part) -> None:
    """Give each layer outside, to which the part feeds the end of a pair, a pair of its own: so it stays quantized.

    Values of a grid are the same in it once more.
    """
    import onnx_ir as ir

    for value in part.outputs:
        end = _maker(value)
        layers = [use for use in _uses(value, part, inside=False) if use[0].op_type in HEAVY]
        if not layers or end.op_type != "DequantizeLinear":
            continue
        grid, like = end.inputs[1:], end.inputs[0]
        assert like is not None  # noqa: S101 - a dequantizer has an input
        levels = _inserted(
            model, end, ir.Node("", "QuantizeLinear", [value, *grid]), f"{value.name}_again_levels", like
        )
        floats = ir.Node("", "DequantizeLinear", [levels, *grid])
        _redirect(layers, _inserted(model, _maker(levels), floats, f"{value.name}_again", value))


def _without_starts(model: ir.Model, part: Part) -> Part:
    """The part without quantizers of what comes from outside, whose levels it takes: u8, as kernels do."""
    starts = [node for node in part.nodes if _may_start(node, part)]
    for node in starts:
        _to_u8(model, node)
    nodes = tuple(node for node in part.nodes if node not in starts)
    inputs = [value for value in part.inputs if any(use.node in nodes for use in value.uses())]
    return replace(part, nodes=nodes, inputs=(*inputs, *(node.outputs[0] for node in starts)))


def _may_start(node: ir.Node, part: Part) -> bool:
    """Whether it rounds what comes from outside, all for dequantizers inside."""
    value, levels = node.inputs[0], node.outputs[0]
    if node.op_type != "QuantizeLinear" or value not in part.inputs or value.is_graph_input():
        return False
    dequantized = all(u.node in part.nodes and u.node.op_type == "DequantizeLinear" for u in levels.uses())
    return dequantized and _is_one_image(levels) and constant(node.inputs[1]) is not None


def _to_u8(model: ir.Model, start: ir.Node) -> None:
    """Shift the levels of a pair from s8 to u8."""
    import onnx_ir as ir

    zero = constant(start.inputs[2]) if len(start.inputs) > 2 else None
    if zero is None or zero.dtype != np.int8:
        return
    shifted = (zero.astype(np.int16) + 128).astype(np.uint8)
    value = constant_value(f"{start.name}_zero_point", shifted)
    model.graph.register_initializer(value)
    for node in (start, *(use.node for use in start.outputs[0].uses())):
        node.replace_input_with(2, value)
    start.outputs[0].type = ir.TensorType(ir.DataType.UINT8)


def _with_channels_last(model: ir.Model, part: Part) -> Part:
    """The part over turned images: it turns them inside, and the graph outside."""
    nodes, inputs, outputs = list(part.nodes), list(part.inputs), list(part.outputs)
    for place, value in enumerate(inputs):
        if _is_turned(value) and value.producer() is not None and value.dtype.name == "UINT8":  # type: ignore[union-attr]
            uses = _uses(value, part, inside=True)
            inputs[place], first = _turned_twice(model, value)
            _redirect(uses, first)
            nodes.insert(0, _maker(first))
    for place, value in enumerate(outputs):
        if _is_turned(value) and _maker(value).op_type == "DequantizeLinear" and not value.is_graph_output():
            uses = _uses(value, part, inside=False)
            outputs[place], first = _turned_twice(model, value)
            _redirect(uses, first)
            nodes.append(_maker(outputs[place]))
    return Part(tuple(nodes), tuple(inputs), tuple(outputs))


def _turned_twice(model: ir.Model, value: ir.Value) -> tuple[ir.Value, ir.Value]:
    """`value` with channels last, and that with channels first again."""
    rank = len(value.shape or ())
    last = _turned(model, value, (0, *range(2, rank), 1), f"{value.name}_last")
    return last, _turned(model, last, (0, rank - 1, *range(1, rank - 1)), f"{value.name}_first")


def _turned(model: ir.Model, value: ir.Value, order: Sequence[int], name: str) -> ir.Value:
    import onnx_ir as ir

    result = _inserted(
        model, _maker(value), ir.Node("", "Transpose", [value], [ir.AttrInt64s("perm", order)]), name, value
    )
    result.shape = ir.Shape([(value.shape or ())[axis] for axis in order])
    return result


def constant_value(name: str, values: Array) -> ir.Value:
    """An initializer that is in no graph yet."""
    import onnx_ir as ir

    tensor = ir.tensor(values, name=name)
    return ir.Value(name=name, shape=ir.Shape(values.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)


def _inserted(model: ir.Model, after: ir.Node, node: ir.Node, name: str, like: ir.Value) -> ir.Value:
    """The result of the new `node`, which bears its name."""
    model.graph.insert_after(after, node)
    node.name, result = name, node.outputs[0]
    result.name, result.type, result.shape = name, like.type, like.shape
    return result


def _redirect(uses: Iterable[Use], value: ir.Value) -> None:
    for node, place in uses:
        node.replace_input_with(place, value)


def _uses(value: ir.Value, part: Part, *, inside: bool) -> list[Use]:
    return [(use.node, use.idx) for use in value.uses() if (use.node in part.nodes) == inside]


def _is_turned(value: ir.Value) -> bool:
    """Whether it is an image or a signal, and not a vector."""
    return _is_one_image(value) and len(value.shape or ()) > 2


def _is_one_image(value: ir.Value) -> bool:
    return value.shape is not None and 2 <= len(value.shape) <= 4 and value.shape[0] == 1


def _maker(value: ir.Value) -> ir.Node:
    maker = value.producer()
    assert maker is not None  # noqa: S101 - it is computed, not fed
    return maker
